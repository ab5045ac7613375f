// Package recdisk serves recording disks: a small FUSE file system, in a
// process of its own, whose files are disks in memory that log every write
// and flush (package blocklog). A loop device over such a file makes it a
// block device for a real file system.
//
// The server is the running program started again, so that a hung mount can
// be ended by killing it: see Main.
package recdisk

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/blocklog"
)

// patience bounds every request to the server. Rebuilding a state takes
// milliseconds, saving a log seconds on a busy machine.
const patience = 2 * time.Minute

// Server is a running server process. All methods may be called from
// several goroutines.
type Server struct {
	dir    string
	cmd    *exec.Cmd
	client *rpc.Client
	done   chan struct{} // closed when the process has ended
}

// Disk is a disk of a Server.
type Disk struct {
	server *Server
	id     uint64
}

// Start launches a server that mounts at dir, an empty directory. The
// process dies with its parent.
func Start(dir string) (*Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start recording disk: %w", err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start recording disk: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	conn, err := net.FileConn(ours)
	if err = errors.Join(err, ours.Close()); err != nil {
		return nil, fmt.Errorf("start recording disk: %w", errors.Join(err, theirs.Close()))
	}
	s := &Server{dir: dir, client: rpc.NewClient(conn), done: make(chan struct{})}
	s.cmd = exec.Command(self)
	s.cmd.Env = append(os.Environ(), serveEnv+"="+dir)
	s.cmd.Stderr = os.Stderr
	s.cmd.ExtraFiles = []*os.File{theirs}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = s.launch()
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, fmt.Errorf("start recording disk: %w", errors.Join(err, s.client.Close()))
	}
	// The first answer comes after the mount.
	if _, err := s.New(blocklog.PageSize); err != nil {
		return nil, fmt.Errorf("start recording disk: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

// launch starts the process from a thread that lives as long as it does: the
// kernel takes the end of that thread for the end of the parent.
func (s *Server) launch() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // it is killed: the status says only that
		}
		close(s.done)
	}()
	return <-started
}

// Kill ends the server at once; whatever waits for its disks gets errors.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended by itself
}

// Close ends the server and removes its mount. Unmount what lies on its
// disks first.
func (s *Server) Close() error {
	s.Kill()
	_ = s.client.Close() // the process is gone, so is its end
	<-s.done
	if err := unix.Unmount(s.dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount recording disk %s: %w", s.dir, err)
	}
	return nil
}

// call asks the server, and kills it when it does not answer.
func (s *Server) call(method string, args, reply any) error {
	call := s.client.Go("Disks."+method, args, reply, make(chan *rpc.Call, 1))
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("recording disk %s: %w", method, call.Error)
		}
		return nil
	case <-timer.C:
		s.Kill()
		return fmt.Errorf("recording disk %s: no answer in %v: %w", method, patience, os.ErrDeadlineExceeded)
	}
}

// New makes an empty disk.
func (s *Server) New(size int64) (*Disk, error) {
	return s.create(CreateArgs{Size: size})
}

func (s *Server) create(args CreateArgs) (*Disk, error) {
	var id uint64
	if err := s.call("Create", args, &id); err != nil {
		return nil, err
	}
	return &Disk{server: s, id: id}, nil
}

// Load makes a disk with the log that Save wrote, and returns its note.
func (s *Server) Load(path string) (*Disk, string, error) {
	var out FileArgs
	if err := s.call("Load", path, &out); err != nil {
		return nil, "", err
	}
	return &Disk{server: s, id: out.Disk}, out.Meta, nil
}

// Path is the file to put a loop device over.
func (d *Disk) Path() string { return filepath.Join(d.server.dir, fileName(d.id)) }

// At makes a disk that starts with what d holds in a state; it has a log of
// its own, and d does not change with it.
func (d *Disk) At(state blocklog.State) (*Disk, error) {
	return d.server.create(CreateArgs{Of: d.id, State: state})
}

// Sum identifies the content of d in a state.
func (d *Disk) Sum(state blocklog.State) (blocklog.Sum, error) {
	var sum blocklog.Sum
	err := d.server.call("Sum", CreateArgs{Of: d.id, State: state}, &sum)
	return sum, err
}

// Mark puts a label into the log, after every write that was answered and
// before every one that is still to come.
func (d *Disk) Mark(label string) error {
	return d.server.call("Mark", MarkArgs{Disk: d.id, Label: label}, new(bool))
}

// Headers returns the log without its data.
func (d *Disk) Headers() ([]blocklog.Op, error) {
	var ops []blocklog.Op
	err := d.server.call("Headers", d.id, &ops)
	return ops, err
}

// Save writes the log and a note to a file.
func (d *Disk) Save(path, meta string) error {
	return d.server.call("Save", FileArgs{Disk: d.id, Path: path, Meta: meta}, new(bool))
}

// Drop forgets the disk. Disks made from it stay.
func (d *Disk) Drop() error {
	return d.server.call("Drop", d.id, new(bool))
}

// Image is a disk of the server in memory alone. It records nothing and is
// several times faster than a Disk. One goroutine uses it at a time.
type Image struct {
	server *Server
	path   string
}

// NewImage makes an empty image of size bytes.
func (s *Server) NewImage(size int64) (*Image, error) {
	m := &Image{server: s}
	if err := s.call("NewImage", size, &m.path); err != nil {
		return nil, err
	}
	return m, nil
}

// Path is the file to attach a loop device to.
func (m *Image) Path() string { return m.path }

// Lay makes the image what the disk holds in a state. No device may be
// attached to it.
func (m *Image) Lay(d *Disk, state blocklog.State) error {
	return m.server.call("Lay", LayArgs{Image: m.path, Of: d.id, State: state}, new(bool))
}

// Drop forgets the image.
func (m *Image) Drop() error { return m.server.call("DropImage", m.path, new(bool)) }
