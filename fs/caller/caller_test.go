package caller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestThreadsOfAProcess(t *testing.T) {
	path, _, m := target(t)
	tab := newTable(t, Options{Mount: m})
	p := start(t, "hold", path)
	tids, err := list(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil || len(tids) < 2 {
		t.Fatalf("threads of the child: %v, %v", tids, err)
	}
	for _, tid := range tids {
		for range 2 { // from /proc, then from the cache
			if got, ok := tab.TGID(tid); got != p.pid || !ok {
				t.Errorf("TGID(%d) = %d, %v; want %d", tid, got, ok, p.pid)
			}
		}
	}
	who, ok := tab.Who(tids[1])
	if want := uint32(os.Geteuid()); !ok || who.TGID != p.pid || who.UID != want || who.Program == "" {
		t.Errorf("Who(%d) = %+v, %v", tids[1], who, ok)
	}
}

func TestNobody(t *testing.T) {
	tab := newTable(t, Options{})
	const none = 1 << 30 // above any pid_max
	for _, tid := range []uint32{0, none} {
		if _, ok := tab.TGID(tid); ok {
			t.Errorf("TGID(%d) is known", tid)
		}
		if _, ok := tab.Who(tid); ok {
			t.Errorf("Who(%d) is known", tid)
		}
		if f := tab.Fate(tid); f.State != Unknown {
			t.Errorf("Fate(%d) = %+v", tid, f)
		}
	}
	if l := tab.Copies(0, 1, unix.O_WRONLY); l.Known || l.Alive || l.Count != 0 {
		t.Errorf("what process 0 holds is %+v", l)
	}
	if l := tab.Copies(none, 1, unix.O_WRONLY); !l.Known || l.Alive || l.Count != 0 {
		t.Errorf("what a process that is gone holds is %+v", l)
	}
}

// A thread id that was given to somebody else is never answered from the
// cache, and the cache keeps no descriptor of the dead.
func TestCacheAgainstReuse(t *testing.T) {
	path, _, m := target(t)
	tab := newTable(t, Options{Mount: m})
	p := start(t, "hold", path)
	if _, ok := tab.TGID(p.pid); !ok {
		t.Fatal("child is not known")
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	if got, ok := tab.TGID(p.pid); ok && got == p.pid {
		// The number may have been reused by now, but then it is alive.
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.pid)); err != nil {
			t.Errorf("TGID of a dead process = %d", got)
		}
	}

	root := t.TempDir()
	fake := newTable(t, Options{Proc: root})
	writeStatus(t, root, 7, 70, 64)
	if got, _ := fake.TGID(7); got != 70 {
		t.Fatalf("TGID(7) = %d, want 70", got)
	}
	if err := os.RemoveAll(filepath.Join(root, "7")); err != nil {
		t.Fatal(err)
	}
	writeStatus(t, root, 7, 71, 64)
	if got, _ := fake.TGID(7); got != 71 {
		t.Errorf("TGID(7) after reuse = %d, want 71", got)
	}
}

// writeStatus makes the /proc of a thread in a directory of ours.
func writeStatus(t *testing.T, root string, tid, tgid, fdSize int) string {
	t.Helper()
	dir := filepath.Join(root, strconv.Itoa(tid))
	if err := os.MkdirAll(filepath.Join(dir, "fdinfo"), 0o755); err != nil {
		t.Fatal(err)
	}
	st := fmt.Sprintf("Name:\tx\nTgid:\t%d\nUid:\t%d\t%d\t0\t0\nFDSize:\t%d\n", tgid, os.Geteuid(), os.Geteuid(), fdSize)
	for name, text := range map[string]string{"status": st, "comm": "x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCacheIsBounded(t *testing.T) {
	root := t.TempDir()
	tab := New(Options{Proc: root})
	for tid := 1; tid <= maxThreads+50; tid++ {
		writeStatus(t, root, tid, tid, 64)
		if _, ok := tab.TGID(uint32(tid)); !ok {
			t.Fatalf("TGID(%d) is not known", tid)
		}
	}
	if n := len(tab.threads); n > maxThreads {
		t.Errorf("%d threads cached", n)
	}
	dirs := []int{}
	for _, th := range tab.threads {
		dirs = append(dirs, th.dir)
	}
	tab.Close()
	for _, fd := range dirs {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) && isDir(fd, root) {
			t.Errorf("descriptor %d is still open", fd)
		}
	}
}

// isDir tells whether the descriptor, possibly reused, is still below root.
func isDir(fd int, root string) bool {
	s, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return err == nil && len(s) > len(root) && s[:len(root)] == root
}

