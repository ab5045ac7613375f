package recdisk

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"intactfs/integration/crashlab/blocklog"
)

// serveEnv makes a program that calls Main serve disks instead: its value is
// the mount point. The control connection is descriptor controlFD.
const (
	serveEnv  = "INTACT_CRASHLAB_SERVE"
	controlFD = 3
)

// collectPercent makes the garbage collector leave the server, whose memory
// is the log of a run, alone for longer than is its way.
const collectPercent = 300

// Main turns the process into a server if Start launched it as one, and
// returns at once otherwise. Every program that uses Start calls it first.
func Main() {
	dir := os.Getenv(serveEnv)
	if dir == "" {
		return
	}
	debug.SetGCPercent(collectPercent)
	if err := serve(dir); err != nil {
		fmt.Fprintln(os.Stderr, "recording disk:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve mounts at dir and answers until the control connection ends.
func serve(dir string) error {
	fs := newFilesystem()
	server, err := fuse.NewServer(fs, dir, &fuse.MountOptions{
		FsName:            "crashlab",
		Name:              "crashlab",
		MaxWrite:          512 << 10, // a read of more does not fit the pipe it is spliced through
		DirectMountStrict: true,
	})
	if err != nil {
		return fmt.Errorf("mount at %s: %w", dir, err)
	}
	go server.Serve()
	conn, err := net.FileConn(os.NewFile(controlFD, "control"))
	if err != nil {
		return fmt.Errorf("control connection: %w", err)
	}
	control := rpc.NewServer()
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	if err := control.RegisterName("Disks", &service{fs: fs, clock: clock, images: map[string]*image{}}); err != nil {
		return fmt.Errorf("control service: %w", err)
	}
	control.ServeConn(conn)
	return nil
}

// service is what the laboratory asks of the server, as net/rpc wants it:
// one argument, one reply, an error.
type service struct {
	fs    *filesystem
	clock func() time.Duration

	mu     sync.Mutex
	images map[string]*image // by path
}

// CreateArgs asks for a disk: an empty one of Size bytes, or what the disk
// Of holds in State.
type CreateArgs struct {
	Size  int64
	Of    uint64
	State blocklog.State
}

// Create adds a disk.
func (s *service) Create(args CreateArgs, id *uint64) error {
	if args.Of == 0 {
		*id = s.fs.add(blocklog.NewDisk(args.Size, nil).Timed(s.clock))
		return nil
	}
	d, err := s.find(args.Of)
	if err != nil {
		return err
	}
	view, err := d.At(args.State)
	if err != nil {
		return err
	}
	*id = s.fs.add(blocklog.NewDisk(d.Size(), view).Timed(s.clock))
	return nil
}

func (s *service) find(id uint64) (*blocklog.Disk, error) {
	if d := s.fs.disk(id); d != nil {
		return d.Disk, nil
	}
	return nil, fmt.Errorf("disk %d: %w", id, os.ErrNotExist)
}

// Drop forgets a disk. Disks over it keep what they need.
func (s *service) Drop(id uint64, _ *bool) error {
	s.fs.drop(id)
	return nil
}

// NewImage makes an image of some size; the reply is its path.
func (s *service) NewImage(size int64, path *string) error {
	m, err := newImage(size)
	if err != nil {
		return err
	}
	*path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.file.Fd())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[*path] = m
	return nil
}

// LayArgs names an image and the state of a disk that it becomes.
type LayArgs struct {
	Image string
	Of    uint64
	State blocklog.State
}

// Lay makes an image what a disk holds in a state.
func (s *service) Lay(args LayArgs, _ *bool) error {
	s.mu.Lock()
	m := s.images[args.Image]
	s.mu.Unlock()
	if m == nil {
		return fmt.Errorf("image %s: %w", args.Image, os.ErrNotExist)
	}
	d, err := s.find(args.Of)
	if err != nil {
		return err
	}
	if d.Size() != int64(len(m.mem)) {
		return fmt.Errorf("image of %d bytes for a disk of %d: %w", len(m.mem), d.Size(), os.ErrInvalid)
	}
	view, err := d.At(args.State)
	if err != nil {
		return err
	}
	return m.lay(view)
}

// DropImage forgets an image.
func (s *service) DropImage(path string, _ *bool) error {
	s.mu.Lock()
	m := s.images[path]
	delete(s.images, path)
	s.mu.Unlock()
	if m == nil {
		return fmt.Errorf("image %s: %w", path, os.ErrNotExist)
	}
	return m.close()
}

// MarkArgs names a disk and a label for its log.
type MarkArgs struct {
	Disk  uint64
	Label string
}

// Mark puts a label into a log.
func (s *service) Mark(args MarkArgs, _ *bool) error {
	d, err := s.find(args.Disk)
	if err != nil {
		return err
	}
	d.Mark(args.Label)
	return nil
}

// Headers answers the log without the data.
func (s *service) Headers(id uint64, out *[]blocklog.Op) error {
	d, err := s.find(id)
	if err != nil {
		return err
	}
	*out = d.Headers()
	return nil
}

// Sum answers what identifies the content of a disk in a state.
func (s *service) Sum(args CreateArgs, out *blocklog.Sum) error {
	d, err := s.find(args.Of)
	if err != nil {
		return err
	}
	view, err := d.At(args.State)
	if err != nil {
		return err
	}
	*out = view.Sum()
	return nil
}

// FileArgs names a disk, a file for its log and a note to keep there.
type FileArgs struct {
	Disk uint64
	Path string
	Meta string
}

// Save writes a log to a file.
func (s *service) Save(args FileArgs, _ *bool) (err error) {
	d, err := s.find(args.Disk)
	if err != nil {
		return err
	}
	f, err := os.Create(args.Path)
	if err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return d.Save(f, args.Meta)
}

// Load adds a disk with a log from a file; the reply carries its number and
// the note.
func (s *service) Load(path string, out *FileArgs) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load log: %w", err)
	}
	d, meta, err := blocklog.Load(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	*out = FileArgs{Disk: s.fs.add(d), Path: path, Meta: meta}
	return nil
}
