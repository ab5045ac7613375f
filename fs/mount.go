// Package fs is the file system that programs see: it turns what the kernel
// asks over FUSE into calls on the backing directory, for files that no rule
// protects, and into transactions that end in one commit, for those that a
// rule does.
//
// Nodes and handles are our own and counted up, never reused. A protected file
// is one node for as long as its name is known, whatever inode holds its newest
// version; everybody who opens it reads one committed version, and every open
// for writing has a private stage that nobody else sees.
package fs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/caller"
	"intactfs/fs/locks"
)

// DefaultIdleCommit is how long a handle that stays open must be quiet before
// a whole document in it is committed.
const DefaultIdleCommit = 200 * time.Millisecond

// Options says what to mount where, and with what behind it.
type Options struct {
	// Root is the backing directory, opened before anything is mounted
	// over it. It stays the caller's to close, after Wait.
	Root *os.File
	// RootPath is the absolute path of the backing directory: the source
	// that the mount table shows.
	RootPath string
	// MountPoint is where the mount goes; it may be RootPath.
	MountPoint string
	Store      Store
	Rules      Rules
	Log        *slog.Logger
	// Control is the path of the daemon's socket, for those who find the
	// mount and look for the daemon; empty if there is none.
	Control string
	// IdleCommit is the quiet time after which a whole document in a handle
	// that stays open is committed; 0 means DefaultIdleCommit, less never.
	IdleCommit time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Past is what the view of history below .intact shows; nil leaves the
	// view out.
	Past Past
	// PastTime reads a time as people type it, for the names below
	// .intact/at; nil knows none.
	PastTime func(text string) (time.Time, error)
	// Debug logs every request and reply.
	Debug bool
	// FuseOptions are further mount options, as for mount -o.
	FuseOptions []string
	// PrivateToUser leaves out allow_other, for a daemon that may not ask
	// for it.
	PrivateToUser bool

	pace *pace         // how long to wait for sendfile and the like, if not as usual
	proc string        // where procfs is, if not at /proc
	scan time.Duration // bounds a look at all processes, if not 0
}

// fileSystem serves the kernel's requests. It is safe for concurrent use.
type fileSystem struct {
	root     string
	rootFD   int
	rootDev  uint64
	rootSeen lastSeen
	control  string
	store    Store
	rules    Rules
	log      *slog.Logger
	now      func() time.Time
	idle     time.Duration
	pace     pace
	server   *fuse.Server
	ctx      context.Context // of the mount: requests outlive whoever asked
	who      *caller.Table
	locks    *locks.Table

	tree    *tree
	handles handleTable
	counts  counters

	lockersMu sync.Mutex
	lockers   map[uint64]map[uint64]struct{} // by handle: owners of POSIX locks

	// names is held shared from finding where a file is beneath until that
	// name is used by one quick call, and exclusively while names change.
	names sync.RWMutex
	// commits is held shared by everything that commits, and exclusively
	// while a directory with protected files in it gets another name.
	commits sync.RWMutex
}

var _ fuse.RawFileSystem = (*fileSystem)(nil)

// Server is one mount that is being served.
type Server struct {
	fs    *fileSystem
	fuse  *fuse.Server
	point string
	mount caller.Mount
	done  chan struct{}
}

// Mount mounts and returns as soon as the kernel accepted it; nothing is
// answered before Serve runs. It fails when the mount point is missing, is not
// a directory or may not be mounted on.
func Mount(ctx context.Context, o Options) (*Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Root == nil || o.Store == nil || o.Rules == nil {
		return nil, errors.New("mount: a root, a store and rules are needed")
	}
	s, err := newFileSystem(context.WithoutCancel(ctx), o)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.MountPoint, err)
	}
	// As the mount table will name it.
	if o.MountPoint, err = filepath.EvalSymlinks(o.MountPoint); err == nil {
		o.MountPoint, err = filepath.Abs(o.MountPoint)
	}
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	var raw fuse.RawFileSystem = s
	if o.Past != nil {
		raw = viewed{s, newView(s, o)}
	}
	server, err := fuse.NewServer(raw, o.MountPoint, mountOptions(o))
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.MountPoint, err)
	}
	point, err := caller.FindMount(o.MountPoint)
	if err != nil {
		s.log.Warn("who closes a file can't be told", "error", err)
	}
	s.who = caller.New(caller.Options{Mount: point, Proc: o.proc, ScanTimeout: o.scan})
	return &Server{fs: s, fuse: server, point: o.MountPoint, mount: point, done: make(chan struct{})}, nil
}

