package fs

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/decide"
	"intactfs/fs/stage"
)

// incoming is a content on its way to a protected name that it was not
// written under.
type incoming struct {
	content *stage.Stage
	attr    Attr
	links   uint64
	empty   bool
	stays   bool // under other names of its file
}

// judgeIncoming reads a file beneath and decides whether it may get a
// protected name. When it may not, the content goes to quarantine and the
// error is EBADMSG.
func (s *fileSystem) judgeIncoming(n *node, to place, baseFull bool, in *fuse.InHeader) (*incoming, error) {
	s.names.RLock()
	fd, err := s.openNode(n, unix.O_RDONLY)
	s.names.RUnlock()
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	got := &incoming{}
	if got.attr, err = readAttr(fd); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	got.links = uint64(st.Nlink)
	if got.content, err = s.contentOf(fd, to.rule); err != nil {
		return nil, err
	}
	res, err := got.content.Judge()
	if err != nil {
		got.content.Discard()
		return nil, err
	}
	got.empty = res.Size == 0
	d := decide.Decide(decide.Rename, decide.Facts{
		Changed: true, Truncating: true, Empty: got.empty,
		Verdict: decide.VerdictOf(res.Verdict), Proven: res.Proven, BaseFull: baseFull,
		AllowEmpty: to.rule.AllowEmpty, Lines: to.rule.Lines,
		Held: decide.No, Other: decide.No, ByOpener: true, Fate: decide.Alive,
	})
	switch d.Action {
	case decide.Commit:
		return got, nil
	case decide.KeepDraft, decide.Nothing:
		if got.empty && !baseFull {
			return got, nil
		}
	}
	s.refuseContent(to.path, got.content, res, s.writerOf(in), d.Reason)
	got.content.Discard()
	return nil, errInvalid
}

// judgeNode checks a document's committed content against the rule of another
// name.
func (s *fileSystem) judgeNode(n *node, to place) error {
	got, err := s.judgeIncoming(n, to, false, &fuse.InHeader{})
	if err != nil {
		return err
	}
	got.content.Discard()
	return nil
}

// replace gives a file that no rule protects a protected name. Its content
// becomes the newest version there, in the journal, before the old name goes.
// The node moves with the name, as the kernel has it; what is written to its
// open handles later is committed when they close.
func (s *fileSystem) replace(from, to place, in *fuse.InHeader) error {
	target := to.doc()
	if to.node != nil && target == nil && to.node.kind == unix.S_IFDIR {
		return syscall.EISDIR
	}
	if target != nil {
		target.commit.Lock()
		defer target.commit.Unlock()
	}
	s.commits.RLock()
	defer s.commits.RUnlock()
	return s.replaceHeld(target, from, to, in)
}

// replaceHeld is replace for who holds commits, and the target's commit lock. What
// is protected at the old name keeps its node, by the names that it has besides.
func (s *fileSystem) replaceHeld(target *document, from, to place, in *fuse.InHeader) error {
	base, full, last, err := s.replaced(target, to)
	if err != nil {
		return err
	}
	defer last.kept.close()
	writes := from.node.writes.Load()
	got, err := s.judgeIncoming(from.node, to, full, in)
	if err != nil {
		return err
	}
	defer got.content.Discard()
	protected := from.doc() != nil
	got.stays = got.links > 1 || protected
	d := s.newDocument(to.rule, freshIno())
	d.node = from.node
	d.filled.Store(true) // by the handles it was written through
	if target != nil {
		target.leave(last)
		defer target.stay()
	}
	if err := s.admit(d, got, Commit{
		Path: to.path, Base: base, Who: s.writerOf(in), Note: "rename from " + from.path,
	}); err != nil {
		return err
	}
	if err := s.locked(func() error { return s.takeOver(from, to, target, last, d, got) }); err != nil {
		return err
	}
	if !protected {
		s.follow(d.node, d.node.writes.Load() != writes)
		// The number changed with the name.
		_ = s.server.InodeNotify(d.node.id, -1, 0)
	}
	return nil
}

