package fs

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Everything in the backing directory is reached from the descriptor that was
// opened before the mount: a directory by its own descriptor, a file by its
// directory's descriptor and one name that is never followed. No path leads
// back through the mount, and no symbolic link leads out of it. Callers hold
// fileSystem.names, shared or exclusive, from finding a name until it is used.

// dirFD returns the O_PATH descriptor of a directory.
func (s *fileSystem) dirFD(n *node) (int, error) {
	n.fdMu.Lock()
	defer n.fdMu.Unlock()
	if n.dirFD >= 0 {
		return n.dirFD, nil
	}
	if n.kind != unix.S_IFDIR {
		return -1, syscall.ENOTDIR
	}
	if n.orphanFD >= 0 {
		return n.orphanFD, nil
	}
	l, ok := s.tree.where(n)
	if !ok {
		return -1, syscall.ESTALE
	}
	parent, err := s.dirFD(l.dir)
	if err != nil {
		return -1, err
	}
	fd, err := openat(parent, l.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, stale(err)
	}
	n.dirFD = fd
	return fd, nil
}

// at returns where a node is beneath: a directory and a name in it, or the
// node's own descriptor and no name, to be used with AT_EMPTY_PATH.
func (s *fileSystem) at(n *node) (int, string, error) {
	if n == s.tree.atRoot {
		return s.rootFD, "", nil
	}
	if l, ok := s.tree.where(n); ok {
		fd, err := s.dirFD(l.dir)
		return fd, l.name, err
	}
	n.fdMu.Lock()
	defer n.fdMu.Unlock()
	if n.orphanFD >= 0 {
		return n.orphanFD, "", nil
	}
	if n.dirFD >= 0 {
		return n.dirFD, "", nil
	}
	return -1, "", syscall.ESTALE
}

// stat reads the backing attributes of a node.
func (s *fileSystem) stat(n *node) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, name, err := s.at(n)
	if err != nil {
		return st, err
	}
	err = retry(func() error {
		return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH)
	})
	return st, stale(err)
}

// openPath opens a node beneath for use with the calls that take a descriptor
// without reading or writing. The caller closes it.
func (s *fileSystem) openPath(n *node) (int, error) {
	fd, name, err := s.at(n)
	if err != nil {
		return -1, err
	}
	if name == "" {
		return dup(fd)
	}
	opened, err := openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	return opened, stale(err)
}

// openNode opens a node beneath with the given flags. The caller closes it.
func (s *fileSystem) openNode(n *node, flags int) (int, error) {
	fd, name, err := s.at(n)
	if err != nil {
		return -1, err
	}
	if name == "" {
		return openat(unix.AT_FDCWD, procPath(fd), flags, 0)
	}
	opened, err := openat(fd, name, flags|unix.O_NOFOLLOW, 0)
	return opened, stale(err)
}

// keepOrphan takes a descriptor of a node before it loses its last name, so
// that its attributes can be told while it is still open somewhere.
func (s *fileSystem) keepOrphan(n *node) {
	if n == nil || n.doc.Load() != nil {
		return
	}
	fd, err := s.openPath(n)
	if err != nil {
		return
	}
	n.fdMu.Lock()
	defer n.fdMu.Unlock()
	if n.orphanFD >= 0 {
		_ = unix.Close(fd)
		return
	}
	n.orphanFD = fd
}

// dropOrphan gives back what keepOrphan took, when the name stayed after all.
func (s *fileSystem) dropOrphan(n *node) {
	if n == nil {
		return
	}
	if _, ok := s.tree.where(n); !ok {
		return
	}
	n.fdMu.Lock()
	defer n.fdMu.Unlock()
	if n.orphanFD >= 0 {
		_ = unix.Close(n.orphanFD)
		n.orphanFD = -1
	}
}

// procPath names an open descriptor for the calls that take only a path. The
// kernel jumps to the file itself: no name is looked up on the way.
func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	fd := -1
	err := retry(func() error {
		var err error
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func dup(fd int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
}

// retry repeats a call that a signal interrupted: the Go runtime sends them
// to move goroutines.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// stale turns the absence of a file that the kernel knows into ESTALE, which
// makes the kernel look the name up once more. ENOENT would reach a program
// that opens a name while another file is renamed over it.
func stale(err error) error {
	if errors.Is(err, syscall.ENOENT) {
		return syscall.ESTALE
	}
	return err
}
