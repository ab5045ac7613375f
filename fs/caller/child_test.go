package caller

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the child: CALLER_CHILD says what it does with the
// file named by CALLER_FILE. It says "ready", and goes on at each line it
// reads; at the end of its input it exits.
func TestMain(m *testing.M) {
	if mode := os.Getenv("CALLER_CHILD"); mode != "" {
		runtime.LockOSThread() // the goroutine of main is on the main thread
		child(mode, os.Getenv("CALLER_FILE"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(mode, file string) {
	in := bufio.NewReader(os.Stdin)
	next := func() {
		fmt.Println("ready")
		if _, err := in.ReadString('\n'); err != nil {
			os.Exit(0)
		}
	}
	flags := unix.O_WRONLY
	if mode == "reader" {
		flags = unix.O_RDONLY
	}
	fd, err := unix.Open(file, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		os.Exit(9)
	}
	switch mode {
	case "exit":
		next()
		os.Exit(3)
	case "dup":
		dup, _ := unix.Dup(fd)
		next()
		_ = unix.Close(fd)
		next()
		_ = unix.Close(dup)
	case "seek":
		_, _ = unix.Seek(fd, 12345, unix.SEEK_SET)
	case "fork":
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "CALLER_CHILD=wait")
		cmd.Stdin = os.Stdin
		cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), file)}
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			os.Exit(9)
		}
		_ = cmd.ExtraFiles[0].Close()
		fmt.Println(cmd.Process.Pid)
	case "exec":
		next()
		_ = os.Setenv("CALLER_CHILD", "wait")
		fmt.Println(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
		os.Exit(9)
	case "leaderless":
		go func() {
			for {
				next()
			}
		}()
		_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	}
	for {
		next()
	}
}

type proc struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	pid uint32
}

// start runs a child and waits until it is ready.
func start(t *testing.T, mode, file string) *proc {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "CALLER_CHILD="+mode, "CALLER_FILE="+file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	p := &proc{t: t, cmd: cmd, in: in, out: bufio.NewReader(r), pid: uint32(cmd.Process.Pid)}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = r.Close()
	})
	if mode != "fork" {
		p.expect("ready")
	}
	return p
}

func (p *proc) expect(want string) {
	p.t.Helper()
	if got := p.line(); got != want {
		p.t.Fatalf("child says %q, want %q", got, want)
	}
}

func (p *proc) line() string {
	p.t.Helper()
	s, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("read from child: %v", err)
	}
	return strings.TrimSpace(s)
}

func (p *proc) step() {
	p.t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		p.t.Fatal(err)
	}
}

// eventually polls for what another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// target makes a file and tells its inode and mount.
func target(t *testing.T) (path string, ino uint64, m Mount) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	info, err := parseFdinfo(b)
	if err != nil {
		t.Fatal(err)
	}
	b, err = os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range parseMountinfo(b) {
		if l.ID == info.mount {
			return path, info.ino, l.Mount
		}
	}
	t.Fatalf("mount %d is not in mountinfo", info.mount)
	return "", 0, Mount{}
}

func newTable(t *testing.T, o Options) *Table {
	t.Helper()
	if o.ScanTimeout == 0 {
		o.ScanTimeout = 60 * time.Second // a loaded machine is no fault
	}
	if o.StatTimeout == 0 {
		o.StatTimeout = 60 * time.Second
	}
	tab := New(o)
	t.Cleanup(tab.Close)
	return tab
}

func self() uint32 { return uint32(os.Getpid()) }
