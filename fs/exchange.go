package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// exchange swaps two names. Everything pending below either is published
// first, and no commit runs meanwhile.
func (s *fileSystem) exchange(a, b place, in *fuse.InHeader) error {
	if a.node == nil || b.node == nil {
		return syscall.ENOENT
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	for _, p := range []place{a, b} {
		if d := p.doc(); d != nil && !d.settled() {
			return errInvalid // nothing was committed to it
		}
		if err := s.keepLast(p.path); err != nil {
			return err
		}
	}
	for _, p := range [][2]place{{a, b}, {b, a}} {
		if err := s.mayCross(p[0], p[1]); err != nil {
			return err
		}
	}
	if err := s.judgeSwap(a, b, in); err != nil {
		return err
	}
	if err := s.judgeSwap(b, a, in); err != nil {
		return err
	}
	if err := s.locked(func() error { return s.swapBeneath(a, b) }); err != nil {
		return err
	}
	s.swapHistory(a, b, in)
	return nil
}

// mayCross refuses to swap a file that keeps other names, to a name that must not
// be one of it: it is not protected as the others are.
func (s *fileSystem) mayCross(from, to place) error {
	d := from.doc()
	if d == nil || to.rule != nil && sameRule(to.rule)(d) {
		return nil
	}
	if _, _, _, err := d.names(); err != nil {
		return err
	}
	if s.tree.several(d.node) {
		return syscall.EINVAL
	}
	return nil
}

// judgeSwap judges the file at one place by the rule of the other.
func (s *fileSystem) judgeSwap(from, to place, in *fuse.InHeader) error {
	if to.rule == nil || from.node.kind != unix.S_IFREG {
		return nil
	}
	got, err := s.judgeIncoming(from.node, to, to.node.kind == unix.S_IFREG, in)
	if err != nil {
		return err
	}
	got.content.Discard()
	return nil
}

func (s *fileSystem) swapBeneath(a, b place) error {
	aFD, err := s.dirFD(a.dir)
	if err != nil {
		return err
	}
	bFD, err := s.dirFD(b.dir)
	if err != nil {
		return err
	}
	if err := unix.Renameat2(aFD, a.name, bFD, b.name, unix.RENAME_EXCHANGE); err != nil {
		return err
	}
	s.tree.exchange(a.dir, a.name, b.dir, b.name)
	for _, moved := range [][2]place{{a, b}, {b, a}} {
		if err := s.rejoin(moved[0], moved[1]); err != nil {
			return err
		}
	}
	return nil
}

// rejoin makes a swapped node what its new name asks for.
func (s *fileSystem) rejoin(from, to place) error {
	d := from.doc()
	switch {
	case from.node.kind != unix.S_IFREG:
		return nil
	case d != nil && s.keepRule(d) == nil:
		return s.unprotect(d)
	case d != nil:
		d.mu.Lock()
		d.head, d.resume = Version{}, nil // those were of the other name
		d.mu.Unlock()
	case to.rule != nil:
		protected := s.backedDocument(to.rule, freshIno())
		protected.filled.Store(true)
		protected.linked.Store(true) // it may be
		s.protect(from.node, protected)
	}
	return nil
}

// swapHistory lets history follow a swap: it goes with a name that stays
// protected, by way of a name that no file has.
func (s *fileSystem) swapHistory(a, b place, in *fuse.InHeader) {
	if a.node.kind == unix.S_IFDIR || b.node.kind == unix.S_IFDIR {
		s.swapNames(a.path, b.path)
		for _, n := range []*node{a.node, b.node} {
			if n.kind == unix.S_IFDIR {
				s.reconsider(n)
			}
		}
		return
	}
	if a.rule != nil && b.rule != nil {
		s.swapNames(a.path, b.path)
		return
	}
	for _, p := range []place{a, b} {
		if p.rule == nil {
			continue
		}
		s.removed(p.dir, p.path, in)
		if err := s.store.Adopt(s.ctx, p.path); err != nil {
			s.log.Error("history doesn't have a file that was swapped in", "path", p.path, "error", err)
		}
	}
}

func (s *fileSystem) swapNames(a, b string) {
	aside := a + ".exchanged"
	s.moved(a, aside)
	s.moved(b, a)
	s.moved(aside, b)
}
