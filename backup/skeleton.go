package backup

import (
	"context"
	"io"
	"time"
)

var errSkeleton = ErrNotFound

// Moved gives the history of old, and of all below it, to new.
func (s *Store) Moved(old, new string) error { return errSkeleton }

// Expire drops what p does not keep; dry only says what.
func (s *Store) Expire(ctx context.Context, path string, p Policy, now time.Time, dry bool) (PlanResult, error) {
	return PlanResult{}, errSkeleton
}

// Plan sorts entries, oldest first, into what p keeps and what not.
func Plan(entries []Entry, p Policy, now time.Time) []Decision { return nil }

// Verify reads everything.
func (s *Store) Verify(ctx context.Context, progress func(path string)) (Report, error) {
	return Report{}, errSkeleton
}

// Refuse puts content into quarantine.
func (s *Store) Refuse(ctx context.Context, r Rejection, content io.ReaderAt) (Rejected, error) {
	return Rejected{}, errSkeleton
}

// Rejected lists the quarantine of path, oldest first; "" lists all.
func (s *Store) Rejected(path string) ([]Rejected, error) { return nil, errSkeleton }

// OpenRejected opens a refused content.
func (s *Store) OpenRejected(id string) (Content, error) { return nil, errSkeleton }

// DropRejected removes a refused content.
func (s *Store) DropRejected(id string) error { return errSkeleton }

// Close writes the counts of the quarantine that were held back.
func (s *Store) Close() error { return nil }
