package fs

import (
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// rootID is the node id the kernel gives to the root of a mount.
const rootID = 1

// inoKey names a file of the backing file system.
type inoKey struct{ dev, ino uint64 }

// link is one name of a node.
type link struct {
	dir  *node
	name string
}

// node is one file as the kernel knows it. A directory, symbolic link, device
// or unprotected file is the backing inode that it was found as; a protected
// file is its name, whatever inode holds its newest version.
type node struct {
	id   uint64
	kind uint32 // S_IFMT bits
	key  inoKey // zero for a protected file
	// shared is what a protected file with other names is beneath, until it is
	// committed to. Guarded by tree.mu.
	shared inoKey

	// Guarded by tree.mu.
	lookups  uint64
	pins     int
	links    []link
	children map[string]*node

	fdMu     sync.Mutex
	dirFD    int // O_PATH descriptor of a directory, opened on first use; -1
	orphanFD int // O_PATH descriptor that keeps a file without a name; -1

	// writes counts the changes of a file that no rule protects.
	writes atomic.Uint64
	// doc is set while the node is a protected file.
	doc atomic.Pointer[document]
}

// tree is all nodes that the kernel, an open handle or a draft refers to. Ids
// are counted up and never used again.
//
// Lock order: writer.mu, document.commit, commits, names, document.mu, tree.mu.
type tree struct {
	mu     sync.Mutex
	next   uint64
	byID   map[uint64]*node
	byKey  map[inoKey]*node
	shared map[inoKey]*node // by node.shared
	atRoot *node
}

func newTree(rootFD int, key inoKey) *tree {
	root := &node{id: rootID, kind: unix.S_IFDIR, key: key, dirFD: rootFD, orphanFD: -1, lookups: 1, pins: 1}
	return &tree{
		next:   rootID + 1,
		byID:   map[uint64]*node{rootID: root},
		byKey:  map[inoKey]*node{},
		shared: map[inoKey]*node{},
		atRoot: root,
	}
}

// get returns the node of an id, nil if there is none.
func (t *tree) get(id uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// child returns the node known under a name, nil if there is none.
func (t *tree) child(dir *node, name string) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return dir.children[name]
}

// docsBelow returns the protected nodes known directly below a directory.
func (t *tree) docsBelow(dir *node) map[string]*node {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[string]*node{}
	for name, n := range dir.children {
		if n.doc.Load() != nil {
			found[name] = n
		}
	}
	return found
}

// enter finds or makes the node for a backing inode that was seen at a name,
// and counts one lookup. Another node at that name loses it.
func (t *tree) enter(dir *node, name string, key inoKey, kind uint32) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byKey[key]
	if n != nil && (n.kind != kind || n.doc.Load() != nil) {
		delete(t.byKey, key)
		n = nil
	}
	if n == nil {
		n = t.make(kind)
		n.key = key
		t.byKey[key] = n
	}
	t.linkLocked(n, dir, name)
	n.lookups++
	return n
}

// enterDoc finds or makes the node of a protected name.
// Only a lookup that is told to the kernel is counted.
func (t *tree) enterDoc(dir *node, name string, make func() *document) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, _ := t.enterDocLocked(dir, name, make)
	return n
}

func (t *tree) enterDocLocked(dir *node, name string, make func() *document) (n *node, made bool) {
	n = dir.children[name]
	if n == nil || n.doc.Load() == nil {
		made = true
		n = t.make(unix.S_IFREG)
		d := make()
		d.node = n
		n.doc.Store(d)
		t.linkLocked(n, dir, name)
	}
	n.lookups++
	return n, made
}

// enterNameless makes the node of a file that has no name yet.
func (t *tree) enterNameless(key inoKey, kind uint32) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.make(kind)
	n.key = key
	t.byKey[key] = n
	n.lookups++
	return n
}

func (t *tree) make(kind uint32) *node {
	n := &node{id: t.next, kind: kind, dirFD: -1, orphanFD: -1}
	t.next++
	t.byID[n.id] = n
	return n
}

func (t *tree) linkLocked(n *node, dir *node, name string) {
	if old := dir.children[name]; old == n {
		return
	} else if old != nil {
		t.unlinkLocked(old, dir, name)
	}
	if n.kind == unix.S_IFDIR { // a directory has one name
		for _, l := range n.links {
			delete(l.dir.children, l.name)
		}
		n.links = nil
	}
	if dir.children == nil {
		dir.children = map[string]*node{}
	}
	dir.children[name] = n
	n.links = append(n.links, link{dir, name})
}

