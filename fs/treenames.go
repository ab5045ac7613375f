package fs

import "strings"

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
		if old := t.shared[key]; old != nil {
			t.unshareLocked(old)
		}
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

// enterNode gives a name to the node of a document, and counts one lookup; nil if
// it may not have it.
func (t *tree) enterNode(dir *node, name string, d *document) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.joinLocked(d.node, dir, name, func(*document) bool { return t.byID[d.node.id] == d.node })
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

// count is by how many names a node is known.
func (t *tree) count(n *node) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(n.links)
}

// several tells whether a node is known by more than one name.
func (t *tree) several(n *node) bool { return t.count(n) > 1 }
