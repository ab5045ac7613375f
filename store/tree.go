package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal/disk"
)

const (
	// lookAhead is how many paths are looked at at once: enough to hide the
	// disk and to keep some processors busy.
	lookAhead = 8
	// ahead is the largest content, in bytes, that is opened before its turn.
	ahead = 1 << 20
	// restoresAtOnce is how many restores are under way together, so that
	// they share the syncs of the journal.
	restoresAtOnce = 32
)

// A PastFile is what a path was at a time.
type PastFile struct {
	Entry
	Content fs.Content // nil if Err is not; the visitor doesn't close it
	Err     error      // why the content can't be had
}

// Past calls visit with what path, and all below it, was at a time, one after
// the other, sorted by path: a damaged version does not hide the others. total
// is how many paths have history, n which of them this is, from 1. An error of
// visit ends it. Paths that did not exist then are passed over. ErrNoVersion:
// all were.
func (s *Store) Past(ctx context.Context, path string, at time.Time, visit func(f PastFile, n, total int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	paths, err := s.settled(ctx, path)
	if err != nil {
		return err
	}
	next := s.pastFiles(ctx, paths, at)
	defer func() {
		cancel()
		for f := range next { // what was opened before its turn
			if found := <-f; found.Content != nil {
				_ = found.Content.Close()
			}
		}
	}()
	seen := 0
	for n := range paths {
		f, ok := <-next
		if !ok {
			return ctx.Err()
		}
		found := <-f
		if found.Version == "" && found.Err == nil {
			continue
		}
		seen++
		if err := s.visit(ctx, found, n+1, len(paths), visit); err != nil {
			return err
		}
	}
	if seen == 0 {
		return fmt.Errorf("%s: %w", nameOf(path), ErrNoVersion)
	}
	return ctx.Err()
}

// nameOf is a path for a message.
func nameOf(path string) string {
	if path == "" {
		return "the directory"
	}
	return path
}

func (s *Store) visit(ctx context.Context, f PastFile, n, total int, visit func(PastFile, int, int) error) error {
	if f.Content == nil && f.Err == nil {
		f.Content, f.Err = s.openTx(ctx, f.Path, f.Tx)
		f.Err = s.kind(f.Err)
	}
	err := visit(f, n, total)
	if f.Content != nil {
		err = errors.Join(err, f.Content.Close())
	}
	return err
}

// settled is the paths with history at and below path, after what is pending
// of them was filed.
func (s *Store) settled(ctx context.Context, path string) ([]string, error) {
	if err := s.Settle(ctx, path); err != nil {
		return nil, s.kind(err)
	}
	return s.historyPaths(path)
}

// pastFiles looks at some paths ahead of the caller. Each channel gets one
// value, in the order of the paths.
func (s *Store) pastFiles(ctx context.Context, paths []string, at time.Time) <-chan chan PastFile {
	next := make(chan chan PastFile, lookAhead)
	go func() {
		defer close(next)
		for _, path := range paths {
			f := make(chan PastFile, 1)
			select {
			case next <- f:
				go func() { f <- s.pastFile(ctx, path, at) }()
			case <-ctx.Done():
				return
			}
		}
	}()
	return next
}

// pastFile is the zero value for a path that was not there. A large content is
// not open yet.
func (s *Store) pastFile(ctx context.Context, path string, at time.Time) PastFile {
	e, ok, err := s.entryAt(path, at)
	if err != nil {
		return PastFile{Entry: Entry{Path: path}, Err: s.kind(err)}
	}
	if !ok {
		return PastFile{}
	}
	f := PastFile{Entry: e}
	if e.Size <= ahead {
		f.Content, err = s.openTx(ctx, path, e.Tx)
		f.Err = s.kind(err)
	}
	return f
}

// entryAt is the version that path had at a time.
func (s *Store) entryAt(path string, at time.Time) (Entry, bool, error) {
	if v, ok := s.Pending(path); ok && !v.Time.After(at) {
		return s.entry(path, backup.Entry{Tx: v.Tx, Time: v.Time, Size: v.Size, SHA256: v.SHA256, Attr: disk.Attr(v.Attr)}), true, nil
	}
	e, ok, err := s.history.At(path, at)
	if err != nil || !ok || e.Removed {
		return Entry{}, false, err
	}
	return s.entry(path, e), true, nil
}

// At lists what path, and all below it, was at a time: one entry for each
// file that was there then.
func (s *Store) At(ctx context.Context, path string, at time.Time) ([]Entry, error) {
	paths, err := s.settled(ctx, path)
	if err != nil {
		return nil, err
	}
	var found []Entry
	for _, p := range paths {
		e, ok, err := s.entryAt(p, at)
		if err != nil {
			return nil, s.kind(err)
		}
		if ok {
			found = append(found, e)
		}
	}
	return found, nil
}

// A RestoredPath is what RestoreAt did with a path.
type RestoredPath struct {
	Path    string
	From    uint64 // the version of then
	Made    uint64 // the commit that brought it back; 0: none
	Changed bool   // what is there now is something else
	Err     error
}

// RestoreAt makes path, and all below it, what it was at a time: a commit for
// each file that is something else now. Files that came later stay. Dry only
// tells. What it did comes sorted by path; ErrNoVersion if nothing was there
// then. done is called after each path, by several goroutines.
func (s *Store) RestoreAt(ctx context.Context, path string, at time.Time, who fs.Writer, dry bool, done func(n, total int)) ([]RestoredPath, error) {
	paths, err := s.settled(ctx, path)
	if err != nil {
		return nil, err
	}
	all := make([]RestoredPath, len(paths))
	var wg sync.WaitGroup
	var mu sync.Mutex
	ready := 0
	slots := make(chan struct{}, restoresAtOnce)
	for i, p := range paths {
		slots <- struct{}{}
		wg.Go(func() {
			all[i] = s.restoreAt(ctx, p, at, who, dry)
			<-slots
			mu.Lock()
			defer mu.Unlock()
			ready++
			done(ready, len(paths))
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var restored []RestoredPath
	for _, r := range all {
		if r.From != 0 || r.Err != nil {
			restored = append(restored, r)
		}
	}
	if len(restored) == 0 {
		return nil, fmt.Errorf("%s: %w", nameOf(path), ErrNoVersion)
	}
	return restored, nil
}

// restoreAt restores one path. From is 0 if it was not there.
func (s *Store) restoreAt(ctx context.Context, path string, at time.Time, who fs.Writer, dry bool) RestoredPath {
	r := RestoredPath{Path: path}
	if r.Err = ctx.Err(); r.Err != nil {
		return r
	}
	then, ok, err := s.entryAt(path, at)
	if err != nil || !ok {
		r.Err = s.kind(err)
		return r
	}
	r.From = then.Tx
	log, err := s.Log(ctx, path)
	if err != nil {
		r.Err = err
		return r
	}
	if !log[len(log)-1].differs(then) {
		return r
	}
	r.Changed = true
	if dry {
		return r
	}
	v, err := s.Restore(ctx, path, then.Tx, who)
	r.Made, r.Err = v.Tx, err
	return r
}

// differs tells whether a restore of then would change what e is.
func (e Entry) differs(then Entry) bool {
	return e.Removed || e.SHA256 != then.SHA256 || e.Mode != then.Mode
}