func (t *tree) unlinkLocked(n *node, dir *node, name string) {
	if dir.children[name] == n {
		delete(dir.children, name)
	}
	n.links = slices.DeleteFunc(n.links, func(l link) bool { return l.dir == dir && l.name == name })
	t.reapLocked(n)
	t.reapLocked(dir)
}

// unlink takes a name away. gone says that the backing inode has no name left
// at all, so that its number may be used again for another file.
func (t *tree) unlink(dir *node, name string, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := dir.children[name]
	if n == nil {
		return
	}
	if gone && t.byKey[n.key] == n {
		delete(t.byKey, n.key)
	}
	t.unlinkLocked(n, dir, name)
}

// move follows a rename, which takes the name of whatever was at the target.
func (t *tree) move(oldDir *node, oldName string, newDir *node, newName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := oldDir.children[oldName]
	if old := newDir.children[newName]; old != nil && old != n {
		if t.byKey[old.key] == old && len(old.links) == 1 {
			delete(t.byKey, old.key)
		}
		t.unlinkLocked(old, newDir, newName)
	}
	if n == nil {
		return
	}
	n.pins++
	t.unlinkLocked(n, oldDir, oldName)
	t.linkLocked(n, newDir, newName)
	n.pins--
	t.reapLocked(n)
}

// exchange follows a rename that swaps two names.
func (t *tree) exchange(aDir *node, aName string, bDir *node, bName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, b := aDir.children[aName], bDir.children[bName]
	for _, n := range []*node{a, b, aDir, bDir} {
		if n != nil {
			n.pins++
		}
	}
	if a != nil {
		t.unlinkLocked(a, aDir, aName)
	}
	if b != nil {
		t.unlinkLocked(b, bDir, bName)
		t.linkLocked(b, aDir, aName)
	}
	if a != nil {
		t.linkLocked(a, bDir, bName)
	}
	for _, n := range []*node{a, b, aDir, bDir} {
		if n != nil {
			n.pins--
			t.reapLocked(n)
		}
	}
}

// where returns one name of a node; false if it has none.
func (t *tree) where(n *node) (link, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(n.links) == 0 {
		return link{}, false
	}
	return n.links[0], true
}

// path returns the name of a node relative to the root, "" for the root
// itself; false if it has no name.
func (t *tree) path(n *node) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pathLocked(n)
}

func (t *tree) pathLocked(n *node) (string, bool) {
	if n == t.atRoot {
		return "", true
	}
	if len(n.links) == 0 {
		return "", false
	}
	l := n.links[0]
	dir, ok := t.pathLocked(l.dir)
	return join(dir, l.name), ok
}

// join appends a name to a path relative to the root.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// pin keeps a node while a handle or a draft needs it.
func (t *tree) pin(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.pins++
}

// pinned tells whether a handle or a draft needs a node.
func (t *tree) pinned(n *node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.pins > 0
}

func (t *tree) unpin(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.pins--
	t.reapLocked(n)
}

// forget takes back lookups that the kernel was told of.
func (t *tree) forget(id, lookups uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil {
		return
	}
	n.lookups -= min(lookups, n.lookups)
	t.reapLocked(n)
}

// reapLocked drops a node that nothing refers to, and then its directory if
// that was only kept for it.
func (t *tree) reapLocked(n *node) {
	if n.lookups > 0 || n.pins > 0 || len(n.children) > 0 || t.byID[n.id] != n {
		return
	}
	delete(t.byID, n.id)
	if t.byKey[n.key] == n {
		delete(t.byKey, n.key)
	}
	t.unshareLocked(n)
	n.closeFDs()
	if d := n.doc.Load(); d != nil {
		d.kept.Swap(nil).close()
	}
	links := n.links
	n.links = nil
	for _, l := range links {
		if l.dir.children[l.name] == n {
			delete(l.dir.children, l.name)
		}
		t.reapLocked(l.dir)
	}
}

func (n *node) closeFDs() {
	n.fdMu.Lock()
	defer n.fdMu.Unlock()
	for _, fd := range []*int{&n.dirFD, &n.orphanFD} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
		}
		*fd = -1
	}
}
