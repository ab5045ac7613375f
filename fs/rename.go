package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/decide"
)

// place is a name in a directory, with the node known there and the rule for
// it, if there are any.
type place struct {
	dir  *node
	name string
	path string
	rule *Rule
	node *node
}

func (p place) doc() *document {
	if p.node == nil {
		return nil
	}
	return p.node.doc.Load()
}

// placeOf finds what is known about a name.
func (s *fileSystem) placeOf(dirID uint64, name string) (place, error) {
	dir, err := s.directory(dirID)
	if err != nil {
		return place{}, err
	}
	if s.reserved(dir, name) {
		return place{}, syscall.EPERM
	}
	s.names.RLock()
	defer s.names.RUnlock()
	path, rule, err := s.childPath(dir, name)
	return place{dir: dir, name: name, path: path, rule: rule, node: s.tree.child(dir, name)}, err
}

// Rename gives a file another name, or swaps two. What gets a protected name
// is judged first; what loses one is settled first.
func (s *fileSystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return fuse.EINVAL
	}
	from, err := s.placeOf(in.NodeId, oldName)
	if err != nil {
		return toStatus(err)
	}
	to, err := s.placeOf(in.Newdir, newName)
	if err != nil {
		return toStatus(err)
	}
	if from.node == nil {
		return fuse.ENOENT // the kernel looks both names up first
	}
	if from.node == to.node {
		return fuse.OK // two names of one file
	}
	if in.Flags&unix.RENAME_EXCHANGE != 0 {
		return toStatus(s.exchange(from, to, &in.InHeader))
	}
	if in.Flags&unix.RENAME_NOREPLACE != 0 && to.rule != nil {
		s.names.RLock()
		err := s.free(to.dir, to.name)
		s.names.RUnlock()
		if err != nil {
			return toStatus(err)
		}
	}
	switch {
	case from.node.kind == unix.S_IFDIR:
		err = s.renameDir(from, to, in.Flags)
	case from.doc() != nil:
		err = s.renameDoc(from, to, &in.InHeader, in.Flags)
	case from.node.kind == unix.S_IFREG && to.rule != nil:
		err = s.replace(from, to, &in.InHeader)
	default:
		err = s.renamePlain(from, to, &in.InHeader, in.Flags)
	}
	return toStatus(err)
}

// renamePlain moves a file that is not protected at either name. A link or
// device may take the place of a protected file.
func (s *fileSystem) renamePlain(from, to place, in *fuse.InHeader, flags uint32) error {
	target := to.doc()
	if target == nil {
		s.names.Lock()
		defer s.names.Unlock()
		return s.moveBeneath(from, to, flags)
	}
	target.commit.Lock()
	defer target.commit.Unlock()
	s.commits.RLock()
	defer s.commits.RUnlock()
	if err := target.keepOthers(); err != nil {
		return err
	}
	if err := s.keepLast(to.path); err != nil {
		return err
	}
	last := target.lastSeen()
	defer last.kept.close()
	err := s.locked(func() error {
		return s.replacing(target, last, func() error { return s.moveBeneath(from, to, flags) })
	})
	if err != nil {
		return err
	}
	s.removed(to.dir, to.path, in)
	return nil
}

// locked runs a change of names.
func (s *fileSystem) locked(change func() error) error {
	s.names.Lock()
	defer s.names.Unlock()
	return change()
}

// moveBeneath renames beneath and in the tree. The caller holds names
// exclusively.
func (s *fileSystem) moveBeneath(from, to place, flags uint32) error {
	oldFD, err := s.dirFD(from.dir)
	if err != nil {
		return err
	}
	newFD, err := s.dirFD(to.dir)
	if err != nil {
		return err
	}
	s.keepOrphan(to.node)
	err = retry(func() error { return unix.Renameat2(oldFD, from.name, newFD, to.name, uint(flags)) })
	if err == nil {
		s.tree.move(from.dir, from.name, to.dir, to.name)
	}
	s.dropOrphan(to.node)
	return err
}

// moved tells history of a new name.
func (s *fileSystem) moved(from, to string) {
	if err := s.store.Moved(from, to); err != nil {
		s.log.Error("history doesn't follow a file to its new name", "from", from, "to", to, "error", err)
	}
}

// renameDoc moves a protected file.
func (s *fileSystem) renameDoc(from, to place, in *fuse.InHeader, flags uint32) error {
	d := from.doc()
	if to.rule != nil {
		if err := d.commitStaged(in); err != nil {
			return err
		}
	}
	d.commit.Lock()
	defer d.commit.Unlock()
	target := to.doc()
	if target != nil {
		target.commit.Lock()
		defer target.commit.Unlock()
	}
	s.commits.RLock()
	defer s.commits.RUnlock()
	exists, err := d.settle()
	if err != nil {
		return err
	}
	if exists && to.rule != nil && !sameRule(to.rule)(d) {
		if _, _, _, err := d.names(); err != nil {
			return err
		}
	}
	replaces := target != nil && target.settled()
	switch {
	case !exists && to.rule == nil:
		return s.materialize(d, from, to)
	case !exists && replaces:
		return errInvalid
	case !exists:
		return s.moveUnborn(d, target, from, to)
	case to.rule == nil:
		return s.moveOut(d, from, to, in, flags)
	case !sameRule(to.rule)(d) && s.tree.several(d.node):
		return s.moveVersion(target, from, to, in)
	case replaces:
		return s.replaceByDoc(d, target, from, to, in)
	}
	return s.moveDoc(d, target, from, to, flags)
}

