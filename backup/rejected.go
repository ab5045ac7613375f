package backup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	iofs "io/fs"
	"slices"
	"strings"
	"time"

	"intactfs/journal/disk"
)

// Rejected lists the contents in quarantine for path, oldest first; "" lists
// those of all paths. With an error it returns those that could be read.
func (s *Store) Rejected(path string) ([]Rejected, error) {
	s.tree.RLock()
	defer s.tree.RUnlock()
	paths := []string{path}
	if path == "" {
		var err error
		if paths, err = s.rejectedPaths(); err != nil {
			return nil, err
		}
	} else if err := checkPath(path); err != nil {
		return nil, err
	}
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	var list []Rejected
	var errs []error
	for _, p := range paths {
		notes, err := s.notes(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("list quarantine of %s: %w", p, err))
		}
		for _, n := range notes {
			list = append(list, n.rejected(p))
		}
	}
	slices.SortStableFunc(list, func(a, b Rejected) int { return a.Time.Compare(b.Time) })
	return list, errors.Join(errs...)
}

func (s *Store) rejectedPaths() ([]string, error) {
	var paths []string
	err := s.walk(quarantineLayout, "", func(path string) { paths = append(paths, path) })
	return paths, err
}

// byID finds the note that an ID names.
func (s *Store) byID(id string) (*note, error) {
	at := strings.LastIndexByte(id, '@')
	if at < 0 || len(id)-at-1 != idDigits {
		return nil, fmt.Errorf("%w: %q in quarantine", ErrNotFound, id)
	}
	if err := checkPath(id[:at]); err != nil {
		return nil, err
	}
	n, err := s.findNote(quarantineLayout.file(id[:at]), id[at+1:])
	if err != nil {
		return nil, fmt.Errorf("find %s in quarantine: %w", id, err)
	}
	return n, nil
}

// OpenRejected opens a refused content: as much of it as was kept. It stays
// good when the content is dropped.
func (s *Store) OpenRejected(id string) (Content, error) {
	n, f, err := s.locateRejected(id)
	if err != nil {
		return nil, err
	}
	c, err := s.openNote(context.Background(), f, n)
	if err != nil {
		return nil, fmt.Errorf("open %s in quarantine: %w", id, err)
	}
	return c, nil
}

func (s *Store) locateRejected(id string) (*note, disk.File, error) {
	s.tree.RLock()
	defer s.tree.RUnlock()
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	n, err := s.byID(id)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.d.Open(n.base + packSuffix)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s in quarantine: %w", id, err)
	}
	return n, f, nil
}