func TestCopies(t *testing.T) {
	path, ino, m := target(t)
	tab := newTable(t, Options{Mount: m})
	check := func(t *testing.T, pid uint32, want int) {
		t.Helper()
		if l := tab.Copies(pid, ino, unix.O_WRONLY); l.Count != want || len(l.At) != want || !l.Known {
			t.Errorf("Copies = %+v, want %d", l, want)
		}
		checkScan(t, tab, pid, ino, want)
	}
	t.Run("reader", func(t *testing.T) { check(t, start(t, "reader", path).pid, 0) })
	t.Run("dup", func(t *testing.T) {
		p := start(t, "dup", path)
		for _, want := range []int{2, 1, 0} {
			check(t, p.pid, want)
			if want > 0 {
				p.step()
				p.expect("ready")
			}
		}
	})
	t.Run("position", func(t *testing.T) {
		p := start(t, "seek", path)
		if l := tab.Copies(p.pid, ino, unix.O_WRONLY); len(l.At) != 1 || l.At[0] != 12345 {
			t.Errorf("Copies = %+v, want one at 12345", l)
		}
	})
	t.Run("fork", func(t *testing.T) {
		p := start(t, "fork", path)
		pid, err := strconv.ParseUint(p.line(), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		p.expect("ready")
		check(t, p.pid, 0)
		check(t, uint32(pid), 2) // inherited, and opened again
	})
	t.Run("exec closes", func(t *testing.T) {
		p := start(t, "exec", path)
		check(t, p.pid, 1)
		p.step()
		p.expect("ready")
		check(t, p.pid, 1) // the new program opens the file itself: once, not twice
	})
	t.Run("killed", func(t *testing.T) {
		p := start(t, "hold", path)
		if l := tab.Copies(p.pid, ino, unix.O_WRONLY); !l.Alive {
			t.Errorf("Copies = %+v of a live process", l)
		}
		_ = p.cmd.Process.Kill()
		eventually(t, "the dead process holds nothing", func() bool {
			l := tab.Copies(p.pid, ino, unix.O_WRONLY)
			return l.Count == 0 && l.Known && !l.Alive
		})
	})
	t.Run("main thread ended", func(t *testing.T) {
		p := start(t, "leaderless", path)
		eventually(t, "the main thread ends", func() bool {
			st, err := tab.status(p.pid)
			return err == nil && st.fdSize == 0
		})
		check(t, p.pid, 1)
	})
	t.Run("nobody", func(t *testing.T) {
		eventually(t, "nobody holds it", func() bool {
			return len(tab.CopyHolders(ino, unix.O_WRONLY).Counts) == 0
		})
	})
}

// TestNotOurselves: what serves the mount has nothing open on it, and is not
// looked at.
func TestNotOurselves(t *testing.T) {
	path, ino, m := target(t)
	tab := newTable(t, Options{Mount: m})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if l := tab.Copies(self(), ino, unix.O_WRONLY); l.Count != 1 {
		t.Errorf("Copies = %+v, want one", l)
	}
	if s := tab.CopyHolders(ino, unix.O_WRONLY); s.Counts[self()] != 0 {
		t.Errorf("CopyHolders = %+v", s)
	}
}

// In another mount of the same device the id differs and the device tells;
// on another device an equal inode number is nothing.
func TestOtherMountIDs(t *testing.T) {
	path, ino, m := target(t)
	p := start(t, "hold", path)
	tests := []struct {
		name string
		m    Mount
		want int
	}{
		{"same", m, 1},
		{"bind mount", Mount{ID: -1, Dev: m.Dev}, 1},
		{"other device", Mount{ID: -1, Dev: "0:0"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := newTable(t, Options{Mount: tt.m})
			if l := tab.Copies(p.pid, ino, unix.O_WRONLY); l.Count != tt.want || !l.Known {
				t.Errorf("Copies = %+v; want %d", l, tt.want)
			}
			checkScan(t, tab, p.pid, ino, tt.want)
		})
	}
	tab := newTable(t, Options{Mount: Mount{ID: -1, Dev: "0:0"}})
	if !tab.ours(openFile{pid: self(), mount: -5, ino: ownInodes | 1}) {
		t.Error("an inode only we number, on a mount nobody knows, is not ours")
	}
	if tab.ours(openFile{pid: self(), mount: -5, ino: 12}) {
		t.Error("a common inode number on a mount nobody knows is ours")
	}
}

func TestUnreadableIsNotKnown(t *testing.T) {
	root := t.TempDir()
	dir := writeStatus(t, root, 5, 5, 64)
	if err := os.WriteFile(filepath.Join(dir, "fd"), nil, 0o644); err != nil { // not a directory
		t.Fatal(err)
	}
	tab := newTable(t, Options{Proc: root, Mount: Mount{ID: 1}})
	if l := tab.Copies(5, 9, unix.O_WRONLY); l.Count != 0 || l.Known {
		t.Errorf("Copies = %+v, want none, not known", l)
	}
	if s := tab.CopyHolders(9, unix.O_WRONLY); len(s.Counts) != 0 || s.Known || !s.InTime {
		t.Errorf("CopyHolders = %+v, want none, not known, in time", s)
	}
	// Another process that can be seen is found all the same.
	dir = writeStatus(t, root, 6, 6, 64)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "fd"), 0o755), os.Mkdir(filepath.Join(dir, "fd", "3"), 0o300)); err != nil {
		t.Fatal(err)
	}
	info := "pos:\t0\nflags:\t0100001\nmnt_id:\t1\nino:\t9\n"
	if err := os.WriteFile(filepath.Join(dir, "fdinfo", "3"), []byte(info), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := tab.CopyHolders(9, unix.O_WRONLY); s.Counts[6] != 1 || s.Known || !s.InTime {
		t.Errorf("CopyHolders = %+v, want one of 6, not known, in time", s)
	}
	// Out of time: not known, and no error.
	slow := New(Options{Proc: root, Mount: Mount{ID: 1}, ScanTimeout: 1})
	if s := slow.CopyHolders(9, unix.O_WRONLY); len(s.Counts) != 0 || s.Known || s.InTime {
		t.Errorf("CopyHolders without time = %+v", s)
	}
}

