package backup

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"strings"
	"syscall"
)

// Moved gives the history of old, and of everything below it, to new, and the
// quarantine with it. Where new has history already both are kept, ordered by
// their numbers. Durable when it returns nil; after an error or a crash it may
// be repeated, and until then each version and each refused content is found
// below one of the two. The ID of a refused content changes with its path.
func (s *Store) Moved(old, new string) error {
	if err := errors.Join(s.writable(old), s.writable(new)); err != nil {
		return err
	}
	if old == new {
		return nil
	}
	if strings.HasPrefix(new, old+"/") {
		return fmt.Errorf("%w: %s lies below %s", ErrBadPath, new, old)
	}
	s.tree.Lock()
	defer s.tree.Unlock()
	err := s.moveBoth(historyLayout, old, new, s.merge)
	if err != nil {
		return fmt.Errorf("move history of %s to %s: %w", old, new, err)
	}
	if err := s.moveRefused(old, new); err != nil {
		return fmt.Errorf("move quarantine of %s to %s: %w", old, new, err)
	}
	return nil
}

// moveBoth moves what belongs to the file at old, and what lies below the
// directory of that name.
func (s *Store) moveBoth(l layout, old, new string, merge mergeFunc) error {
	if err := s.moveDir(l.file(old), l.file(new), merge); err != nil {
		return err
	}
	return s.moveDir(l.dir(old), l.dir(new), merge)
}

// A mergeFunc moves what is in a directory to another, and removes the first.
type mergeFunc func(from, to string) error

// moveDir renames a directory, or moves what is in it to one that is there
// already. A directory that does not exist has nothing to move.
func (s *Store) moveDir(from, to string, merge mergeFunc) error {
	was, err := s.d.Stat(from)
	if errors.Is(err, iofs.ErrNotExist) {
		return s.confirmMove(from, to)
	}
	if err != nil {
		return err
	}
	s.forgetTree(from)
	s.forgetTree(to)
	is, err := s.d.Stat(to)
	switch {
	case err == nil && is.Ino == was.Ino && is.Dev == was.Dev:
		return s.syncMove(from, to) // a crash left both names of one directory
	case err == nil:
		return merge(from, to)
	case !errors.Is(err, iofs.ErrNotExist):
		return err
	}
	if err := s.d.MkdirAll("moved:mkdir", parentDir(to), dirPerm); err != nil {
		return err
	}
	if err := s.d.Rename("moved:rename", from, to); err != nil {
		return err
	}
	return s.syncMove(from, to)
}

// syncMove makes a rename durable, the new name first: a crash between may
// leave both names, never none.
func (s *Store) syncMove(from, to string) error {
	if err := s.syncDirs("moved:syncdir", parentDir(to)); err != nil {
		return err
	}
	err := s.d.SyncDir("moved:syncdir", parentDir(from))
	if err == nil || errors.Is(err, iofs.ErrNotExist) {
		s.markSynced(to)
		return nil
	}
	return err
}

// confirmMove makes durable what an earlier attempt may have renamed.
func (s *Store) confirmMove(from, to string) error {
	if s.isSynced(to) {
		return nil
	}
	_, err := s.d.Stat(to)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.syncMove(from, to)
}

// merge moves what is in from to the directory to, and removes from.
func (s *Store) merge(from, to string) error {
	names, err := s.d.ReadDir(from)
	if err != nil {
		return err
	}
	target, err := s.readHistory(to)
	if err != nil {
		return err
	}
	if err := s.mergePins(from, to); err != nil {
		return err
	}
	for _, e := range names {
		name := from + "/" + e.Name
		_, isPack := packNumber(e.Name)
		switch {
		case e.Type.IsDir():
			err = s.moveDir(name, to+"/"+e.Name, s.merge)
		case isPack:
			err = s.movePack(name, to, target)
		default: // pins that were merged, and leftovers
			err = s.d.Remove("moved:remove", name)
		}
		if err != nil {
			return err
		}
	}
	return s.endMerge(from, to)
}

// endMerge makes a merge durable and removes the directory that is empty now.
func (s *Store) endMerge(from, to string) error {
	if err := s.syncDirs("moved:syncdir", to); err != nil {
		return err
	}
	if err := s.d.SyncDir("moved:syncdir", from); err != nil {
		return err
	}
	// What else lies in it stays, and the directory with it.
	if err := s.d.Remove("moved:remove", from); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return s.d.SyncDir("moved:syncdir", parentDir(from))
}

// movePack gives a pack the next number of another path.
func (s *Store) movePack(name, to string, target *history) error {
	was, err := s.d.Stat(name)
	if err != nil {
		return err
	}
	for _, p := range target.packs {
		is, err := s.d.Stat(p.name)
		if err != nil {
			return err
		}
		if is.Ino == was.Ino && is.Dev == was.Dev {
			return s.d.Remove("moved:remove", name) // a crash left both names
		}
	}
	n := target.nextPack()
	p := packInfo{num: n, name: to + "/" + packName(n)}
	if err := s.d.Rename("moved:rename", name, p.name); err != nil {
		return err
	}
	target.packs = append(target.packs, p)
	return nil
}

// mergePins adds the pins of from to those of to.
func (s *Store) mergePins(from, to string) error {
	old, err := readPins(s.d, from)
	if err != nil {
		return err
	}
	if len(old) == 0 {
		return nil
	}
	pins, err := readPins(s.d, to)
	if err != nil {
		return err
	}
	maps.Copy(pins, old)
	return s.writePins(to, pins)
}

// forgetTree drops what is remembered of dir and of all below it.
func (s *Store) forgetTree(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	below := func(name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
	s.index.dropIf(below)
	s.synced.dropIf(below)
}
