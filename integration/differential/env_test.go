package differential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/control"
	"intactfs/integration/harness"
)

// starts runs every fork of a worker on one thread that lives as long as the
// test: its death is what the workers' parent death signal goes by.
var starts = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// env is what all runs of a test share: a mount, a native directory beside
// the one that is mounted, the workers.
type env struct {
	t       *testing.T
	m       *harness.Mount
	dir     string // the data directory
	native  string
	scratch string
	waiting string // file that tells how many requests the daemon has open
	client  *control.Client
	workers [3]*process
	xattrs  bool
	failed  bool
	dirty   bool // a run failed: the workers have files open
	runs    int
	ops     int
	forks   int
	seen    map[string]int // how often a call was made, and how often with an error
}

func newEnv(t *testing.T, flags ...string) *env {
	t.Helper()
	flags = append([]string{"--idle-commit=1h", "--log-file=" + filepath.Join(t.TempDir(), "log")}, flags...)
	life := 4 * time.Minute
	if harness.Long() || os.Getenv(numberVar) != "" {
		life = 12 * time.Hour
	}
	e := &env{t: t, seen: map[string]int{}, native: t.TempDir(), scratch: t.TempDir()}
	e.m = harness.Start(t, harness.Options{Flags: flags, Lifetime: life})
	e.dir = e.m.Dir
	e.findWaiting()
	e.dial()
	probe := filepath.Join(e.native, "probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e.xattrs = unix.Setxattr(probe, "user.color", []byte("red"), 0) == nil
	for i := range e.workers {
		if err := e.start(i); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, p := range e.workers {
			p.kill()
		}
		t.Logf("%d sequences, %d calls into the mount: %v", e.runs, e.ops, e.seen)
	})
	return e
}

// findWaiting finds the file of the mount's connection; the file system that
// has it may have to be mounted first.
func (e *env) findWaiting() {
	var st unix.Stat_t
	if err := unix.Stat(e.m.Point, &st); err != nil {
		e.t.Fatal(err)
	}
	minor := strconv.Itoa(int(unix.Minor(st.Dev)))
	e.waiting = filepath.Join("/sys/fs/fuse/connections", minor, "waiting")
	if _, err := os.Stat(e.waiting); err == nil {
		return
	}
	point := e.t.TempDir()
	if err := unix.Mount("fusectl", point, "fusectl", 0, ""); err != nil {
		harness.Lacks(e.t, "fusectl is not mounted and can't be: %v", err)
	}
	e.t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
	e.waiting = filepath.Join(point, minor, "waiting")
}

// settle waits until no request is open in the daemon: the kernel sends
// releases without waiting for them.
func (e *env) settle() error {
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); {
		b, err := os.ReadFile(e.waiting)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(b)) == "0" {
			return nil
		}
		time.Sleep(100 * time.Microsecond)
	}
	return errors.New("requests are still open")
}

func (e *env) dial() {
	dir, err := os.Open(e.dir)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	socket, err := control.RuntimeOfProcess().Socket(dir)
	if err != nil {
		e.t.Fatal(err)
	}
	e.client, err = control.Dial(context.Background(), socket, harness.Patience)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = e.client.Close() })
}

func (e *env) start(i int) (err error) {
	e.workers[i], err = startWorker("w" + strconv.Itoa(i))
	return err
}

// pipes is a new directory for the pipe of a child.
func (e *env) pipes() string {
	e.forks++
	dir := filepath.Join(e.scratch, strconv.Itoa(e.forks))
	if err := os.Mkdir(dir, 0o700); err != nil {
		e.t.Fatal(err)
	}
	return dir
}

// begin prepares a sequence in directories of its own.
func (e *env) begin(t reporter, same bool) *run {
	t.Helper()
	e.runs++
	name := fmt.Sprintf("run%05d", e.runs)
	r := &run{
		t: t, e: e, m: newModel(), same: same, below: name,
		mount: e.m.File(name), native: filepath.Join(e.native, name),
		placed: map[string]bool{}, checks: map[string]int{},
	}
	r.m.seen = e.seen
	if e.dirty {
		for i, p := range e.workers {
			p.kill()
			if err := e.start(i); err != nil {
				t.Fatalf("start a worker: %v", err)
			}
		}
		e.dirty = false
	}
	r.workers = e.workers
	for _, dir := range []string{r.mount, r.native} {
		err := errors.Join(os.Mkdir(dir, 0o755), os.Mkdir(filepath.Join(dir, "s"), 0o755), os.Symlink(linked, filepath.Join(dir, link)))
		if err != nil {
			t.Fatalf("prepare a run: %v", err)
		}
	}
	return r
}

// cleanup ends the children of a run that failed.
func (r *run) cleanup() {
	for _, c := range r.children {
		_ = c.end(-1)
	}
}
