package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const aclDefault = "system.posix_acl_default"

// newcomer is the ownership that a new file gets.
type newcomer struct {
	mode     uint32 // permission and set-id bits, the caller's umask taken off
	uid, gid uint32
	raw      uint32 // as asked for, which is what a default ACL works on
	acl      bool   // the directory has a default ACL: the umask doesn't count
	setgid   bool   // the group was inherited from the directory
}

// newcomerIn works out what a file that is made in a directory gets: the
// caller's user; the directory's group if it is set-group-id, else the
// caller's; the umask, unless the directory has a default ACL.
// The caller holds names.
func (s *fileSystem) newcomerIn(parent int, owner fuse.Owner, mode, umask uint32) (newcomer, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, "", &st, unix.AT_EMPTY_PATH); err != nil {
		return newcomer{}, err
	}
	c := newcomer{raw: mode & 07777, uid: owner.Uid, gid: owner.Gid}
	if st.Mode&unix.S_ISGID != 0 {
		c.gid, c.setgid = st.Gid, true
	}
	if _, err := unix.Getxattr(procPath(parent), aclDefault, nil); err == nil {
		c.acl = true
	}
	c.mode = c.raw
	if !c.acl {
		c.mode &^= umask & 0777
	}
	return c, nil
}

// settleIn gives a new file beneath what it gets. name is "" if fd is the
// file itself.
func (c newcomer) settleIn(fd int, name string, kind uint32) error {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_EMPTY_PATH
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, flags); err != nil {
		return err
	}
	if st.Uid != c.uid || st.Gid != c.gid {
		if err := unix.Fchownat(fd, name, int(c.uid), int(c.gid), flags); err != nil {
			return err
		}
	}
	if kind == unix.S_IFLNK {
		return nil
	}
	want := c.mode
	if c.acl {
		want = st.Mode&0777 | c.mode&07000
	}
	if kind == unix.S_IFDIR && c.setgid {
		want |= unix.S_ISGID
	}
	if name == "" {
		return unix.Chmod(procPath(fd), want)
	}
	opened, err := openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(opened) }()
	return unix.Chmod(procPath(opened), want)
}

// make runs one call that makes a name beneath, gives the result its owner and
// mode, and tells the kernel of it. A name that can't be finished is removed.
func (s *fileSystem) make(in *fuse.InHeader, name string, mode, umask uint32, out *fuse.EntryOut,
	call func(parent int, mode uint32) error) error {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return err
	}
	if s.reserved(dir, name) {
		return syscall.EPERM
	}
	n, err := s.makeIn(dir, in, name, mode, umask, call)
	if err != nil {
		return err
	}
	return s.entry(n, in, out)
}

func (s *fileSystem) makeIn(dir *node, in *fuse.InHeader, name string, mode, umask uint32,
	call func(parent int, mode uint32) error) (*node, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	if err := s.free(dir, name); err != nil {
		return nil, err
	}
	parent, err := s.dirFD(dir)
	if err != nil {
		return nil, err
	}
	c, err := s.newcomerIn(parent, in.Owner, mode, umask)
	if err != nil {
		return nil, err
	}
	asked := c.mode
	if c.acl {
		asked = c.raw
	}
	if err := retry(func() error { return call(parent, asked) }); err != nil {
		return nil, err
	}
	kind := mode & unix.S_IFMT
	if err := c.settleIn(parent, name, kind); err != nil {
		flags := 0
		if kind == unix.S_IFDIR {
			flags = unix.AT_REMOVEDIR
		}
		_ = unix.Unlinkat(parent, name, flags)
		return nil, err
	}
	return s.findPlain(dir, name)
}

// free fails if a name that is not beneath is taken all the same: committed
// but not published, or being written. The caller holds names.
func (s *fileSystem) free(dir *node, name string) error {
	path, rule, err := s.childPath(dir, name)
	if err != nil {
		return err
	}
	if rule == nil {
		return nil
	}
	if _, ok := s.store.Pending(path); ok {
		return syscall.EEXIST
	}
	if known := s.tree.child(dir, name); known != nil {
		if d := known.doc.Load(); d != nil && d.taken() {
			return syscall.EEXIST
		}
	}
	return nil
}

