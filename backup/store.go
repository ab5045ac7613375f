package backup

import (
	"context"
	"io"
	"log/slog"
	"time"

	"intactfs/journal/disk"
)

// Options configure a Store. Zero values mean the defaults.
type Options struct {
	ReadOnly bool
	Log      *slog.Logger
	// CacheBytes bounds the contents and encoders that are remembered
	// between saves; 64 MiB if zero.
	CacheBytes int64
	// RejectedPerPath, RejectedBytes and RejectedTotal bound the
	// quarantine: contents of a path, bytes of a path and bytes of all,
	// compressed. 16, 64 MiB and 256 MiB if zero. The newest content of a
	// path stays whatever they say.
	RejectedPerPath int
	RejectedBytes   int64
	RejectedTotal   int64
	// RejectedSize bounds one content: what is beyond is cut off, and the
	// note says so. 64 MiB if zero.
	RejectedSize int64
}

// Store is the history and quarantine of one data directory.
type Store struct {
	d disk.Disk
	o Options
}

var errSkeleton = ErrNotFound

// Open makes ready the history below d. It creates nothing.
func Open(d disk.Disk, o Options) (*Store, error) { return &Store{d: d, o: o}, nil }

// Add keeps items, oldest first, as versions of path.
func (s *Store) Add(ctx context.Context, path string, items []Item) error { return errSkeleton }

// Newest returns the newest entry of path, tombstones included.
func (s *Store) Newest(path string) (Entry, bool, error) { return Entry{}, false, errSkeleton }

// List returns the entries of path, oldest first.
func (s *Store) List(path string) ([]Entry, error) { return nil, errSkeleton }

// At returns the entry that was the newest of path at the time.
func (s *Store) At(path string, at time.Time) (Entry, bool, error) {
	return Entry{}, false, errSkeleton
}

// Open opens the version.
func (s *Store) Open(ctx context.Context, path string, tx uint64) (Content, error) {
	return nil, errSkeleton
}

// Paths returns all paths below dir that have history, sorted; "" is the root.
func (s *Store) Paths(dir string) ([]string, error) { return nil, errSkeleton }

// ReadDir returns the names directly below dir, sorted.
func (s *Store) ReadDir(dir string) ([]Name, error) { return nil, errSkeleton }

// Moved gives the history of old, and of all below it, to new.
func (s *Store) Moved(old, new string) error { return errSkeleton }

// Remove ends the newest version of path with a tombstone.
func (s *Store) Remove(path string, when time.Time, who Writer) error { return errSkeleton }

// Pin keeps the version from retention, or gives it back.
func (s *Store) Pin(path string, tx uint64, on bool) error { return errSkeleton }

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
