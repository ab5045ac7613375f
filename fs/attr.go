package fs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// How long the kernel may keep what it was told. The backing directory is
// changed by nobody but us, so what a request through the mount did not change
// stays true.
const (
	entryTimeout = time.Minute
	attrTimeout  = time.Minute
	// dirTimeout is shorter: publishing behind moves a directory's times.
	dirTimeout = time.Second
	docTimeout = time.Second
)

func timeoutFor(kind uint32) time.Duration {
	if kind == unix.S_IFDIR {
		return dirTimeout
	}
	return attrTimeout
}

// fillAttr translates what the backing file system says of a file.
func fillAttr(out *fuse.Attr, st *unix.Stat_t) {
	*out = fuse.Attr{
		Ino: st.Ino, Size: uint64(st.Size), Blocks: uint64(st.Blocks),
		Mode: st.Mode, Nlink: uint32(st.Nlink),
		Owner:   fuse.Owner{Uid: st.Uid, Gid: st.Gid},
		Rdev:    uint32(st.Rdev),
		Blksize: uint32(st.Blksize),
	}
	setTime(&out.Atime, &out.Atimensec, st.Atim)
	setTime(&out.Mtime, &out.Mtimensec, st.Mtim)
	setTime(&out.Ctime, &out.Ctimensec, st.Ctim)
}

func setTime(sec *uint64, nsec *uint32, ts unix.Timespec) {
	*sec, *nsec = uint64(ts.Sec), uint32(ts.Nsec)
}

// attributes tells the attributes of a node as the caller may see them, and
// for how long they stay true.
func (s *fileSystem) attributes(n *node, caller *fuse.InHeader, out *fuse.Attr) (time.Duration, error) {
	if d := n.doc.Load(); d != nil {
		return s.docAttributes(d, caller, out)
	}
	s.names.RLock()
	st, err := s.stat(n)
	s.names.RUnlock()
	if n.id == rootID {
		st, err = s.rootSeen.or(st, err)
	}
	if err != nil {
		return 0, err
	}
	fillAttr(out, &st)
	return timeoutFor(n.kind), nil
}

// GetAttr answers stat, fstat and the kernel's own refresh. The handle that
// may come with it says nothing: fstat never sends one.
func (s *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return fuse.Status(unix.ESTALE)
	}
	timeout, err := s.attributesFor(n, in, &out.Attr)
	out.SetTimeout(timeout)
	return toStatus(err)
}

// Statx answers statx where it asks for more than GetAttr tells: the time of
// birth.
func (s *fileSystem) Statx(_ <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return fuse.Status(unix.ESTALE)
	}
	var attr fuse.Attr
	timeout, err := s.attributes(n, &in.InHeader, &attr)
	if err != nil {
		return toStatus(err)
	}
	out.SetTimeout(timeout)
	fillStatx(out, &attr)
	s.fillBirth(n, out)
	return fuse.OK
}

// fillStatx translates what GetAttr tells.
func fillStatx(out *fuse.StatxOut, attr *fuse.Attr) {
	out.Mask = unix.STATX_BASIC_STATS
	out.Blksize, out.Nlink, out.Uid, out.Gid = attr.Blksize, attr.Nlink, attr.Uid, attr.Gid
	out.Mode, out.Ino, out.Size, out.Blocks = uint16(attr.Mode), attr.Ino, attr.Size, attr.Blocks
	out.Atime = fuse.SxTime{Sec: attr.Atime, Nsec: attr.Atimensec}
	out.Mtime = fuse.SxTime{Sec: attr.Mtime, Nsec: attr.Mtimensec}
	out.Ctime = fuse.SxTime{Sec: attr.Ctime, Nsec: attr.Ctimensec}
	out.RdevMajor, out.RdevMinor = unix.Major(uint64(attr.Rdev)), unix.Minor(uint64(attr.Rdev))
}

// fillBirth adds the time of birth and the file flags, where there are any.
func (s *fileSystem) fillBirth(n *node, out *fuse.StatxOut) {
	s.names.RLock()
	defer s.names.RUnlock()
	fd, name, err := s.at(n)
	if err != nil {
		return
	}
	var sx unix.Statx_t
	if err := unix.Statx(fd, name, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &sx); err != nil {
		return
	}
	if sx.Mask&unix.STATX_BTIME != 0 {
		out.Mask |= unix.STATX_BTIME
		out.Btime = fuse.SxTime{Sec: uint64(sx.Btime.Sec), Nsec: sx.Btime.Nsec}
	}
	out.Attributes, out.AttributesMask = sx.Attributes, sx.Attributes_mask
}

// Access is not asked under default_permissions: the kernel judges itself.
func (s *fileSystem) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

// StatFs tells the space of the backing file system.
func (s *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(s.rootFD, &st) }); err != nil {
		return toStatus(err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail,
		Files: st.Files, Ffree: st.Ffree,
		Bsize: uint32(st.Bsize), NameLen: uint32(st.Namelen), Frsize: uint32(st.Frsize),
	}
	return fuse.OK
}
