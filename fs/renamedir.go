package fs

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// renameDir moves a directory. What is pending below is published first, once
// while commits go on and once more with them held, so that they are held
// shortly.
func (s *fileSystem) renameDir(from, to place, flags uint32) error {
	if err := s.store.Settle(s.ctx, from.path); err != nil {
		return fmt.Errorf("settle %s: %w", from.path, err)
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	if err := s.store.Settle(s.ctx, from.path); err != nil {
		return fmt.Errorf("settle %s: %w", from.path, err)
	}
	err := s.locked(func() error {
		if to.node != nil && to.node.kind == unix.S_IFDIR && s.occupied(to.node) {
			return syscall.ENOTEMPTY
		}
		return s.moveBeneath(from, to, flags)
	})
	if err != nil {
		return err
	}
	s.moved(from.path, to.path)
	s.reconsider(from.node)
	return nil
}

// reconsider looks at all files below a directory that got another name: a
// rule may protect what none did, and the other way round.
func (s *fileSystem) reconsider(dir *node) {
	type change struct {
		parent uint64
		name   string
	}
	var forget []change
	s.tree.mu.Lock()
	var docs []*document
	var visit func(*node)
	visit = func(n *node) {
		for name, c := range n.children {
			switch d := c.doc.Load(); {
			case d != nil:
				docs = append(docs, d)
			case c.kind == unix.S_IFDIR:
				visit(c)
			case c.kind == unix.S_IFREG:
				if path, ok := s.tree.pathLocked(c); ok && s.rules.For(path) != nil {
					forget = append(forget, change{n.id, name})
				}
			}
		}
	}
	visit(dir)
	s.tree.mu.Unlock()
	for _, d := range docs {
		_, named := s.tree.where(d.node)
		switch {
		case !named:
		case s.keepRule(d) != nil:
			s.partOthers(d)
		case d.settled():
			_ = s.locked(func() error { return s.unprotect(d) })
		}
	}
	if len(forget) == 0 {
		return
	}
	// Only after the reply: the kernel holds the directories meanwhile.
	go func() {
		for _, c := range forget {
			_ = s.server.EntryNotify(c.parent, c.name)
		}
	}()
}
