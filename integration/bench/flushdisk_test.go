package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/bench/result"
	"intactfs/integration/crashlab/volume"
	"intactfs/integration/harness"
)

// hostCommand makes the test binary one that holds a file system until it is
// killed.
const hostCommand = "hold-file-system"

func TestMain(m *testing.M) {
	is, err := child(os.Args)
	if !is && len(os.Args) > 2 && os.Args[1] == hostCommand {
		is, err = true, holdFileSystem(os.Args[2])
	}
	if is {
		if err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	// Without root only the tests that mount can't be had, and say so.
	if err := volume.Isolate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(m.Run())
}

const smallImage = 64 << 20

func holdFileSystem(dir string) error {
	takes := time.Millisecond
	f, err := makeFileSystem(context.Background(), dir, "ext4", smallImage, &takes)
	if err != nil {
		return err
	}
	fmt.Println(f.disk.server.Process.Pid)
	select {}
}

func newFileSystem(t *testing.T, takes time.Duration) (*filesystem, string) {
	t.Helper()
	harness.NeedRoot(t)
	harness.NeedFUSE(t)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := makeFileSystem(ctx, dir, "ext4", smallImage, &takes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // again, or after a failure
	return f, dir
}

// left is what still is of a run below dir: mounts and loop devices.
func left(t *testing.T, dir string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			all = append(all, line)
		}
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if file, err := os.ReadFile(name); err == nil && strings.Contains(string(file), dir) {
			all = append(all, name)
		}
	}
	return all
}

func counted(t *testing.T, d *flushDisk) flushes {
	t.Helper()
	f, err := d.flushes()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEveryFlushTakesItsTimeAndIsCounted(t *testing.T) {
	const takes, saves = 20 * time.Millisecond, 5
	f, _ := newFileSystem(t, takes)
	path := filepath.Join(f.point, "a.json")
	before, start := counted(t, f.disk), time.Now()
	for n := range saves {
		if err := saveCarefully(path, document(n, 1<<10)); err != nil {
			t.Fatal(err)
		}
	}
	took, after := time.Since(start), counted(t, f.disk)
	n := after.count - before.count
	if n < 2*saves { // of the file and of the directory
		t.Errorf("%d flushes in %d careful saves", n, saves)
	}
	if least := time.Duration(n) * takes; after.took-before.took < least || took < least {
		t.Errorf("%d flushes took %v, the saves %v; want %v at least", n, after.took-before.took, took, least)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(document(saves-1, 1<<10)) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestFlushesWaitForEachOther(t *testing.T) {
	const takes, many = 10 * time.Millisecond, 8
	f := &flusher{takes: takes}
	start, done := time.Now(), make(chan struct{})
	for range many {
		go func() { f.flush(); done <- struct{}{} }()
	}
	for range many {
		<-done
	}
	if took := time.Since(start); took < many*takes || f.count.Load() != many {
		t.Errorf("%d flushes at once took %v, want %v at least", f.count.Load(), took, many*takes)
	}
}

func TestNothingIsLeftOfAFileSystem(t *testing.T) {
	f, dir := newFileSystem(t, 0)
	if len(left(t, dir)) < 3 {
		t.Fatalf("only %q is there of a disk, a loop device and a file system", left(t, dir))
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, "nothing is left", func() bool { return len(left(t, dir)) == 0 })
}

func TestNothingIsLeftWhenTheDiskDied(t *testing.T) {
	f, dir := newFileSystem(t, 0)
	if err := f.disk.server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err == nil {
		t.Error("no word of a disk that was killed")
	}
	harness.Eventually(t, "nothing is left", func() bool { return len(left(t, dir)) == 0 })
}

func TestNothingIsLeftOfARunThatWasKilled(t *testing.T) {
	harness.NeedRoot(t)
	harness.NeedFUSE(t)
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], hostCommand, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // as volume.Isolate has it
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	there := left(t, dir)
	server, perr := strconv.Atoi(strings.TrimSpace(line))
	if err := errors.Join(cmd.Process.Kill(), err, perr); err != nil {
		t.Fatalf("it said %q, %v", line, err)
	}
	_ = cmd.Wait() // it was killed: its status says only that
	if len(there) == 0 {
		t.Error("there was no loop device to be left")
	}
	harness.Eventually(t, "nothing is left", func() bool { return len(left(t, dir)) == 0 })
	// A thread that waits for its own connection would keep it as a zombie.
	harness.Eventually(t, "the server is gone", func() bool { return errors.Is(unix.Kill(server, 0), unix.ESRCH) })
}

func TestAccountCountsEachContender(t *testing.T) {
	f, _ := newFileSystem(t, 0)
	a := &account{disk: f.disk, root: f.point, rows: map[string]*result.Flushes{}}
	saving := func(name string, save saver) variant {
		return a.count(t.Context(), variant{name, func(round int) (time.Duration, error) {
			return timed(10, func() error {
				for n := range 10 {
					if err := save(filepath.Join(f.point, name), document(n+round, 1<<10)); err != nil {
						return err
					}
				}
				return nil
			})
		}}, 10, false)
	}
	rows, err := interleave(t.Context(), 3, []variant{saving("careful", saveCarefully), saving("none", func(string, []byte) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	r := result.Result{Rows: rows}
	a.enter(&r)
	for i, least := range []float64{2000, 0} {
		got := r.Rows[i].Flushes
		if len(got.During) != 3 || len(got.Behind) != 3 || result.Median(got.During) < least || least == 0 && result.Median(got.During) > 0 {
			t.Errorf("%s: %+v, want %v per 1,000", r.Rows[i].Variant, got, least)
		}
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "a flush took") {
		t.Errorf("notes %q", r.Notes)
	}
	var out strings.Builder
	r.Print(&out)
	if !strings.Contains(out.String(), "flushes per 1,000: ") {
		t.Errorf("printed\n%s", out.String())
	}
}

func TestNothingIsCountedWithoutADisk(t *testing.T) {
	var none *account
	v := none.count(t.Context(), variant{"v", func(int) (time.Duration, error) { return time.Second, nil }}, 1, true)
	if took, err := v.once(1); took != time.Second || err != nil {
		t.Errorf("got %v, %v", took, err)
	}
	r := result.Result{Rows: []result.Row{{Variant: "v"}}}
	none.enter(&r)
	if r.Rows[0].Flushes != nil || len(r.Notes) > 0 || r.Rows[0].Flushes.String() != "" {
		t.Errorf("result %+v", r)
	}
	if (&place{}).accountOf() != nil {
		t.Error("an account without a disk")
	}
}

func TestRestEndsWithTheRun(t *testing.T) {
	f, _ := newFileSystem(t, 0)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (&account{disk: f.disk}).rest(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the run", err)
	}
}

func TestDiskErrors(t *testing.T) {
	if err := serveDisk("soon", t.TempDir(), t.TempDir()); err == nil {
		t.Error("served with no time of a flush")
	}
	if err := serveDisk("1ms", filepath.Join(t.TempDir(), "none"), t.TempDir()); !errors.Is(err, unix.ENOENT) {
		t.Errorf("served what is not there: %v", err)
	}
	if _, err := (&flushDisk{file: filepath.Join(t.TempDir(), "none")}).flushes(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("counted on no disk: %v", err)
	}
	if err := syncAll(filepath.Join(t.TempDir(), "none")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("synced what is not there: %v", err)
	}
}
