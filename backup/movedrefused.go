package backup

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
)

// moveRefused gives the quarantine of old, and of everything below it, to new.
// The caller holds tree for writing.
func (s *Store) moveRefused(old, new string) error {
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	// Counts that were held back are known by a name that ends now.
	for base, n := range s.refused.behind {
		dir := parentDir(base)
		if dir != quarantineLayout.file(old) && !strings.HasPrefix(dir, quarantineLayout.dir(old)+"/") {
			continue
		}
		if err := s.writeNote(&n); err != nil {
			return err
		}
	}
	return s.moveBoth(quarantineLayout, old, new, s.mergeRefused)
}

// mergeRefused moves the contents in from to the directory to, which exists.
func (s *Store) mergeRefused(from, to string) error {
	names, err := s.d.ReadDir(from)
	if err != nil {
		return err
	}
	var errs []error // one note that is damaged must not keep the others back
	for _, e := range names {
		name := from + "/" + e.Name
		base, isNote := strings.CutSuffix(e.Name, noteSuffix)
		switch {
		case e.Type.IsDir():
			errs = append(errs, s.moveDir(name, to+"/"+e.Name, s.mergeRefused))
		case isNote:
			errs = append(errs, s.moveNote(from+"/"+base, to))
		}
	}
	for _, dir := range []string{to, from} {
		if err := s.d.SyncDir("moved:syncdir", dir); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	s.sweepRefused(from) // the first names of contents whose notes have moved
	return errors.Join(append(errs, s.endMerge(from, to))...)
}

// moveNote moves a content and its note to another directory. The content has
// both names until the note has moved: a note is never without it. A content
// that is there already gets the count of both.
func (s *Store) moveNote(base, to string) error {
	n, err := s.readNote(base)
	if err != nil {
		return err
	}
	same, err := s.findNote(to, n.SHA256[:idDigits])
	if err == nil {
		return s.joinNotes(n, same)
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	_, name := splitPath(base)
	if err := s.linkRefused(base+packSuffix, to+"/"+name+packSuffix); err != nil {
		return err
	}
	if err := s.d.SyncDir("moved:syncdir", to); err != nil {
		return err
	}
	return s.d.Rename("moved:rename", base+noteSuffix, to+"/"+name+noteSuffix)
}

// linkRefused gives a content a second name. What has that name already is
// left from an attempt that a crash ended, or without a note and so nothing.
func (s *Store) linkRefused(from, to string) error {
	err := s.d.Link("moved:link", from, to)
	if !errors.Is(err, iofs.ErrExist) {
		return err
	}
	if err := s.d.Remove("moved:remove", to); err != nil {
		return fmt.Errorf("remove what has no note: %w", err)
	}
	return s.d.Link("moved:link", from, to)
}

// joinNotes adds the count of n to that of same, which is of the same content,
// and drops n.
func (s *Store) joinNotes(n, same *note) error {
	same.Count += n.Count
	if n.Time.Before(same.Time) {
		same.Time = n.Time
	}
	if n.Last.After(same.Last) {
		same.Last = n.Last
	}
	if err := s.writeNote(same); err != nil {
		return err
	}
	return s.dropNote(n)
}