func TestFate(t *testing.T) {
	path, _, m := target(t)
	tab := newTable(t, Options{Mount: m})
	tests := []struct {
		name string
		mode string
		end  func(p *proc)
		want Fate
	}{
		{"alive", "hold", func(*proc) {}, Fate{Alive, 0}},
		{"exit 0", "hold", func(p *proc) { _ = p.in.Close() }, Fate{Exited, 0}},
		{"exit 3", "exit", func(p *proc) { p.step() }, Fate{Exited, 3}},
		{"SIGKILL", "hold", func(p *proc) { _ = p.cmd.Process.Signal(syscall.SIGKILL) }, Fate{Killed, 9}},
		{"SIGTERM", "hold", func(p *proc) { _ = p.cmd.Process.Signal(syscall.SIGTERM) }, Fate{Killed, 15}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, tt.mode, path)
			tt.end(p)
			// Not waited for, the child stays behind as a zombie: like a
			// thread inside the FLUSH of its exit, it has no descriptors.
			eventually(t, fmt.Sprintf("fate is %+v", tt.want), func() bool {
				got := tab.Fate(p.pid)
				if got.State != Alive && got.State != tt.want.State {
					t.Fatalf("Fate = %+v, want %+v", got, tt.want)
				}
				return got == tt.want
			})
		})
	}
}

// A stat that does not answer costs the timeout, not the caller; and only so
// many are tried.
func TestFateNeverBlocks(t *testing.T) {
	root := t.TempDir()
	dir := writeStatus(t, root, 5, 5, 0)
	fifo := filepath.Join(dir, "stat")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tab := New(Options{Proc: root, StatTimeout: 1})
	for range maxStats + 3 {
		if f := tab.Fate(5); f.State != Unknown {
			t.Fatalf("Fate = %+v, want Unknown", f)
		}
	}
	if n := len(tab.stats); n > maxStats {
		t.Errorf("%d readers are stuck", n)
	}
	// Opened for writing and closed, the pipe lets its readers go.
	eventually(t, "the readers end", func() bool {
		if fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
			_ = unix.Close(fd)
		}
		return len(tab.stats) == 0
	})
}

func TestFateHiddenFromOtherUsers(t *testing.T) {
	root := t.TempDir()
	writeStatus(t, root, 5, 5, 0)
	tab := New(Options{Proc: root})
	tab.euid = uint32(os.Geteuid()) + 1
	if f := tab.Fate(5); f.State != Unknown {
		t.Errorf("Fate of another user's thread = %+v, want Unknown", f)
	}
}

func TestFindMount(t *testing.T) {
	m, err := FindMount("/proc")
	if err != nil || m.ID == 0 || m.Dev == "" {
		t.Errorf("FindMount(/proc) = %+v, %v", m, err)
	}
	if _, err := FindMount(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("FindMount of a plain directory = %v", err)
	}
}
