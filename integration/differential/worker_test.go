package differential

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// roleVar makes the test binary one of the processes that perform calls.
const roleVar = "INTACT_DIFFERENTIAL_ROLE"

// call is one system call for a worker to make.
type call struct {
	Call   string
	Path   string `json:",omitempty"`
	Path2  string `json:",omitempty"`
	FD     int    `json:",omitempty"`
	FD2    int    `json:",omitempty"`
	Flags  int    `json:",omitempty"`
	Off    int64  `json:",omitempty"`
	Off2   int64  `json:",omitempty"`
	Len    int64  `json:",omitempty"`
	Data   []byte `json:",omitempty"`
	Keep   []int  `json:",omitempty"` // descriptors that a child inherits
	Follow bool   `json:",omitempty"`
}

// answer is what came of a call.
type answer struct {
	Errno syscall.Errno
	N     int64
	Data  []byte   `json:",omitempty"`
	Mode  uint32   `json:",omitempty"`
	Ino   uint64   `json:",omitempty"`
	Names []string `json:",omitempty"`
}

// work performs calls until its input ends.
func work() {
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var c call
		if err := json.Unmarshal(line, &c); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			return
		}
		if err := out.Encode(perform(c)); err != nil {
			return
		}
	}
}

// perform makes one call. EINTR is for the caller of a call that may take
// long; none of these may, so it is made again.
func perform(c call) answer {
	for {
		a, err := performOnce(c)
		if err == nil {
			return a
		}
		if errors.Is(err, unix.EINTR) && c.Call != "close" {
			continue
		}
		a.Errno = unix.EIO
		errors.As(err, &a.Errno)
		return a
	}
}

func performOnce(c call) (a answer, err error) {
	switch c.Call {
	case "open":
		var fd int
		fd, err = unix.Open(c.Path, c.Flags|unix.O_CLOEXEC, 0o644)
		a.N = int64(fd)
	case "pread", "read":
		a.Data, err = readSome(c)
	case "pwrite":
		a.N, err = count(unix.Pwrite(c.FD, c.Data, c.Off))
	case "write":
		a.N, err = count(unix.Write(c.FD, c.Data))
	case "ftruncate":
		err = unix.Ftruncate(c.FD, c.Len)
	case "fsync":
		err = unix.Fsync(c.FD)
	case "close":
		err = unix.Close(c.FD)
	case "dup":
		a.N, err = count(unix.FcntlInt(uintptr(c.FD), unix.F_DUPFD_CLOEXEC, 3))
	case "end":
		a.N, err = unix.Seek(c.FD, 0, unix.SEEK_END)
	case "fstat", "stat":
		err = stat(c, &a)
	case "fallocate":
		err = unix.Fallocate(c.FD, uint32(c.Flags), c.Off, c.Len)
	case "flock":
		err = unix.Flock(c.FD, c.Flags)
	case "copy":
		off, off2 := c.Off, c.Off2
		a.N, err = count(unix.CopyFileRange(c.FD, &off, c.FD2, &off2, int(c.Len), 0))
	case "linkfd":
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(c.FD), unix.AT_FDCWD, c.Path, unix.AT_SYMLINK_FOLLOW)
	case "spawn":
		a.N, err = spawn(c)
	default:
		err = performPath(c, &a)
	}
	return a, err
}

func performPath(c call, a *answer) (err error) {
	switch c.Call {
	case "truncate":
		return unix.Truncate(c.Path, c.Len)
	case "rename":
		return unix.Renameat2(unix.AT_FDCWD, c.Path, unix.AT_FDCWD, c.Path2, uint(c.Flags))
	case "unlink":
		return unix.Unlink(c.Path)
	case "mkdir":
		return unix.Mkdir(c.Path, 0o755)
	case "rmdir":
		return unix.Rmdir(c.Path)
	case "link":
		return unix.Link(c.Path, c.Path2)
	case "chmod":
		return unix.Chmod(c.Path, uint32(c.Flags))
	case "setxattr":
		return unix.Setxattr(c.Path, "user.color", c.Data, 0)
	case "getxattr":
		buf := make([]byte, 256)
		n, err := unix.Getxattr(c.Path, "user.color", buf)
		a.Data = buf[:max(n, 0)]
		return err
	case "readdir":
		entries, err := os.ReadDir(c.Path)
		for _, e := range entries {
			a.Names = append(a.Names, e.Name())
		}
		slices.Sort(a.Names)
		return err
	}
	return unix.ENOSYS
}

