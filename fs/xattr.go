package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// What the root of a mount tells about the daemon that serves it.
const (
	socketXattr = "user.intact.socket" // path of the control socket
	rootXattr   = "user.intact.root"   // absolute path of the backing directory
)

// GetXAttr reads an extended attribute.
func (s *fileSystem) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return 0, fuse.Status(syscall.ESTALE)
	}
	value, err := s.xattr(n, name)
	if err != nil {
		return 0, toStatus(err)
	}
	return answerXattr(dest, value)
}

func answerXattr(dest, value []byte) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

func (s *fileSystem) xattr(n *node, name string) ([]byte, error) {
	if hiddenXattr(name) {
		switch {
		case n == s.tree.atRoot && name == socketXattr && s.control != "":
			return []byte(s.control), nil
		case n == s.tree.atRoot && name == rootXattr:
			return []byte(s.root), nil
		}
		return nil, unix.ENODATA
	}
	if a, ok := s.unpublished(n); ok {
		if value, ok := a.Xattrs[name]; ok {
			return value, nil
		}
		return nil, unix.ENODATA
	}
	s.names.RLock()
	defer s.names.RUnlock()
	fd, err := s.openPath(n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	return xattrValue(procPath(fd), name)
}

// unpublished is the metadata of a protected file that is not beneath.
func (s *fileSystem) unpublished(n *node) (Attr, bool) {
	d := n.doc.Load()
	if d == nil {
		return Attr{}, false
	}
	d.mu.Lock()
	exists, born, gone := d.exists, d.born, d.gone
	d.mu.Unlock()
	if !exists || gone {
		return born, true
	}
	s.names.RLock()
	defer s.names.RUnlock()
	path, ok := s.tree.path(n)
	if !ok {
		return Attr{}, false
	}
	v, ok := s.store.Pending(path)
	return v.Attr, ok
}

// ListXAttr lists extended attributes, without intact's own.
func (s *fileSystem) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return 0, fuse.Status(syscall.ESTALE)
	}
	names, err := s.listXattrs(n)
	if err != nil {
		return 0, toStatus(err)
	}
	var list []byte
	for _, name := range names {
		if !hiddenXattr(name) {
			list = append(append(list, name...), 0)
		}
	}
	return answerXattr(dest, list)
}

func (s *fileSystem) listXattrs(n *node) ([]string, error) {
	if a, ok := s.unpublished(n); ok {
		var names []string
		for name := range a.Xattrs {
			names = append(names, name)
		}
		return names, nil
	}
	s.names.RLock()
	defer s.names.RUnlock()
	fd, err := s.openPath(n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	return xattrNames(procPath(fd))
}

// SetXAttr sets an extended attribute.
func (s *fileSystem) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	return s.changeXattr(in.NodeId, name,
		func(path string) error { return unix.Setxattr(path, name, value, int(in.Flags)) },
		func(a *Attr) error {
			_, there := a.Xattrs[name]
			if in.Flags&unix.XATTR_CREATE != 0 && there {
				return syscall.EEXIST
			}
			if in.Flags&unix.XATTR_REPLACE != 0 && !there {
				return unix.ENODATA
			}
			if a.Xattrs == nil {
				a.Xattrs = map[string][]byte{}
			}
			a.Xattrs[name] = append([]byte(nil), value...)
			return nil
		})
}

// RemoveXAttr removes an extended attribute.
func (s *fileSystem) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return s.changeXattr(in.NodeId, name,
		func(path string) error { return unix.Removexattr(path, name) },
		func(a *Attr) error {
			if _, ok := a.Xattrs[name]; !ok {
				return unix.ENODATA
			}
			delete(a.Xattrs, name)
			return nil
		})
}

func (s *fileSystem) changeXattr(id uint64, name string, beneath func(string) error, unborn func(*Attr) error) fuse.Status {
	n := s.tree.get(id)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if hiddenXattr(name) {
		return fuse.EPERM
	}
	if d := n.doc.Load(); d != nil {
		return toStatus(d.change(beneath, unborn))
	}
	s.names.RLock()
	defer s.names.RUnlock()
	fd, err := s.openPath(n)
	if err != nil {
		return toStatus(err)
	}
	defer func() { _ = unix.Close(fd) }()
	return toStatus(beneath(procPath(fd)))
}