// commitStaged commits what is whole in the stages that the calling process has
// of a document that is about to be renamed, and fails if something is not. The
// stages of others are in the middle of a save, which ends at the new name.
func (d *document) commitStaged(in *fuse.InHeader) error {
	tgid, ok := d.s.who.TGID(in.Pid)
	if !ok {
		return nil
	}
	d.mu.Lock()
	var writers []*writer
	for w := range d.writers {
		if w.opener.PID == tgid {
			writers = append(writers, w)
		}
	}
	d.mu.Unlock()
	for _, w := range writers {
		w.mu.Lock()
		err := w.catchUp()
		pending := w.changed() && w.baseSz.Load()+w.stage.Size() > 0
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if !pending {
			continue
		}
		if err := w.event(decide.Rename, in.Pid); err != nil {
			return err
		}
	}
	return nil
}

// moveUnborn moves a name that nothing was committed to: there is nothing
// beneath.
func (s *fileSystem) moveUnborn(d, target *document, from, to place) error {
	if target != nil {
		last := target.lastSeen()
		defer last.kept.close()
		target.lost(s, last)
	}
	return s.locked(func() error {
		s.tree.move(from.dir, from.name, to.dir, to.name)
		d.rule.Store(to.rule)
		return nil
	})
}

// moveDoc moves a settled document to a free protected name.
func (s *fileSystem) moveDoc(d, target *document, from, to place, flags uint32) error {
	if from.rule == nil || from.rule.Format != to.rule.Format {
		if err := s.judgeNode(d.node, to); err != nil {
			return err
		}
	}
	if target != nil {
		last := target.lastSeen()
		defer last.kept.close()
		target.lost(s, last)
	}
	if err := s.locked(func() error { return s.moveBeneath(from, to, flags) }); err != nil {
		return err
	}
	s.keepRule(d)
	s.moved(from.path, to.path)
	return nil
}

// moveVersion gives one name of a settled document, which keeps others, to a file
// of its own that another rule protects.
func (s *fileSystem) moveVersion(target *document, from, to place, in *fuse.InHeader) error {
	if err := s.keepLast(from.path); err != nil {
		return err
	}
	if err := s.replaceHeld(target, from, to, in); err != nil {
		return err
	}
	s.removed(from.dir, from.path, in)
	return nil
}

// moveOut moves a settled document to a name that no rule protects. If it keeps
// other names, what is moved is a copy.
func (s *fileSystem) moveOut(d *document, from, to place, in *fuse.InHeader, flags uint32) error {
	if _, _, _, err := d.names(); err != nil {
		return err
	}
	if err := s.keepLast(from.path); err != nil {
		return err
	}
	err := s.locked(func() error {
		if s.tree.several(d.node) {
			return s.moveCopy(d, from, to, flags)
		}
		if err := s.moveBeneath(from, to, flags); err != nil {
			return err
		}
		return s.unprotect(d)
	})
	if err != nil {
		return err
	}
	s.removed(from.dir, from.path, in)
	return nil
}

// unprotect makes a document's node an ordinary file. Its open handles keep
// what they have; a stage is written to the file when it is closed. The caller
// holds names exclusively.
func (s *fileSystem) unprotect(d *document) error {
	st, err := s.stat(d.node)
	if err != nil {
		return err
	}
	d.rule.Store(nil)
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	d.node.key = inoKey{st.Dev, st.Ino}
	s.tree.byKey[d.node.key] = d.node
	d.node.doc.Store(nil)
	return nil
}

// materialize moves a name that nothing was committed to out of protection: it
// becomes an empty file.
func (s *fileSystem) materialize(d *document, from, to place) error {
	d.mu.Lock()
	born, shown := d.born, d.shown
	d.exists, d.shown, d.draft = true, false, false
	d.mu.Unlock()
	if shown {
		defer s.tree.unpin(d.node)
	}
	return s.locked(func() error {
		parent, err := s.dirFD(to.dir)
		if err != nil {
			return err
		}
		s.keepOrphan(to.node)
		defer s.dropOrphan(to.node)
		if err := unix.Unlinkat(parent, to.name, 0); err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
		fd, err := openat(parent, to.name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW, born.Mode)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		s.tree.move(from.dir, from.name, to.dir, to.name)
		if err := writeAttr(fd, born); err != nil {
			return err
		}
		return s.unprotect(d)
	})
}
