package fs

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Unlink removes a name. The last version of a protected one stays in history.
func (s *fileSystem) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	if s.reserved(dir, name) {
		return fuse.ENOENT
	}
	n := s.tree.child(dir, name)
	if n != nil {
		if d := n.doc.Load(); d != nil {
			return toStatus(s.unlinkDoc(d, dir, name, in))
		}
	}
	s.names.Lock()
	defer s.names.Unlock()
	return toStatus(s.unlinkPlain(n, dir, name, 0))
}

// unlinkPlain removes a name beneath. n is its node, if it is known. The
// caller holds names exclusively.
func (s *fileSystem) unlinkPlain(n *node, dir *node, name string, flags int) error {
	parent, err := s.dirFD(dir)
	if err != nil {
		return err
	}
	gone := s.lastName(n, dir, name)
	s.keepOrphan(n)
	if err := retry(func() error { return unix.Unlinkat(parent, name, flags) }); err != nil {
		s.dropOrphan(n)
		return err
	}
	s.tree.unlink(dir, name, gone)
	s.dropOrphan(n)
	return nil
}

// lastName tells whether a name is the only one its backing file has.
// The caller holds names.
func (s *fileSystem) lastName(n *node, dir *node, name string) bool {
	if n == nil {
		return false
	}
	st, err := s.statName(dir, name)
	return err == nil && (st.Nlink <= 1 || st.Mode&unix.S_IFMT == unix.S_IFDIR)
}

// Rmdir removes a directory, unless something is in it that is not beneath yet.
func (s *fileSystem) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	if s.reserved(dir, name) {
		return fuse.ENOENT
	}
	n := s.tree.child(dir, name)
	s.commits.Lock()
	defer s.commits.Unlock()
	s.names.Lock()
	defer s.names.Unlock()
	if n != nil && s.occupied(n) {
		return fuse.Status(syscall.ENOTEMPTY)
	}
	return toStatus(s.unlinkPlain(n, dir, name, unix.AT_REMOVEDIR))
}

// occupied tells whether a directory has protected names that may not be
// beneath. The caller holds commits and names.
func (s *fileSystem) occupied(dir *node) bool {
	path, ok := s.tree.path(dir)
	if !ok {
		return false
	}
	if len(s.store.PendingNames(path)) > 0 {
		return true
	}
	for _, n := range s.tree.docsBelow(dir) {
		if d := n.doc.Load(); d != nil && d.taken() {
			return true
		}
	}
	return false
}

// unlinkDoc removes a protected name: what is pending is published, and the last
// version filed in history, first. Open readers keep their version; open
// writers have nothing left to replace.
func (s *fileSystem) unlinkDoc(d *document, dir *node, name string, in *fuse.InHeader) error {
	d.commit.Lock()
	defer d.commit.Unlock()
	s.commits.RLock()
	defer s.commits.RUnlock()
	s.names.RLock()
	path, _, err := s.childPath(dir, name)
	s.names.RUnlock()
	if err != nil {
		return err
	}
	if err := d.keepOthers(); err != nil {
		return err
	}
	if err := s.keepLast(path); err != nil {
		return err
	}
	existed, err := s.dropName(d, dir, name)
	if err != nil || !existed {
		return err
	}
	s.removed(dir, path, in)
	return nil
}

// keepOthers finds the names that a document keeps when one goes, if somebody has
// it open: a save that goes on is for them. Otherwise they are found when somebody
// looks them up, and a tree of linked files is removed without a look through all
// of the directory for each. The caller holds the document's commit lock.
func (d *document) keepOthers() error {
	if !d.s.tree.pinned(d.node) {
		return nil
	}
	_, _, _, err := d.names()
	return err
}

// keepLast publishes what is pending for a protected name that is about to go,
// and files what is beneath in history: it may have come there without a commit,
// before the directory was ever mounted.
func (s *fileSystem) keepLast(path string) error {
	if err := s.store.Settle(s.ctx, path); err != nil {
		return fmt.Errorf("settle %s: %w", path, err)
	}
	if err := s.store.Adopt(s.ctx, path); err != nil {
		return fmt.Errorf("keep the last version of %s: %w", path, err)
	}
	return nil
}

// removed tells history that a protected name in dir is gone. The directory is
// made durable first: after a crash the name must not be back while history has
// ended. The operation is done: that history could not be told is not the
// caller's failure.
func (s *fileSystem) removed(dir *node, path string, in *fuse.InHeader) {
	if err := s.syncDir(dir); err != nil {
		s.log.Error("a removal may not be durable", "path", path, "error", err)
	}
	if err := s.store.Removed(path, s.writerOf(in)); err != nil {
		s.log.Error("history doesn't know that a file was removed", "path", path, "error", err)
	}
}

// syncDir makes the names in a directory durable.
func (s *fileSystem) syncDir(dir *node) error {
	s.names.RLock()
	parent, err := s.dirFD(dir)
	fd := -1
	if err == nil {
		fd, err = openat(parent, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0) // parent is O_PATH
	}
	s.names.RUnlock()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return retry(func() error { return unix.Fsync(fd) })
}

// dropName takes a settled protected name away, beneath and from the tree. It
// tells whether there was a committed version. The caller holds the
// document's commit lock.
func (s *fileSystem) dropName(d *document, dir *node, name string) (bool, error) {
	last := d.lastSeen()
	defer last.kept.close()
	s.names.Lock()
	defer s.names.Unlock()
	parent, err := s.dirFD(dir)
	if err != nil {
		return false, err
	}
	err = retry(func() error { return unix.Unlinkat(parent, name, 0) })
	existed := err == nil
	if errors.Is(err, syscall.ENOENT) && d.taken() {
		err = nil // only begun: nothing beneath to remove
	}
	if err != nil {
		return false, err
	}
	s.tree.pin(d.node)
	s.tree.unlink(dir, name, false)
	s.lostName(d, last)
	s.tree.unpin(d.node)
	return existed, nil
}
