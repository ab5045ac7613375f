package fs

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// attr is the metadata of the newest version, or of a name that has none yet,
// with the inode number that the next version carries. The caller holds the
// document's commit lock.
func (d *document) attr() (Attr, error) {
	s := d.s
	s.names.RLock()
	defer s.names.RUnlock()
	path, ok := s.tree.path(d.node)
	if !ok {
		return Attr{}, syscall.ESTALE
	}
	d.mu.Lock()
	exists, a := d.exists, d.born
	d.mu.Unlock()
	if v, ok := s.store.Pending(path); ok {
		a = v.Attr
	} else if exists {
		fd, err := s.openPath(d.node)
		if err != nil {
			return Attr{}, err
		}
		defer func() { _ = unix.Close(fd) }()
		if a, err = readAttr(fd); err != nil {
			return Attr{}, err
		}
	}
	a.Xattrs = maps.Clone(a.Xattrs)
	if a.Xattrs == nil {
		a.Xattrs = map[string][]byte{}
	}
	a.Xattrs[inoXattr] = formatIno(d.ino)
	return a, nil
}

// readAttr reads the metadata of a file beneath, by a descriptor that may be
// O_PATH.
func readAttr(fd int) (Attr, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, "", &st, unix.AT_EMPTY_PATH); err != nil {
		return Attr{}, err
	}
	a := Attr{
		Mode: st.Mode & 07777, UID: st.Uid, GID: st.Gid,
		Atime: time.Unix(st.Atim.Unix()), Mtime: time.Unix(st.Mtim.Unix()),
	}
	names, err := xattrNames(procPath(fd))
	if err != nil {
		return a, err
	}
	for _, name := range names {
		value, err := xattrValue(procPath(fd), name)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return a, err
		}
		if a.Xattrs == nil {
			a.Xattrs = map[string][]byte{}
		}
		a.Xattrs[name] = value
	}
	return a, nil
}

// xattrNames lists the extended attributes of a file; a file system without
// any has none.
func xattrNames(path string) ([]string, error) {
	for size := 1024; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Listxattr(path, buf)
		if err == unix.ERANGE {
			continue
		}
		if err == unix.ENOTSUP {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var names []string
		for name := range bytes.SplitSeq(buf[:n], []byte{0}) {
			if len(name) > 0 {
				names = append(names, string(name))
			}
		}
		return names, nil
	}
}

func xattrValue(path, name string) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Getxattr(path, name, buf)
		if err == unix.ERANGE {
			continue
		}
		return buf[:max(n, 0)], err
	}
}

// hiddenXattr says that an attribute is intact's own.
func hiddenXattr(name string) bool { return strings.HasPrefix(name, "user.intact.") }

// settle publishes what is pending for a document, so that metadata can be
// changed beneath. It returns false if there is nothing beneath: the name was
// never committed to, and born is what to change. The caller holds the commit
// lock.
func (d *document) settle() (bool, error) {
	s := d.s
	path, ok := s.tree.path(d.node)
	if !ok {
		return false, syscall.ESTALE
	}
	d.mu.Lock()
	exists := d.exists
	d.mu.Unlock()
	if !exists {
		return false, nil
	}
	if _, ok := s.store.Pending(path); ok {
		return true, s.store.Settle(s.ctx, path)
	}
	return true, nil
}

// change applies a change of metadata to the committed file, by a path that
// names it beneath, or to the metadata of a name that has none yet.
func (d *document) change(beneath func(path string) error, unborn func(a *Attr) error) error {
	s := d.s
	d.commit.Lock()
	defer d.commit.Unlock()
	s.commits.RLock()
	defer s.commits.RUnlock()
	d.mu.Lock()
	gone := d.gone
	d.mu.Unlock()
	if gone {
		return nil // nobody can see it any more but by open handles
	}
	settled, err := d.settle()
	if err != nil {
		return err
	}
	if !settled {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.born.Xattrs = maps.Clone(d.born.Xattrs)
		d.ctime = s.now()
		return unborn(&d.born)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	fd, err := s.openPath(d.node)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := beneath(procPath(fd)); err != nil {
		return err
	}
	d.mu.Lock()
	d.ctime = s.now()
	d.mu.Unlock()
	return nil
}

// killDocSuid clears set-id bits for a writer that has no right to keep them.
func (s *fileSystem) killDocSuid(d *document) error {
	now, err := d.committed()
	if err != nil {
		return err
	}
	mode := withoutSuid(now.attr.Mode)
	if mode == now.attr.Mode {
		return nil
	}
	return d.change(
		func(path string) error { return unix.Chmod(path, mode&07777) },
		func(a *Attr) error { a.Mode = mode & 07777; return nil })
}

// setDocAttr changes mode, owner and times of a protected file: of the
// committed version and of what is staged alike.
func (s *fileSystem) setDocAttr(d *document, in *fuse.SetAttrIn) error {
	const metadata = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_ATIME | fuse.FATTR_MTIME
	if in.Valid&metadata == 0 {
		return nil
	}
	if mtime, ok := in.GetMTime(); ok {
		d.stagedMtime(mtime)
	}
	return d.change(
		func(path string) error { return applyAttr(unix.AT_FDCWD, path, 0, in) },
		func(a *Attr) error { applyBorn(a, in); return nil })
}

// stagedMtime gives everything staged a time of last change, which stays if
// nothing is written after it.
func (d *document) stagedMtime(mtime time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.writers {
		if w.staged.Load() {
			w.mtime.Store(mtime.UnixNano())
		}
	}
}

func applyBorn(a *Attr, in *fuse.SetAttrIn) {
	if uid, ok := in.GetUID(); ok {
		a.UID = uid
	}
	if gid, ok := in.GetGID(); ok {
		a.GID = gid
	}
	if in.Valid&(fuse.FATTR_UID|fuse.FATTR_GID) != 0 {
		a.Mode = withoutSuid(a.Mode)
	}
	if mode, ok := in.GetMode(); ok {
		a.Mode = mode
	}
	if t, ok := in.GetATime(); ok {
		a.Atime = t
	}
	if t, ok := in.GetMTime(); ok {
		a.Mtime = t
	}
}
