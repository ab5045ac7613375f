package fs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A protected file may have several names: hard links that one rule protects.
// They are one node and one document. It is committed to the first of its names,
// and the journal gives the version to all of them. For that they must be known:
//
//   - A name that is looked up joins the document whose file it has beneath, as
//     long as nothing was committed to that: its inode number is then as it was.
//   - Before the first commit, and before a name goes, all others are looked for,
//     and are in the tree from then on.
//   - A version that is pending tells the names that it is for.
//
// Names below other directories, or that no rule or another one protects, are not
// among them: they part from the file when it is committed to.

// sameRule says which documents a name that rule protects may belong to.
func sameRule(rule *Rule) func(*document) bool {
	return func(d *document) bool {
		has := d.rule.Load()
		return has != nil && has.ID == rule.ID
	}
}

// findPending finds the document of a version that is pending. The caller holds
// names.
func (s *fileSystem) findPending(dir *node, name string, rule *Rule, v Version) *node {
	if len(v.Names) > 1 {
		if known := s.tree.child(dir, name); known == nil || known.doc.Load() == nil {
			if n := s.tree.enterKnown(dir, name, v.Names, sameRule(rule)); n != nil {
				return n
			}
		}
	}
	n := s.tree.enterDoc(dir, name, func() *document {
		d := s.pendingDocument(rule, v)
		d.linked.Store(len(v.Names) > 1)
		return d
	})
	if len(v.Names) > 1 {
		// Once it is published nothing tells that the others are of the document.
		_, _ = s.learnNames(n.doc.Load(), s.tree.paths(n), v.Names) // what is missing is looked for before a commit
	}
	return n
}

// findBacked finds the document of a file that is beneath. The caller holds names.
func (s *fileSystem) findBacked(dir *node, name string, rule *Rule, st *unix.Stat_t) *node {
	ino := uint64(0)
	if known := s.tree.child(dir, name); known == nil || known.doc.Load() == nil {
		ino = s.savedIno(dir, name, st.Ino)
	}
	if st.Nlink < 2 {
		return s.tree.enterDoc(dir, name, func() *document { return s.backedDocument(rule, ino) })
	}
	s.checkShared(inoKey{st.Dev, st.Ino})
	return s.tree.enterShared(dir, name, inoKey{st.Dev, st.Ino}, sameRule(rule), func() *document {
		d := s.backedDocument(rule, ino)
		d.linked.Store(true)
		return d
	})
}

// checkShared forgets the document that was found as a file, if that was replaced
// since, past the mount: the number may be that of another one by now. The caller
// holds names.
func (s *fileSystem) checkShared(key inoKey) {
	s.tree.mu.Lock()
	n := s.tree.shared[key]
	s.tree.mu.Unlock()
	if n == nil {
		return
	}
	path, named := s.tree.path(n)
	if _, pending := s.store.Pending(path); named && !pending {
		if st, err := s.stat(n); err == nil && key == (inoKey{st.Dev, st.Ino}) {
			return
		}
	}
	s.tree.unshare(n)
}

// names are the path that a document is committed to, and its other names. They
// are complete but for names that part from it, of which parts tells. The caller
// holds the document's commit lock and not names.
func (d *document) names() (path string, links []string, parts bool, err error) {
	s := d.s
	known := s.tree.paths(d.node)
	if len(known) == 0 || !d.linked.Load() {
		return first(known), nil, false, nil
	}
	if v, ok := s.store.Pending(known[0]); ok {
		known, err = s.learn(d, known, v.Names)
	} else {
		known, parts, err = s.lookAround(d, known)
	}
	if err != nil {
		return "", nil, false, err
	}
	s.tree.unshare(d.node)
	if n := FitNames(known); n < len(known) {
		s.part(d, known[n:])
		known, parts = known[:n], true
	}
	d.linked.Store(len(known) > 1 || parts) // as long as nothing was committed
	d.counted.Store(!parts)
	return known[0], known[1:], parts, nil
}

// partOthers takes those names from a document that its rule doesn't protect any
// more: they are found as what they are now.
func (s *fileSystem) partOthers(d *document) {
	others := slices.DeleteFunc(s.tree.paths(d.node), func(path string) bool {
		rule := s.rules.For(path)
		return rule != nil && sameRule(rule)(d)
	})
	if len(others) > 0 {
		d.linked.Store(true) // until it is committed to
		d.counted.Store(false)
		s.part(d, others)
	}
}