// Mkdir makes a directory.
func (s *fileSystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return toStatus(s.make(&in.InHeader, name, unix.S_IFDIR|in.Mode&07777, in.Umask, out,
		func(parent int, mode uint32) error { return unix.Mkdirat(parent, name, mode) }))
}

// Mknod makes a device, pipe, socket or empty file. An empty file with a
// protected name is a draft that the next writer continues.
func (s *fileSystem) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Mode&unix.S_IFMT == unix.S_IFREG {
		if done, err := s.makeDraft(in, name, out); done {
			return toStatus(err)
		}
	}
	return toStatus(s.make(&in.InHeader, name, in.Mode, in.Umask, out,
		func(parent int, mode uint32) error {
			return unix.Mknodat(parent, name, in.Mode&unix.S_IFMT|mode, int(in.Rdev))
		}))
}

// Symlink makes a symbolic link, which no rule protects whatever its name is.
func (s *fileSystem) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return toStatus(s.make(in, name, unix.S_IFLNK|0777, 0, out,
		func(parent int, _ uint32) error { return unix.Symlinkat(target, parent, name) }))
}

// Readlink reads a symbolic link.
func (s *fileSystem) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return nil, fuse.Status(syscall.ESTALE)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	fd, name, err := s.at(n)
	if err != nil {
		return nil, toStatus(err)
	}
	buf := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return nil, toStatus(stale(err))
	}
	return buf[:size], fuse.OK
}

// Create makes a file and opens it.
func (s *fileSystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	if s.reserved(dir, name) {
		return fuse.EPERM
	}
	s.names.RLock()
	_, rule, err := s.childPath(dir, name)
	s.names.RUnlock()
	switch {
	case err != nil:
		return toStatus(err)
	case rule != nil:
		return toStatus(s.createDoc(dir, name, rule, in, out))
	}
	return toStatus(s.createPlain(dir, name, in, out))
}

func (s *fileSystem) createPlain(dir *node, name string, in *fuse.CreateIn, out *fuse.CreateOut) error {
	fd := -1
	flags := int(in.Flags)&plainFlags&^unix.O_TRUNC | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW
	n, err := s.makeIn(dir, &in.InHeader, name, unix.S_IFREG|in.Mode&07777, in.Umask,
		func(parent int, mode uint32) error {
			var err error
			fd, err = openat(parent, name, flags, mode)
			return err
		})
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return err
	}
	if err := s.entry(n, &in.InHeader, &out.EntryOut); err != nil {
		_ = unix.Close(fd)
		return err
	}
	s.openedPlain(n, fd, in.Pid, in.Flags, &out.OpenOut)
	return nil
}

// Tmpfile makes a file without a name, and opens it. A later link gives it
// one; if that is protected its content is judged then.
func (s *fileSystem) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	s.names.RLock()
	n, fd, err := s.tmpfileIn(dir, in)
	s.names.RUnlock()
	if err != nil {
		return toStatus(err)
	}
	if err := s.entry(n, &in.InHeader, &out.EntryOut); err != nil {
		_ = unix.Close(fd)
		return toStatus(err)
	}
	s.openedPlain(n, fd, in.Pid, in.Flags, &out.OpenOut)
	return fuse.OK
}

func (s *fileSystem) tmpfileIn(dir *node, in *fuse.CreateIn) (*node, int, error) {
	parent, err := s.dirFD(dir)
	if err != nil {
		return nil, -1, err
	}
	c, err := s.newcomerIn(parent, in.Owner, in.Mode, in.Umask)
	if err != nil {
		return nil, -1, err
	}
	mode := c.mode
	if c.acl {
		mode = c.raw
	}
	flags := int(in.Flags)&(unix.O_ACCMODE|unix.O_EXCL) | unix.O_TMPFILE
	fd, err := openat(parent, ".", flags, mode)
	if err != nil {
		return nil, -1, err
	}
	var st unix.Stat_t
	err = c.settleIn(fd, "", unix.S_IFREG)
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	orphan := -1
	if err == nil {
		orphan, err = dup(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, -1, err
	}
	n := s.tree.enterNameless(inoKey{st.Dev, st.Ino}, unix.S_IFREG)
	n.orphanFD = orphan
	return n, fd, nil
}
