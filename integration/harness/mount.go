package harness

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how a directory is mounted.
type Options struct {
	// Dir is the data directory; empty: a new one.
	Dir string
	// Over mounts over Dir itself instead of on a directory of its own.
	Over bool
	// Flags are flags of intact mount.
	Flags []string
	// Damaged says that the test damages the directory: the final verify is
	// left to the test.
	Damaged bool
	// Lifetime is how long one mount may serve before it is taken for hung
	// and its daemon is killed; 0: four minutes.
	Lifetime time.Duration
}

// Mount is a data directory and the daemon that serves it, while it does.
type Mount struct {
	Dir   string // the data directory
	Point string // where the mount is seen; Dir itself with Options.Over

	t        testing.TB
	opts     Options
	proc     *Proc
	logs     []*Proc // every daemon so far
	watchdog *time.Timer
}

var registry struct {
	mu     sync.Mutex
	points map[string]bool
}

// New prepares a directory and a mount point without mounting. At the end of
// the test the mount is taken down and the directory has to verify.
func New(t testing.TB, o Options) *Mount {
	t.Helper()
	NeedFUSE(t)
	if o.Lifetime == 0 {
		o.Lifetime = 4 * time.Minute
	}
	m := &Mount{t: t, opts: o, Dir: o.Dir}
	base := t.TempDir()
	if m.Dir == "" {
		m.Dir = filepath.Join(base, "data")
		mkdir(t, m.Dir)
	}
	m.Point = m.Dir
	if !o.Over {
		m.Point = filepath.Join(base, "mnt")
		mkdir(t, m.Point)
	}
	registry.mu.Lock()
	if registry.points == nil {
		registry.points = map[string]bool{}
	}
	registry.points[m.Point] = true
	registry.mu.Unlock()
	t.Cleanup(m.cleanup)
	return m
}

// Start prepares a directory and mounts it.
func Start(t testing.TB, o Options) *Mount {
	t.Helper()
	m := New(t, o)
	m.Start()
	return m
}

// Args is the command that mounts in the foreground.
func (m *Mount) Args() []string {
	args := append([]string{Binary(m.t), "mount", "-f"}, m.opts.Flags...)
	args = append(args, m.Dir)
	if m.Point != m.Dir {
		args = append(args, m.Point)
	}
	return args
}

// Start mounts, and returns when the mount answers.
func (m *Mount) Start() {
	m.t.Helper()
	m.proc = Cmd{Args: m.Args()}.Start(m.t)
	m.logs = append(m.logs, m.proc)
	daemon := m.proc
	m.watchdog = time.AfterFunc(m.opts.Lifetime, func() {
		m.t.Logf("the daemon of %s served for %v: killed as hung", m.Point, m.opts.Lifetime)
		daemon.KillGroup()
	})
	Eventually(m.t, "mounted on "+m.Point, func() bool {
		if daemon.Exited() {
			r := daemon.Wait(m.t, 0)
			m.t.Fatalf("intact mount: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return Mounted(m.Point) && answers(m.Point)
	})
}

// answers asks the mount something that no cache knows: a dead one that is
// about to be cleared may have the rest, and the directory that it hides has
// another type.
func answers(point string) bool {
	var st unix.Statfs_t
	return unix.Statfs(point, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC
}

// Kill ends the daemon with SIGKILL and waits for it; the mount is dead then.
func (m *Mount) Kill() {
	m.t.Helper()
	m.watchdog.Stop()
	m.proc.Signal(syscall.SIGKILL)
	m.proc.Wait(m.t, 0)
}

// Daemon is the process that serves the mount.
func (m *Mount) Daemon() *Proc { return m.proc }

// Unmount takes the mount down as a user does, and waits for the daemon.
func (m *Mount) Unmount() {
	m.t.Helper()
	if r := Run(m.t, Binary(m.t), "unmount", m.Point); r.Code != 0 {
		if r.TimedOut { // the stacks of its goroutines tell why
			m.proc.Signal(syscall.SIGQUIT)
			m.proc.Wait(m.t, 0)
		}
		m.t.Errorf("intact unmount: exit %d\n%s%s\n%s", r.Code, r.Stdout, r.Stderr, m.Log())
		return
	}
	r := m.proc.Wait(m.t, 0)
	m.watchdog.Stop()
	if r.Code != 0 {
		m.t.Errorf("the daemon: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if Mounted(m.Point) {
		m.t.Errorf("%s is still mounted", m.Point)
	}
}

// Intact runs a command of intact.
func (m *Mount) Intact(args ...string) Result {
	m.t.Helper()
	return Run(m.t, append([]string{Binary(m.t)}, args...)...)
}

// MustIntact runs a command of intact that has to exit with 0, and returns
// what it printed.
func (m *Mount) MustIntact(args ...string) string {
	m.t.Helper()
	return Must(m.t, append([]string{Binary(m.t)}, args...)...)
}

// Verify fails the test when intact verify finds fault with the directory.
func (m *Mount) Verify() {
	m.t.Helper()
	if r := m.Intact("verify", m.Dir); r.Code != 0 {
		m.t.Errorf("intact verify: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		m.keep()
	}
}

// keep copies a directory that is not as it should be to where INTACT_KEEP
// says, for a person to look at.
func (m *Mount) keep() {
	if dir := os.Getenv("INTACT_KEEP"); dir != "" {
		Run(m.t, "cp", "-a", m.Dir, filepath.Join(dir, filepath.Base(m.t.Name())+time.Now().Format("-150405.000")))
	}
}

// File is the path of a file as seen through the mount.
func (m *Mount) File(name string) string { return filepath.Join(m.Point, name) }

// Backing is the path of a file beneath the mount; while mounted it can be
// reached only without Options.Over.
func (m *Mount) Backing(name string) string { return filepath.Join(m.Dir, name) }

// Log is what the daemons of this mount have logged.
func (m *Mount) Log() string {
	var b strings.Builder
	for _, p := range m.logs {
		b.WriteString(p.Stdout())
		b.WriteString(p.Stderr())
	}
	return b.String()
}

func (m *Mount) cleanup() {
	if m.proc != nil && !m.proc.Exited() {
		m.Unmount()
	}
	if m.watchdog != nil {
		m.watchdog.Stop()
	}
	if m.proc != nil && !m.proc.Exited() {
		m.proc.KillGroup()
	}
	for Mounted(m.Point) && detach(m.Point) {
	}
	if m.t.Failed() {
		m.t.Logf("the daemon's log:\n%s", tail(m.Log(), 30_000))
	}
	if m.proc != nil && !m.opts.Damaged {
		m.Verify()
	}
}

// tail is the end of a long text.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "… " + s[len(s)-n:]
}

// Mounted reports whether a mount of intact is on the point, without
// touching it.
func Mounted(point string) bool { return slices.Contains(mounts(), point) }

// mounts lists the points of all mounts of intact on the machine.
func mounts() []string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var points []string
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 4 && strings.HasPrefix(after, "fuse.intact ") {
			points = append(points, unescape.Replace(fields[4]))
		}
	}
	return points
}

// unescape undoes what the kernel does to names in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func leftMounts() []string {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	var left []string
	for _, point := range mounts() {
		if registry.points[point] {
			left = append(left, point)
		}
	}
	return left
}

func detach(point string) bool {
	return unix.Unmount(point, unix.MNT_DETACH) == nil
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
