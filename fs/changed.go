package fs

import (
	"crypto/sha256"
	"strings"

	"golang.org/x/sys/unix"
)

// Changed tells that a path was committed to past the mount: a version was
// restored, or accepted from quarantine. Readers that rewind, stat and writers
// that begin see it once Changed has returned. It must not be called from a
// request of the mount.
func (v *Server) Changed(path string) { v.fs.changed(path) }

func (s *fileSystem) changed(path string) {
	names := []string{path}
	if v, ok := s.store.Pending(path); ok && len(v.Names) > 0 {
		names = v.Names
	}
	var told *node
	for _, name := range names { // those that are known are one node
		if _, n, _ := s.tree.walk(name); n == nil || n != told {
			s.changedName(name)
			told = n
		}
	}
}

func (s *fileSystem) changedName(path string) {
	dir, n, name := s.tree.walk(path)
	switch {
	case n == nil && dir != nil:
		// The name, or a directory above it, is new to the kernel, which may
		// be about to change the directory: it waits for nobody here.
		go func() { _ = s.server.EntryNotify(dir.id, name) }()
		return
	case n == nil:
		return
	}
	if d := n.doc.Load(); d != nil {
		d.movedOn(path)
	}
	_ = s.server.InodeNotify(n.id, 0, 0)
}

// walk follows a path as far as its nodes are known: to the node at its end, or
// to the last directory and the name below it that has none.
func (t *tree) walk(path string) (dir, n *node, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir = t.atRoot
	for {
		var more bool
		name, path, more = strings.Cut(path, "/")
		n = dir.children[name]
		switch {
		case n == nil || !more:
			return dir, n, name
		case n.kind != unix.S_IFDIR:
			return nil, nil, ""
		}
		dir = n
	}
}

// movedOn takes note of a version that was committed past the document.
func (d *document) movedOn(path string) {
	d.commit.Lock()
	defer d.commit.Unlock()
	s := d.s
	head, pending := s.store.Pending(path) // published already: it has no number here
	d.linked.Store(true)                   // as far as is known
	d.counted.Store(false)
	s.tree.unshare(d.node)
	var err error
	if known := s.tree.paths(d.node); pending {
		_, err = s.learn(d, known, head.Names)
	} else if len(known) > 0 {
		_, _, err = s.lookAround(d, known)
	}
	if err != nil {
		s.log.Warn("other names of a file may not follow it", "path", path, "error", err)
	}
	d.mu.Lock()
	unpin := d.shown && !d.exists
	d.head, d.resume, d.tail = head, nil, tail{}
	d.exists, d.draft, d.shown = true, false, false
	d.ctime = s.now()
	d.mu.Unlock()
	if unpin {
		s.tree.unpin(d.node)
	}
}

// keepEmpty commits the empty version of a name that was made and left empty,
// once nobody writes to it: there is nothing to lose, and it outlives the
// daemon. For the next writer it is the nothing that a draft is.
func (d *document) keepEmpty(who Writer) {
	s := d.s
	d.commit.Lock()
	defer d.commit.Unlock()
	s.commits.RLock()
	defer s.commits.RUnlock()
	d.mu.Lock()
	left := d.shown && d.draft && !d.exists && !d.gone && len(d.writers) == 0
	d.mu.Unlock()
	path, named := s.tree.path(d.node)
	if !left || !named || d.rule.Load() == nil {
		return
	}
	attr, err := d.attr()
	if err == nil {
		var v Version
		c := Commit{Path: path, Attr: attr, SHA256: sha256.Sum256(nil), Who: who, Note: "created empty"}
		if v, err = s.store.Commit(s.ctx, c); err == nil {
			d.committedNow(v, nil)
			return
		}
	}
	s.log.Warn("a new empty file is not committed: it is there until the mount ends", "path", path, "error", err)
}