// part takes names from a document that is about to be committed to the others.
func (s *fileSystem) part(d *document, names []string) {
	var gone []link
	_ = s.locked(func() error {
		for _, path := range names {
			if dir, n, name := s.tree.walk(path); n == d.node {
				gone = append(gone, link{dir, name})
				s.tree.unlink(dir, name, false)
			}
		}
		return nil
	})
	go func() {
		for _, l := range gone {
			_ = s.server.EntryNotify(l.dir.id, l.name)
		}
	}()
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// lookAround finds the other names of a published file.
func (s *fileSystem) lookAround(d *document, known []string) (names []string, parts bool, err error) {
	s.names.RLock()
	st, err := s.stat(d.node)
	s.names.RUnlock()
	if err != nil || uint64(st.Nlink) <= uint64(len(known)) {
		return known, false, err
	}
	found, all, err := s.store.Links(s.ctx, known[0], known)
	if err != nil {
		return nil, false, fmt.Errorf("look for other names of %s: %w", known[0], err)
	}
	if known, err = s.learn(d, known, found); err != nil {
		return nil, false, err
	}
	left := slices.ContainsFunc(found, func(name string) bool { return !slices.Contains(known, name) })
	return known, !all || left, nil
}

// learn puts names of a document that were found into the tree, and returns those
// with the ones that were known.
func (s *fileSystem) learn(d *document, known, found []string) ([]string, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	return s.learnNames(d, known, found)
}

// learnNames is learn for who holds names.
func (s *fileSystem) learnNames(d *document, known, found []string) ([]string, error) {
	has := make(map[string]bool, len(known))
	for _, path := range known {
		has[path] = true
	}
	for _, path := range found {
		rule := s.rules.For(path)
		if has[path] || rule == nil || !sameRule(rule)(d) || FitNames(append(known, path)) <= len(known) {
			continue
		}
		joined, err := s.learnName(d, path)
		if err != nil {
			return known, err
		}
		if joined {
			known = append(known, path)
		}
	}
	return known, nil
}

// learnName looks a path up as far as the tree doesn't know it, and gives the last
// name to the document. It tells whether that has it now. The caller holds names.
func (s *fileSystem) learnName(d *document, path string) (bool, error) {
	dir, name := s.tree.atRoot, path
	var looked []*node
	defer func() {
		for _, n := range looked {
			s.tree.forget(n.id, 1)
		}
	}()
	for {
		elem, rest, more := strings.Cut(name, "/")
		if !more {
			break
		}
		next, err := s.findPlain(dir, elem)
		if err != nil {
			return false, err
		}
		looked = append(looked, next)
		dir, name = next, rest
	}
	n := s.tree.enterNode(dir, name, d)
	if n == nil {
		return false, nil
	}
	looked = append(looked, n)
	return true, nil
}

// linkShared gives a protected file another name that the same rule protects. The
// caller holds the document's commit lock; the file is published.
func (s *fileSystem) linkShared(d *document, to place) (*node, error) {
	s.names.Lock()
	defer s.names.Unlock()
	if all := append(s.tree.paths(d.node), to.path); FitNames(all) < len(all) {
		return nil, syscall.EMLINK
	}
	if err := s.free(to.dir, to.name); err != nil {
		return nil, err
	}
	if err := s.linkBeneath(d.node, to); err != nil {
		return nil, err
	}
	d.linked.Store(true)
	s.tree.mu.Lock()
	defer s.tree.mu.Unlock()
	s.tree.linkLocked(d.node, to.dir, to.name)
	d.node.lookups++
	return d.node, nil
}

// lostName notes that one name of a document was taken out of the tree, and with
// the last one the document is gone. The caller holds names exclusively, and a pin
// of the node.
func (s *fileSystem) lostName(d *document, last farewell) {
	if _, named := s.tree.where(d.node); !named {
		d.lost(s, last)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctime = s.now()
}

// replacing is to be held while the name of a document is given to another file,
// beneath and in the tree: give does that. The caller holds names exclusively.
func (s *fileSystem) replacing(target *document, last farewell, give func() error) error {
	if target == nil {
		return give()
	}
	s.tree.pin(target.node)
	defer s.tree.unpin(target.node)
	if err := give(); err != nil {
		return err
	}
	s.lostName(target, last)
	return nil
}

// keepRule gives a document the rule of the first of its names that has one, after
// one of them changed; nil if none has.
func (s *fileSystem) keepRule(d *document) *Rule {
	var rule *Rule
	for _, path := range s.tree.paths(d.node) {
		if rule = s.rules.For(path); rule != nil {
			break
		}
	}
	d.rule.Store(rule)
	return rule
}

// moveCopy gives a name of a published document, which keeps others, to a copy of
// its own that no rule protects: in place it could be written beside them. The
// caller holds the document's commit lock, and names exclusively.
func (s *fileSystem) moveCopy(d *document, from, to place, flags uint32) error {
	oldFD, err := s.dirFD(from.dir)
	if err != nil {
		return err
	}
	newFD, err := s.dirFD(to.dir)
	if err != nil {
		return err
	}
	fd, err := s.copyBeneath(d.node, newFD)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	temp := ".intact-" + strconv.FormatUint(freshIno(), 36)
	if err := unix.Linkat(unix.AT_FDCWD, procPath(fd), newFD, temp, unix.AT_SYMLINK_FOLLOW); err != nil {
		return err
	}
	s.keepOrphan(to.node)
	defer s.dropOrphan(to.node)
	if err := retry(func() error { return unix.Renameat2(newFD, temp, newFD, to.name, uint(flags)) }); err != nil {
		return errors.Join(err, unix.Unlinkat(newFD, temp, 0))
	}
	if err := retry(func() error { return unix.Unlinkat(oldFD, from.name, 0) }); err != nil {
		return fmt.Errorf("remove %s, copied to %s: %w", from.path, to.path, err)
	}
	s.stayBehind(from, to)
	return nil
}
