package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/harness"
)

// The exit codes of intact that the tests look for.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 3
	exitRefused = 4
	exitDamaged = 5
	exitInvalid = 6
)

// rig is a directory and the daemon, of this binary, that serves it.
type rig struct {
	t     testing.TB
	order order
	Dir   string // of the data
	Point string // of the mount
	plan  planFile
	proc  *harness.Proc
	logs  []*harness.Proc
	*ledger
}

// newRig prepares an empty directory below base, and mounts nothing.
func newRig(t testing.TB, base string) *rig {
	t.Helper()
	harness.NeedFUSE(t)
	own := t.TempDir()
	if base == "" {
		base = own
	}
	r := &rig{t: t, Dir: filepath.Join(base, "data"), Point: filepath.Join(own, "mnt"), ledger: newLedger()}
	r.plan.path = filepath.Join(own, "plan")
	r.order = order{Dir: r.Dir, Point: r.Point, Plan: r.plan.path, Trace: filepath.Join(own, "trace"), Publish: time.Hour}
	for _, dir := range []string{r.Dir, r.Point} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(r.cleanup)
	return r
}

// launch starts the daemon as ordered.
func (r *rig) launch(o order) *harness.Proc {
	r.t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		r.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	p := harness.Cmd{Args: []string{self}, Env: []string{daemonEnv + "=" + string(text)}}.Start(r.t)
	r.logs = append(r.logs, p)
	return p
}

// start mounts; false: the daemon ended before it served.
func (r *rig) start() bool {
	r.t.Helper()
	r.clear()
	daemon := r.launch(r.order)
	r.proc = daemon
	harness.Eventually(r.t, "mounted on "+r.Point, func() bool {
		return daemon.Exited() || harness.Mounted(r.Point) && answers(r.Point)
	})
	return !daemon.Exited()
}

// mustStart mounts.
func (r *rig) mustStart() {
	r.t.Helper()
	if !r.start() {
		r.t.Fatalf("the daemon ended:\n%s", r.log())
	}
}

func answers(point string) bool {
	var st unix.Statfs_t
	return unix.Statfs(point, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC
}

// clear takes a dead mount away, as intact mount and intact recover do.
func (r *rig) clear() {
	for harness.Mounted(r.Point) && unix.Unmount(r.Point, unix.MNT_DETACH) == nil {
	}
}

// stop unmounts as a person does, and returns how the daemon ended.
func (r *rig) stop() harness.Result {
	r.t.Helper()
	u := r.intact("unmount", r.Point)
	if u.Code != 0 && !r.proc.Exited() {
		r.t.Logf("intact unmount: exit %d: %s", u.Code, u.Stderr)
		r.proc.Signal(syscall.SIGKILL)
	}
	res := r.proc.Wait(r.t, 0)
	r.clear()
	return res
}

// mustStop unmounts, and the daemon has nothing to complain of.
func (r *rig) mustStop() {
	r.t.Helper()
	if res := r.stop(); res.Code != 0 {
		r.t.Errorf("the daemon: exit %d\n%s", res.Code, res.Stderr)
	}
}

// kill ends the daemon with SIGKILL.
func (r *rig) kill() {
	r.t.Helper()
	r.proc.Signal(syscall.SIGKILL)
	r.proc.Wait(r.t, 0)
	r.clear()
}

func (r *rig) cleanup() {
	if r.t.Failed() {
		r.t.Logf("the daemons' log:\n%s", r.log())
	}
	if r.proc != nil && !r.proc.Exited() {
		r.proc.KillGroup()
	}
	r.clear()
}

// intact runs the real binary.
func (r *rig) intact(args ...string) harness.Result {
	r.t.Helper()
	return harness.Run(r.t, append([]string{harness.Binary(r.t)}, args...)...)
}

// log is what the daemons told so far.
func (r *rig) log() string {
	var b strings.Builder
	for _, p := range r.logs {
		b.WriteString(p.Stderr())
	}
	return b.String()
}

// file is a path in the mount, backing the same one beneath.
func (r *rig) file(name string) string    { return filepath.Join(r.Point, name) }
func (r *rig) backing(name string) string { return filepath.Join(r.Dir, name) }

// trace is the operations of all daemons so far, in order: the label, and
// behind it what the plan made of it.
func (r *rig) trace() []string {
	r.t.Helper()
	text, err := os.ReadFile(r.order.Trace)
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return strings.FieldsFunc(string(text), func(c rune) bool { return c == '\n' })
}

// struck reports whether a rule of the plan was met.
func (r *rig) struck() bool {
	return slices.ContainsFunc(r.trace(), func(line string) bool { return strings.Contains(line, " ") })
}

// configure writes config.toml, before the first mount.
func (r *rig) configure(text string) {
	r.t.Helper()
	dir := r.backing(".intact")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// told is what a person finds in the logs: the message and the error of each
// warning and worse, once.
func (r *rig) told() []string {
	var all []string
	for _, line := range strings.Split(r.log(), "\n") {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["level"] == "INFO" {
			continue
		}
		text, _ := entry["msg"].(string)
		for _, key := range []string{"path", "err", "error", "reason"} {
			if v, ok := entry[key].(string); ok {
				text += ": " + v
			}
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}
