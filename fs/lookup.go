package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ownDir is the directory at the root where intact keeps its own files. The
// mount doesn't show it.
const ownDir = ".intact"

// reserved says that a name is intact's own. The view of history answers for
// it before anybody here is asked.
func (s *fileSystem) reserved(dir *node, name string) bool {
	return dir == s.tree.atRoot && name == ownDir
}

// directory finds the directory of a request.
func (s *fileSystem) directory(id uint64) (*node, error) {
	dir := s.tree.get(id)
	if dir == nil {
		return nil, syscall.ESTALE
	}
	if dir.kind != unix.S_IFDIR {
		return nil, syscall.ENOTDIR
	}
	return dir, nil
}

// childPath is the path of a name in a directory, and the rule for it.
// The caller holds names.
func (s *fileSystem) childPath(dir *node, name string) (string, *Rule, error) {
	path, ok := s.tree.path(dir)
	if !ok {
		return "", nil, syscall.ENOENT // the directory was removed
	}
	path = join(path, name)
	return path, s.rules.For(path), nil
}

// Lookup finds a name. A protected name that was never complete is only there
// for the process that writes it.
func (s *fileSystem) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	n, err := s.find(dir, name, in)
	if err != nil {
		return toStatus(err)
	}
	return toStatus(s.entry(n, in, out))
}

// Forget takes back lookups.
func (s *fileSystem) Forget(id, lookups uint64) { s.tree.forget(id, lookups) }

// entry tells the kernel a node on which one lookup was counted; it takes the
// count back if it can't.
func (s *fileSystem) entry(n *node, in *fuse.InHeader, out *fuse.EntryOut) error {
	timeout, err := s.attributes(n, in, &out.Attr)
	if err != nil {
		s.tree.forget(n.id, 1)
		return err
	}
	out.NodeId = n.id
	out.SetAttrTimeout(timeout)
	out.SetEntryTimeout(entryTimeout)
	if d := n.doc.Load(); d != nil && !d.settled() {
		out.SetEntryTimeout(0) // others must ask, and are told ENOENT
	}
	return nil
}

// find finds the node at a name as the caller may see it, and counts one
// lookup on it.
func (s *fileSystem) find(dir *node, name string, in *fuse.InHeader) (*node, error) {
	if s.reserved(dir, name) {
		return nil, syscall.ENOENT
	}
	s.names.RLock()
	defer s.names.RUnlock()
	path, rule, err := s.childPath(dir, name)
	if err != nil {
		return nil, err
	}
	if rule == nil {
		return s.findPlain(dir, name)
	}
	if v, ok := s.store.Pending(path); ok {
		return s.findPending(dir, name, rule, v), nil
	}
	st, err := s.statName(dir, name)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return s.findUnfinished(dir, name, in)
	case err != nil:
		return nil, err
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return s.tree.enter(dir, name, inoKey{st.Dev, st.Ino}, st.Mode&unix.S_IFMT), nil
	}
	return s.findBacked(dir, name, rule, &st), nil
}

func (s *fileSystem) findPlain(dir *node, name string) (*node, error) {
	st, err := s.statName(dir, name)
	if err != nil {
		return nil, err
	}
	return s.tree.enter(dir, name, inoKey{st.Dev, st.Ino}, st.Mode&unix.S_IFMT), nil
}

// findUnfinished finds a protected name that nothing was committed to yet.
func (s *fileSystem) findUnfinished(dir *node, name string, in *fuse.InHeader) (*node, error) {
	known := s.tree.child(dir, name)
	if known == nil {
		return nil, syscall.ENOENT
	}
	d := known.doc.Load()
	if d == nil || !d.visibleTo(in) {
		return nil, syscall.ENOENT
	}
	return s.tree.enterDoc(dir, name, func() *document { return d }), nil
}

// statName reads the backing attributes of a name. The caller holds names.
func (s *fileSystem) statName(dir *node, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := s.dirFD(dir)
	if err != nil {
		return st, err
	}
	err = retry(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}
