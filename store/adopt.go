package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"syscall"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal/disk"
)

// Adopt implements fs.Store. A history that can't take the file for what is
// wrong with itself is told of, and is no error.
func (s *Store) Adopt(ctx context.Context, path string) error {
	s.forgetPast(path)
	if s.rule(path) == nil {
		return nil
	}
	_, err := s.adopt(ctx, path, false)
	return s.excuse(path, err)
}

// excuse lets saving and removing go on where history can't keep what was
// there: what is damaged stays so.
func (s *Store) excuse(path string, err error) error {
	if errors.Is(err, backup.ErrDamaged) || errors.Is(err, errCrowded) {
		s.note(Event{Kind: Unkept, Path: path, Message: err.Error()})
		return nil
	}
	return s.errno(err)
}

// adopt files the backing file of path in history, unless that has it: as
// any version if known suffices, else as its newest. It returns the new
// entry, nil if there is none. No file is not an error.
func (s *Store) adopt(ctx context.Context, path string, knownSuffices bool) (*backup.Item, error) {
	s.adoptMu.Lock()
	defer s.adoptMu.Unlock()
	f, info, err := s.openRegular(path)
	if f == nil || err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	entries, err := s.entries(path)
	if err != nil {
		return nil, err
	}
	candidates := entries
	if !knownSuffices && len(entries) > 0 {
		candidates = entries[len(entries)-1:]
	}
	for _, e := range candidates {
		if sameStat(e, info) {
			return nil, nil
		}
	}
	sum, err := digest(f, info.Size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	for _, e := range candidates {
		if !e.Removed && e.Size == info.Size && e.SHA256 == sum {
			return nil, nil
		}
	}
	item, err := s.adoptedItem(path, f, info, sum, entries)
	if err != nil {
		return nil, err
	}
	if err := s.history.Add(ctx, path, []backup.Item{item}); err != nil {
		return nil, fmt.Errorf("adopt %s: %w", path, err)
	}
	s.dirty.add(path, 1)
	return &item, nil
}

// foundBeneath is the note of what was adopted.
const foundBeneath = "found beneath"

// adoptedItem describes the file f, to be filed after entries.
func (s *Store) adoptedItem(path string, f disk.File, info disk.Info, sum [32]byte, entries []backup.Entry) (backup.Item, error) {
	attr, err := f.Attr()
	if err != nil {
		return backup.Item{}, fmt.Errorf("attributes of %s: %w", path, err)
	}
	item := backup.Item{
		Tx: 1, Time: info.Mtime, Size: info.Size, SHA256: sum, Attr: attr,
		Note: foundBeneath, Content: f,
	}
	if len(entries) == 0 {
		item.Note = "before intact"
	} else {
		last := entries[len(entries)-1]
		item.Tx = last.Tx + 1
		if !item.Time.After(last.Time) {
			item.Time = last.Time.Add(time.Nanosecond)
		}
	}
	if item.Tx%stride == 0 {
		// All numbers before the next commit are taken: the file was
		// changed beneath again and again. A number of that commit must
		// not be used up.
		return backup.Item{}, fmt.Errorf("adopt %s: %w", path, errCrowded)
	}
	if r := s.rule(path); r != nil {
		d, _, err := r.read(path, f, info.Size)
		if err != nil {
			return backup.Item{}, fmt.Errorf("read %s: %w", path, err)
		}
		item.Invalid = d == unparsed
	}
	return item, nil
}

var errCrowded = errors.New("changed beneath too often since its last commit")

// openRegular opens the backing file of path; nil if there is no regular file.
func (s *Store) openRegular(path string) (disk.File, disk.Info, error) {
	info, err := s.disk.Stat(path)
	if missing(err) {
		return nil, disk.Info{}, nil
	}
	if err != nil {
		return nil, disk.Info{}, fmt.Errorf("stat %s: %w", path, err)
	}
	if !info.Mode.IsRegular() {
		return nil, info, nil
	}
	f, err := s.disk.Open(path)
	if missing(err) {
		return nil, disk.Info{}, nil
	}
	if err != nil {
		return nil, disk.Info{}, fmt.Errorf("open %s: %w", path, err)
	}
	info, err = f.Stat()
	if err != nil {
		return nil, disk.Info{}, errors.Join(fmt.Errorf("stat %s: %w", path, err), f.Close())
	}
	return f, info, nil
}

// missing tells whether an error means that the name leads to no file.
func missing(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// sameStat tells, without reading it, that a file is what an entry says: the
// publisher gives a file the modification time of its version, to the
// nanosecond.
func sameStat(e backup.Entry, info disk.Info) bool {
	return !e.Removed && e.Size == info.Size && e.Attr.Mtime.Equal(info.Mtime)
}

func digest(r io.ReaderAt, size int64) (sum [32]byte, err error) {
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(r, 0, size))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	h.Sum(sum[:0])
	return sum, err
}

// entries is the history of path, empty if there is none.
func (s *Store) entries(path string) ([]backup.Entry, error) {
	entries, err := s.history.List(path)
	if errors.Is(err, backup.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", path, err)
	}
	return entries, nil
}

// adoptAll looks once at every path with history for what changed while
// nobody served the directory. It takes at most a quarter of one processor.
func (s *Store) adoptAll(ctx context.Context) {
	paths, err := s.history.Paths("")
	if err != nil {
		s.log.Warn("look for what changed beneath", "err", err)
		return
	}
	var found strays // nil until a file is missing
	for _, path := range paths {
		begin := time.Now()
		if err := s.adoptOrFollow(ctx, path, &found); err != nil && ctx.Err() == nil {
			s.log.Warn("look for what changed beneath", "path", path, "err", err)
		}
		select {
		case <-time.After(3 * time.Since(begin)):
		case <-ctx.Done():
			return
		}
	}
}

// adoptOrFollow is adoptOne for a file that may have been renamed while nobody
// served the directory.
func (s *Store) adoptOrFollow(ctx context.Context, path string, found *strays) error {
	last, ok, err := s.history.Newest(path)
	if err != nil || !ok || last.Removed {
		return s.adoptOne(ctx, path)
	}
	if _, pending := s.journal.Pending(path); pending {
		return nil
	}
	if _, err := s.disk.Stat(path); !missing(err) {
		return s.adoptOne(ctx, path)
	}
	if *found == nil {
		if *found, err = s.strays(ctx); err != nil {
			return err
		}
	}
	if moved, err := s.follow(ctx, path, last, *found); moved || err != nil {
		return err
	}
	return s.adoptOne(ctx, path)
}

// adoptOne makes what changed at path beneath a version, reports it if it is
// invalid, and ends the history of a file that is gone.
func (s *Store) adoptOne(ctx context.Context, path string) error {
	if _, pending := s.journal.Pending(path); pending || s.rule(path) == nil {
		return nil // the publisher adopts what it replaces
	}
	newest, ok, err := s.history.Newest(path)
	if err != nil || !ok {
		return err
	}
	info, err := s.disk.Stat(path)
	if missing(err) {
		return s.vanished(path, newest)
	}
	if err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	if sameStat(newest, info) {
		return nil
	}
	item, err := s.adopt(ctx, path, false)
	if item == nil || err != nil {
		return err
	}
	s.forgetPast(path)
	if !item.Invalid {
		s.note(Event{Kind: Adopted, Path: path, Tx: item.Tx, Message: "changed while not mounted: now a version of its own"})
		return nil
	}
	good, found := lastGood(s, path)
	msg := "changed while not mounted, and not valid"
	if found {
		msg += fmt.Sprintf("; the last good version is %s", FormatTx(good))
	}
	s.note(Event{Kind: BadFile, Path: path, Tx: good, Message: msg})
	return nil
}

func (s *Store) vanished(path string, newest backup.Entry) error {
	if newest.Removed {
		return nil
	}
	if _, pending := s.journal.Pending(path); pending {
		return nil
	}
	s.note(Event{Kind: Vanished, Path: path, Tx: newest.Tx, Message: "removed while not mounted; its versions are kept"})
	return s.Removed(path, fs.Writer{})
}

// lastGood is the newest valid version of path.
func lastGood(s *Store, path string) (uint64, bool) {
	entries, err := s.entries(path)
	if err != nil {
		return 0, false
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; !e.Removed && !e.Invalid {
			return e.Tx, true
		}
	}
	return 0, false
}