func newFileSystem(ctx context.Context, o Options) (*fileSystem, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(o.Root.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", o.RootPath, err)
	}
	// A descriptor of our own: O_PATH, so that *at calls through it need
	// no read permission, and closing Root early does no harm.
	fd, err := dup(int(o.Root.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.RootPath, err)
	}
	s := &fileSystem{
		ctx:     ctx,
		locks:   locks.New(),
		lockers: map[uint64]map[uint64]struct{}{},
		root:    o.RootPath,
		rootFD:  fd,
		rootDev: st.Dev,
		control: o.Control,
		store:   o.Store,
		rules:   o.Rules,
		log:     o.Log,
		now:     o.Now,
		idle:    o.IdleCommit,
		pace:    defaultPace,
		tree:    newTree(fd, inoKey{st.Dev, st.Ino}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if o.pace != nil {
		s.pace = *o.pace
	}
	if s.idle == 0 {
		s.idle = DefaultIdleCommit
	}
	s.handles.init()
	return s, nil
}

func mountOptions(o Options) *fuse.MountOptions {
	options := []string{"default_permissions"}
	options = append(options, o.FuseOptions...)
	return &fuse.MountOptions{
		AllowOther:  !o.PrivateToUser,
		Options:     options,
		FsName:      o.RootPath,
		Name:        "intact",
		Debug:       o.Debug,
		Logger:      libraryLog(o.Log, o.Debug),
		DirectMount: os.Geteuid() == 0,
		MaxWrite:    1 << 20,
		// Splicing a megabyte needs a larger pipe than the kernel gives.
		DisableSplice: true,
		// Unlocking a file that was changed under the lock commits it.
		EnableLocks:          true,
		EnableAcl:            true,
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_DONT_MASK |
			fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_HAS_RESEND,
		PanicHandler: panicHandler(o.Log),
	}
}

// libraryLog is where go-fuse tells every request when that is asked for, and
// otherwise only what it can't make sense of.
func libraryLog(to *slog.Logger, debug bool) *log.Logger {
	if to == nil {
		return nil
	}
	level := slog.LevelWarn
	if debug {
		level = slog.LevelDebug
	}
	return slog.NewLogLogger(to.Handler(), level)
}

func panicHandler(to *slog.Logger) func(any) fuse.Status {
	return func(cause any) fuse.Status {
		if to != nil {
			to.Error("request handler panicked", "cause", cause, "stack", stack())
		}
		return fuse.EIO
	}
}

// Serve answers requests until the mount is gone.
func (v *Server) Serve() {
	defer close(v.done)
	v.fuse.Serve()
}

// Wait returns when Serve has ended.
func (v *Server) Wait() { <-v.done }

// Unmount unmounts. While programs use the mount it fails with an error that
// wraps EBUSY and names those that are known to hold a file open.
func (v *Server) Unmount() error {
	err := syscall.Unmount(v.point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, syscall.EPERM) {
		err = v.fuse.Unmount() // by fusermount, for those who are not root
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, syscall.EBUSY) && !strings.Contains(err.Error(), "busy"):
		return fmt.Errorf("unmount %s: %w", v.point, err)
	}
	return fmt.Errorf("unmount %s: %w%s", v.point, syscall.EBUSY, v.fs.holders())
}

// String names the file system in the debug log.
func (s *fileSystem) String() string { return "intact" }

// SetDebug does nothing: debugging is chosen at mount.
func (s *fileSystem) SetDebug(bool) {}

// Init is told the server before the first request.
func (s *fileSystem) Init(server *fuse.Server) { s.server = server }

// OnUnmount is told after the last request.
func (s *fileSystem) OnUnmount() {
	s.locks.Close()
	// A mount that was torn down leaves handles that nobody releases.
	s.handles.each(func(f openFile) { f.release() })
	s.who.Close()
	s.tree.atRoot.closeFDs()
}
