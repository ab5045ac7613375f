package fs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// unshare forgets what file a protected node has beneath: it gets another one.
func (t *tree) unshare(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unshareLocked(n)
}

func (t *tree) unshareLocked(n *node) {
	if t.shared[n.shared] == n {
		delete(t.shared, n.shared)
	}
	n.shared = inoKey{}
}

// enterShared is enterDoc for a file with several names beneath: the name joins
// the document that has the file by another, if it may.
func (t *tree) enterShared(dir *node, name string, key inoKey, may func(*document) bool, make func() *document) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := dir.children[name]; known == nil || known.doc.Load() == nil {
		if n := t.joinLocked(t.shared[key], dir, name, may); n != nil {
			return n
		}
	}
	n, made := t.enterDocLocked(dir, name, make)
	if made {
		n.shared = key
		t.shared[key] = n
	}
	return n
}

// enterKnown finds the protected node that is known at one of other paths, gives
// it the name, and counts one lookup; nil if there is none that may.
func (t *tree) enterKnown(dir *node, name string, others []string, may func(*document) bool) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, path := range others {
		if n := t.joinLocked(t.atLocked(path), dir, name, may); n != nil {
			return n
		}
	}
	return nil
}

func (t *tree) joinLocked(n *node, dir *node, name string, may func(*document) bool) *node {
	if n == nil || n.doc.Load() == nil || !may(n.doc.Load()) {
		return nil
	}
	if known := dir.children[name]; known != nil && known != n && known.doc.Load() != nil {
		return nil
	}
	t.linkLocked(n, dir, name)
	n.lookups++
	return n
}

// atLocked is the node known at a path, nil if there is none.
func (t *tree) atLocked(path string) *node {
	n := t.atRoot
	for elem := range strings.SplitSeq(path, "/") {
		if n = n.children[elem]; n == nil {
			return nil
		}
	}
	return n
}

// paths are all names of a node, relative to the root.
func (t *tree) paths(n *node) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var paths []string
	for _, l := range n.links {
		if dir, ok := t.pathLocked(l.dir); ok || l.dir == t.atRoot {
			paths = append(paths, join(dir, l.name))
		}
	}
	return paths
}

// several tells whether a node is known by more than one name.
func (t *tree) several(n *node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(n.links) > 1
}

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
	return s.tree.enterDoc(dir, name, func() *document {
		d := s.pendingDocument(rule, v)
		d.linked.Store(len(v.Names) > 1)
		return d
	})
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
	return s.tree.enterShared(dir, name, inoKey{st.Dev, st.Ino}, sameRule(rule), func() *document {
		d := s.backedDocument(rule, ino)
		d.linked.Store(true)
		return d
	})
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
	d.linked.Store(len(known) > 1)
	if i := slices.IndexFunc(known, func(p string) bool { return s.rules.For(p) != nil }); i > 0 {
		known[0], known[i] = known[i], known[0]
	}
	return known[0], known[1:], parts, nil
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
	found, err := s.store.Links(s.ctx, known[0])
	if err != nil {
		return nil, false, fmt.Errorf("look for other names of %s: %w", known[0], err)
	}
	if known, err = s.learn(d, known, found); err != nil {
		return nil, false, err
	}
	return known, uint64(st.Nlink) > uint64(len(known)), nil
}

// learn puts names of a document that were found into the tree, and returns those
// with the ones that were known.
func (s *fileSystem) learn(d *document, known, found []string) ([]string, error) {
	s.names.Lock()
	defer s.names.Unlock()
	for _, path := range found {
		if slices.Contains(known, path) {
			continue
		}
		joined, err := s.learnName(d, path)
		if err != nil {
			return nil, err
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
	n := s.tree.enterKnown(dir, name, s.tree.paths(d.node), func(o *document) bool { return o == d })
	if n == nil {
		return false, nil
	}
	looked = append(looked, n)
	return true, nil
}

// linkShared gives a protected file another name that the same rule protects. The
// caller holds the document's commit lock; the file is published.
func (s *fileSystem) linkShared(d *document, to place) (*node, error) {
	if _, _, _, err := d.names(); err != nil {
		return nil, err
	}
	s.names.Lock()
	defer s.names.Unlock()
	if err := s.free(to.dir, to.name); err != nil {
		return nil, err
	}
	fd, err := s.openPath(d.node)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	parent, err := s.dirFD(to.dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Linkat(unix.AT_FDCWD, procPath(fd), parent, to.name, unix.AT_SYMLINK_FOLLOW); err != nil {
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
