package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Link gives a file one more name. A protected file is shared with names that the
// same rule protects. Under another rule the name gets a version of its own, and
// without any, where it could be written in place, a copy.
func (s *fileSystem) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	n := s.tree.get(in.Oldnodeid)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	to, err := s.placeOf(in.NodeId, name)
	if err != nil {
		return toStatus(err)
	}
	var linked *node
	if to.rule == nil && n.doc.Load() == nil {
		linked, err = s.linkPlain(n, to)
	} else if n.kind != unix.S_IFREG {
		linked, err = s.linkPlain(n, to)
	} else {
		linked, err = s.linkContent(n, to, &in.InHeader)
	}
	if err != nil {
		return toStatus(err)
	}
	return toStatus(s.entry(linked, &in.InHeader, out))
}

// linkBeneath gives a file one more name beneath. The caller holds names.
func (s *fileSystem) linkBeneath(n *node, to place) error {
	fd, err := s.openPath(n)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	parent, err := s.dirFD(to.dir)
	if err != nil {
		return err
	}
	return unix.Linkat(unix.AT_FDCWD, procPath(fd), parent, to.name, unix.AT_SYMLINK_FOLLOW)
}

func (s *fileSystem) linkPlain(n *node, to place) (*node, error) {
	s.names.Lock()
	defer s.names.Unlock()
	if err := s.linkBeneath(n, to); err != nil {
		return nil, err
	}
	linked, err := s.findPlain(to.dir, to.name)
	if err == nil {
		s.dropOrphan(linked)
	}
	return linked, err
}

// linkContent links where either side is protected.
func (s *fileSystem) linkContent(n *node, to place, in *fuse.InHeader) (*node, error) {
	if d := n.doc.Load(); d != nil {
		if err := d.commitStaged(in); err != nil {
			return nil, err
		}
		d.commit.Lock()
		defer d.commit.Unlock()
		s.commits.RLock()
		defer s.commits.RUnlock()
		exists, err := d.settle()
		if err != nil {
			return nil, err
		}
		if !exists {
			return nil, syscall.ENOENT
		}
		switch {
		case to.rule == nil:
			return s.linkCopy(n, to)
		case sameRule(to.rule)(d):
			return s.linkShared(d, to)
		}
		return s.linkVersion(n, to, in)
	}
	s.commits.RLock()
	defer s.commits.RUnlock()
	return s.linkVersion(n, to, in)
}

// linkVersion commits the content of a file as the first version of a
// protected name. A file without any name, from O_TMPFILE, becomes the
// document itself, so that what is still written to it counts.
func (s *fileSystem) linkVersion(n *node, to place, in *fuse.InHeader) (*node, error) {
	s.names.RLock()
	err := s.free(to.dir, to.name)
	s.names.RUnlock()
	if err != nil {
		return nil, err
	}
	writes := n.writes.Load()
	got, err := s.judgeIncoming(n, to, false, in)
	if err != nil {
		return nil, err
	}
	defer got.content.Discard()
	d := s.newDocument(to.rule, freshIno())
	d.node = n
	if err := s.admit(d, got, Commit{Path: to.path, Who: s.writerOf(in), Note: "link"}); err != nil {
		return nil, err
	}
	s.names.Lock()
	defer s.names.Unlock()
	if _, named := s.tree.where(n); !named && n.doc.Load() == nil {
		d.filled.Store(true)
		s.tree.mu.Lock()
		s.tree.linkLocked(n, to.dir, to.name)
		n.lookups++
		s.tree.mu.Unlock()
		s.protect(n, d)
		s.follow(n, n.writes.Load() != writes)
		return n, nil
	}
	return s.tree.enterDoc(to.dir, to.name, func() *document { return d }), nil
}

// linkCopy makes a copy of a committed version under a name that no rule
// protects. The caller holds the document's commit lock.
func (s *fileSystem) linkCopy(n *node, to place) (*node, error) {
	s.names.Lock()
	defer s.names.Unlock()
	parent, err := s.dirFD(to.dir)
	if err != nil {
		return nil, err
	}
	fd, err := s.copyBeneath(n, parent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Linkat(unix.AT_FDCWD, procPath(fd), parent, to.name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return nil, err
	}
	return s.findPlain(to.dir, to.name)
}

// copyBeneath copies a file, with its metadata, into one without a name in the
// directory parent. The caller holds names.
func (s *fileSystem) copyBeneath(n *node, parent int) (fd int, err error) {
	from, err := s.openNode(n, unix.O_RDONLY)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(from) }()
	if fd, err = openat(parent, ".", unix.O_TMPFILE|unix.O_RDWR, 0600); err != nil {
		return -1, err
	}
	err = copyAll(from, fd)
	if err == nil {
		var a Attr
		if a, err = readAttr(from); err == nil {
			err = writeAttr(fd, a)
		}
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func copyAll(from, to int) error {
	for {
		copied, err := unix.CopyFileRange(from, nil, to, nil, copyRangeMax, 0)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || copied == 0:
			return err
		}
	}
}

// writeAttr gives a file beneath metadata that was read from another.
func writeAttr(fd int, a Attr) error {
	if err := unix.Fchown(fd, int(a.UID), int(a.GID)); err != nil {
		return err
	}
	for name, value := range a.Xattrs {
		if hiddenXattr(name) {
			continue
		}
		if err := unix.Fsetxattr(fd, name, value, 0); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, a.Mode); err != nil {
		return err
	}
	times := []unix.Timespec{timespec(a.Atime, !a.Atime.IsZero()), timespec(a.Mtime, !a.Mtime.IsZero())}
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), times, 0)
}

// writeThrough ends a stage whose document was renamed to a name that no rule
// protects: its content replaces that of the file. The caller holds mu.
func (w *writer) writeThrough() error {
	s, content := w.s, w.stage
	if w.lines {
		whole, base, err := w.joined(nil)
		if err != nil {
			return err
		}
		defer base.close()
		defer whole.Discard()
		content = whole
	}
	s.names.RLock()
	fd, err := s.openNode(w.d.node, unix.O_WRONLY|unix.O_TRUNC)
	s.names.RUnlock()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, min(max(content.Size(), 1), 1<<20))
	for off := int64(0); ; {
		n, err := readAt(content, buf, off)
		if err != nil {
			return err
		}
		if n == 0 {
			w.detach()
			return nil
		}
		for done := 0; done < n; {
			m, err := unix.Pwrite(fd, buf[done:n], off+int64(done))
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return err
			}
			done += max(m, 0)
		}
		off += int64(n)
	}
}