// replaced is what a protected name has before something replaces it.
func (s *fileSystem) replaced(target *document, to place) (base uint64, full bool, last farewell, err error) {
	if target != nil {
		if err := target.keepOthers(); err != nil {
			return 0, false, last, err
		}
		last = target.lastSeen()
		return target.headTx(), last.attr.Size > 0 && target.settled(), last, nil
	}
	if v, ok := s.store.Pending(to.path); ok {
		return v.Tx, v.Size > 0, last, nil
	}
	s.names.RLock()
	defer s.names.RUnlock()
	st, err := s.statName(to.dir, to.name)
	return 0, err == nil && st.Size > 0, last, nil
}

// admit commits an incoming content as the newest version of its new name.
func (s *fileSystem) admit(d *document, got *incoming, c Commit) error {
	c.Attr = got.attr
	if c.Attr.Xattrs == nil {
		c.Attr.Xattrs = map[string][]byte{}
	}
	c.Attr.Xattrs[inoXattr] = formatIno(d.ino)
	return d.publish(got.content, c)
}

// takeOver removes the old name and makes the node the document at the new one.
// The caller holds names exclusively.
func (s *fileSystem) takeOver(from, to place, target *document, last farewell, d *document, got *incoming) error {
	parent, err := s.dirFD(from.dir)
	if err != nil {
		return err
	}
	if !got.stays {
		s.keepOrphan(from.node)
	}
	if err := retry(func() error { return unix.Unlinkat(parent, from.name, 0) }); err != nil {
		return fmt.Errorf("remove %s, committed as %s: %w", from.path, to.path, err)
	}
	if to.node != nil && target == nil {
		s.keepOrphan(to.node)
		if err := s.removeTarget(to); err != nil {
			return err
		}
	}
	return s.replacing(target, last, func() error {
		if got.stays {
			s.stayBehind(from, to)
			return nil
		}
		s.tree.move(from.dir, from.name, to.dir, to.name)
		s.protect(from.node, d)
		return nil
	})
}

// stayBehind takes a name from a node that keeps others, when what has the new
// name is a file of its own: the kernel, which gives the name to the node, must
// look it up.
func (s *fileSystem) stayBehind(from, to place) {
	s.tree.unlink(from.dir, from.name, false)
	s.tree.unlink(to.dir, to.name, false)
	go func() { _ = s.server.EntryNotify(to.dir.id, to.name) }()
}

// removeTarget removes something beneath that is neither protected nor a
// directory and has a protected name all the same: a link or a device.
func (s *fileSystem) removeTarget(to place) error {
	parent, err := s.dirFD(to.dir)
	if err != nil {
		return err
	}
	err = retry(func() error { return unix.Unlinkat(parent, to.name, 0) })
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// protect makes an ordinary node a document. The caller holds names exclusively.
func (s *fileSystem) protect(n *node, d *document) {
	s.tree.mu.Lock()
	if s.tree.byKey[n.key] == n {
		delete(s.tree.byKey, n.key)
	}
	n.key = inoKey{}
	d.node = n
	n.doc.Store(d)
	s.tree.mu.Unlock()
}

// replaceByDoc gives a protected file the name of another: its content becomes
// the newest version there.
func (s *fileSystem) replaceByDoc(d, target *document, from, to place, in *fuse.InHeader) error {
	if err := s.keepLast(from.path); err != nil {
		return err
	}
	path, links, parts, err := d.names()
	if err != nil {
		return err
	}
	note := "rename from " + from.path
	if parts {
		note += "; " + noteParted
	}
	stay := slices.DeleteFunc(append(links, path), func(name string) bool { return name == from.path })
	base, full, last, err := s.replaced(target, to)
	if err != nil {
		return err
	}
	defer last.kept.close()
	got, err := s.judgeIncoming(from.node, to, full, in)
	if err != nil {
		return err
	}
	defer got.content.Discard()
	target.leave(last)
	defer target.stay()
	if err := s.admit(d, got, Commit{
		Path: to.path, Links: stay, Base: base, Who: s.writerOf(in), Note: note,
	}); err != nil {
		return err
	}
	err = s.locked(func() error {
		parent, err := s.dirFD(from.dir)
		if err != nil {
			return err
		}
		if err := unix.Unlinkat(parent, from.name, 0); err != nil {
			return fmt.Errorf("remove %s, committed as %s: %w", from.path, to.path, err)
		}
		return s.replacing(target, last, func() error {
			s.tree.move(from.dir, from.name, to.dir, to.name)
			s.keepRule(d)
			return nil
		})
	})
	if err != nil {
		return err
	}
	s.removed(from.dir, from.path, in)
	return nil
}