// openNote reads the content of n from f, which it takes over. Contents never
// change, so that no lock is needed.
func (s *Store) openNote(ctx context.Context, f disk.File, n *note) (Content, error) {
	r := n.rejected("")
	name := n.base + packSuffix
	if n.Held > largeContent {
		rec := record{Entry: Entry{Pack: name, Size: n.Held, SHA256: r.SHA256}, frameLen: n.stored}
		c, err := newStream(ctx, f, rec)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return c, nil
	}
	frame, err := readOpen(f, name, 2*largeContent)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if got := fmt.Sprintf("%08x", crc32.Checksum(frame, castagnoli)); got != n.FrameCk {
		return nil, fmt.Errorf("%w: %s: checksum of the frame", ErrDamaged, name)
	}
	content, err := s.codec.decode(frame, nil, nil, n.Held)
	if err == nil && sha256.Sum256(content) != r.SHA256 {
		err = fmt.Errorf("%w: content does not match its digest", ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return bytesContent{bytes.NewReader(content)}, nil
}

// DropRejected removes a refused content. ErrNotFound: there is none such.
func (s *Store) DropRejected(id string) error {
	if s.o.ReadOnly {
		return fmt.Errorf("%s: %w", id, ErrReadOnly)
	}
	s.tree.RLock()
	defer s.tree.RUnlock()
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	n, err := s.byID(id)
	if err == nil {
		err = s.dropNote(n)
	}
	if err != nil {
		return fmt.Errorf("drop %s from quarantine: %w", id, err)
	}
	return nil
}

// boundPath drops the oldest contents of path beyond its bounds, and then
// those of all paths. just is the disk name of the one that came now.
func (s *Store) boundPath(path, just string) error {
	s.sweepRefused(quarantineLayout.file(path))
	notes, err := s.notes(path)
	if err != nil && len(notes) == 0 {
		return err
	}
	slices.SortFunc(notes, func(a, b *note) int { return a.Last.Compare(b.Last) })
	var sum int64
	for _, n := range notes {
		sum += n.stored
	}
	for len(notes) > 1 && (len(notes) > s.o.RejectedPerPath || sum > s.o.RejectedBytes) {
		oldest := notes[0]
		if oldest.base == just { // a clock that went back does not make it old
			oldest = notes[1]
			notes[1] = notes[0]
		}
		if err := s.dropNote(oldest); err != nil {
			return err
		}
		sum -= oldest.stored
		notes = notes[1:]
	}
	return s.boundTotal(just)
}

// boundTotal drops the oldest contents of all paths while they take more than
// their bound, but leaves every path its newest.
func (s *Store) boundTotal(just string) error {
	if s.refused.total >= 0 && s.refused.total <= s.o.RejectedTotal {
		return nil
	}
	paths, err := s.rejectedPaths()
	if err != nil {
		return err
	}
	var total int64
	var old []*note
	for _, p := range paths {
		notes, err := s.notes(p)
		if err != nil {
			s.log.Warn("quarantine can't be read", "path", p, "err", err)
		}
		slices.SortFunc(notes, func(a, b *note) int { return a.Last.Compare(b.Last) })
		for i, n := range notes {
			total += n.stored
			if i < len(notes)-1 && n.base != just {
				old = append(old, n)
			}
		}
	}
	s.refused.total = total
	slices.SortFunc(old, func(a, b *note) int {
		return cmp.Or(a.Last.Compare(b.Last), strings.Compare(a.base, b.base))
	})
	for i := 0; i < len(old) && s.refused.total > s.o.RejectedTotal; i++ {
		if err := s.dropNote(old[i]); err != nil {
			return err
		}
	}
	return nil
}

// sweepRefused removes contents without a note and temporary files: what a
// crash left. That it fails does no harm.
func (s *Store) sweepRefused(dir string) {
	names, err := s.d.ReadDir(dir)
	if err != nil {
		return
	}
	noted := map[string]bool{}
	for _, e := range names {
		if base, ok := strings.CutSuffix(e.Name, noteSuffix); ok {
			noted[base] = true
		}
	}
	for _, e := range names {
		base, isContent := strings.CutSuffix(e.Name, packSuffix)
		if isContent && !noted[base] || strings.HasSuffix(e.Name, tempSuffix) {
			_ = s.d.Remove("refuse:sweep", dir+"/"+e.Name)
		}
	}
}

// refusedSince counts the contents refused for path, those not forgotten
// since, when one of them was refused after the time.
func (s *Store) refusedSince(path string, since time.Time) (int64, error) {
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	notes, err := s.notes(path)
	var count int64
	for _, n := range notes {
		if !n.Last.Before(since) {
			count += n.Count
		}
	}
	return count, err
}

// Close writes the counts of the quarantine that were held back. There is
// nothing else to close but files that have no name any more.
func (s *Store) Close() error {
	s.tree.RLock()
	defer s.tree.RUnlock()
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	var errs []error
	for _, n := range s.refused.behind {
		if err := s.writeNote(&n); err != nil {
			errs = append(errs, fmt.Errorf("close quarantine: %w", err))
		}
	}
	s.d.letGo()
	return errors.Join(errs...)
}

// verifyRejected reads every content in quarantine.
func (s *Store) verifyRejected(ctx context.Context, rep *Report) error {
	paths, err := s.refusedBelow()
	if err != nil {
		return err
	}
	for _, p := range paths {
		notes, err := s.lockedNotes(p)
		if err != nil {
			rep.Damage = append(rep.Damage, Damage{Path: p, File: quarantineLayout.file(p), Err: err})
		}
		for _, n := range notes {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.verifyNote(ctx, p, n, rep)
		}
	}
	return nil
}

func (s *Store) refusedBelow() ([]string, error) {
	s.tree.RLock()
	defer s.tree.RUnlock()
	return s.rejectedPaths()
}

func (s *Store) lockedNotes(path string) ([]*note, error) {
	s.tree.RLock()
	defer s.tree.RUnlock()
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	return s.notes(path)
}

// verifyNote reads one content. One that is gone was dropped since it was
// listed, or moved.
func (s *Store) verifyNote(ctx context.Context, path string, n *note, rep *Report) {
	f, err := s.d.Open(n.base + packSuffix)
	if errors.Is(err, iofs.ErrNotExist) {
		return
	}
	if err == nil {
		var c Content
		if c, err = s.openNote(ctx, f, n); err == nil {
			err = c.Close()
		}
	}
	if err != nil {
		rep.Damage = append(rep.Damage, Damage{Path: path, File: n.base + packSuffix, Err: err})
		return
	}
	rep.Rejected++
}