func count(n int, err error) (int64, error) { return int64(n), err }

func readSome(c call) ([]byte, error) {
	buf := make([]byte, c.Len)
	var n int
	var err error
	if c.Call == "read" {
		n, err = unix.Read(c.FD, buf)
	} else {
		n, err = unix.Pread(c.FD, buf, c.Off)
	}
	return buf[:max(n, 0)], err
}

func stat(c call, a *answer) error {
	var st unix.Stat_t
	var err error
	if c.Call == "fstat" {
		err = unix.Fstat(c.FD, &st)
	} else {
		err = unix.Lstat(c.Path, &st)
	}
	a.N, a.Mode, a.Ino = st.Size, st.Mode, st.Ino
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		a.N = 0 // each file system has its own idea of it
	}
	return err
}

// spawn starts a child that holds descriptors until it is told to end by way
// of a named pipe.
func spawn(c call) (int64, error) {
	pipe, err := unix.Open(c.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(pipe)
	files := []uintptr{uintptr(pipe), 2, 2}
	for _, fd := range c.Keep {
		files = append(files, uintptr(fd))
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(self, []string{self}, &syscall.ProcAttr{
		Env: []string{roleVar + "=holder"}, Files: files,
	})
	return int64(pid), err
}

// hold waits for one byte and exits as it says; the end of the pipe is the
// end of the test.
func hold() {
	b := make([]byte, 1)
	if n, err := os.Stdin.Read(b); err != nil || n == 0 {
		os.Exit(9)
	}
	os.Exit(int(b[0] - '0'))
}

// process is a worker, or a child of one, that may have descriptors.
type process struct {
	label string
	pid   int
	alive bool

	cmd *exec.Cmd // nil for a child of a worker
	in  *os.File
	out *bufio.Reader

	pipe *os.File // what a child waits at
	fd   int      // pidfd of a child
}

func startWorker(label string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{label: label, alive: true, cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), roleVar+"=worker")
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stdin, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout = stdin, stdout
	p.in, p.out = w, bufio.NewReaderSize(r, 1<<16)
	started := make(chan error)
	starts() <- func() { started <- p.cmd.Start() }
	err = <-started
	_ = stdin.Close()
	_ = stdout.Close()
	if err == nil {
		p.pid = p.cmd.Process.Pid
	}
	return p, err
}

// do has a worker make a call.
func (p *process) do(c call) (answer, error) {
	var a answer
	line, err := json.Marshal(c)
	if err != nil {
		return a, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return a, fmt.Errorf("%s is gone: %w", p.label, err)
	}
	line, err = p.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("%s is gone: %w", p.label, err)
	}
	return a, json.Unmarshal(line, &a)
}

// kill ends a worker with SIGKILL and returns when it has ended.
func (p *process) kill() {
	if p.cmd == nil || !p.alive {
		return
	}
	p.alive = false
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = p.in.Close()
}

// child has a worker start a process that inherits descriptors.
func (p *process) child(label, dir string, keep []int) (*process, error) {
	path := filepath.Join(dir, label)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	a, err := p.do(call{Call: "spawn", Path: path, Keep: keep})
	if err == nil && a.Errno != 0 {
		err = a.Errno
	}
	if err != nil {
		_ = pipe.Close()
		return nil, fmt.Errorf("start a child: %w", err)
	}
	c := &process{label: label, pid: int(a.N), alive: true, pipe: pipe}
	if c.fd, err = unix.PidfdOpen(c.pid, 0); err != nil {
		_ = pipe.Close()
		return nil, fmt.Errorf("watch a child: %w", err)
	}
	return c, nil
}

// end ends a child: with an exit status, or by SIGKILL if that is negative.
func (p *process) end(status int) error {
	if !p.alive {
		return nil
	}
	p.alive = false
	if status < 0 {
		if err := unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0); err != nil {
			return err
		}
	} else if _, err := p.pipe.Write([]byte{byte('0' + status)}); err != nil {
		return err
	}
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = unix.ETIMEDOUT
		}
		_ = unix.Close(p.fd)
		_ = p.pipe.Close()
		return err
	}
}
