package store

import (
	"context"
	"errors"
	"fmt"

	"intactfs/fs"
)

// Reconcile makes history agree with the directory about which files are there,
// after a crash between a removal or a rename and its entry in history, whichever
// of the two the disk kept. The history of a file that is missing goes to the
// name it was renamed to, and ends if there is none. One that is back as it was
// before its removal goes on. Files that hold something else are left to Verify
// and to the next mount. It returns how many paths it mended; what is pending
// must have been published.
func (s *Store) Reconcile(ctx context.Context) (int, error) {
	if s.readOnly {
		return 0, ErrReadOnly
	}
	paths, err := s.historyPaths("")
	if err != nil {
		return 0, err
	}
	mended := 0
	var errs []error
	var found strays // nil until a file is missing
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return mended, errors.Join(append(errs, err)...)
		}
		did, err := s.reconcile(ctx, path, &found)
		if did {
			mended++
		}
		if err != nil {
			errs = append(errs, s.kind(fmt.Errorf("reconcile %s: %w", path, err)))
		}
	}
	return mended, errors.Join(errs...)
}

// reconcile tells whether history had to be changed.
func (s *Store) reconcile(ctx context.Context, path string, found *strays) (bool, error) {
	if _, pending := s.journal.Pending(path); pending {
		return false, nil
	}
	entries, err := s.entries(path)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	last := entries[len(entries)-1]
	_, err = s.disk.Stat(path)
	switch {
	case missing(err) && last.Removed:
		return false, nil
	case missing(err):
		if *found == nil {
			if *found, err = s.strays(ctx); err != nil {
				return false, err
			}
		}
		if moved, err := s.follow(ctx, path, last, *found); moved || err != nil {
			return moved, err
		}
		s.note(Event{Kind: Vanished, Path: path, Tx: last.Tx, Message: "found missing; its versions are kept"})
		return true, s.Removed(path, fs.Writer{})
	case err != nil:
		return false, fmt.Errorf("stat: %w", err)
	case !last.Removed || len(entries) < 2:
		return false, nil
	}
	return s.revive(ctx, path, entries[len(entries)-2].SHA256)
}

// revive goes on with the history of a file that is back with the content it
// had at its end.
func (s *Store) revive(ctx context.Context, path string, want [32]byte) (bool, error) {
	f, info, err := s.openRegular(path)
	if f == nil || err != nil {
		return false, err
	}
	sum, err := digest(f, info.Size)
	if err = errors.Join(err, f.Close()); err != nil || sum != want {
		return false, err
	}
	item, err := s.adopt(ctx, path, false)
	if item == nil || err != nil {
		return false, err
	}
	s.note(Event{Kind: Adopted, Path: path, Tx: item.Tx, Message: "found again after its removal, as it was"})
	return true, nil
}
