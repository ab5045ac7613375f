package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal"
)

// preserver is the history as the journal knows it.
type preserver struct{ s *Store }

// Preserve implements journal.Preserver.
func (p preserver) Preserve(ctx context.Context, path string, versions []journal.Kept) error {
	items := make([]backup.Item, len(versions))
	for i, v := range versions {
		items[i] = backup.Item{
			Tx: fromJournal(v.Tx), Time: v.Time, Size: v.Size, SHA256: v.SHA256, Attr: v.Attr,
			Base: fromJournal(v.Base), PID: v.Who.PID, UID: v.Who.UID, Program: v.Who.Program,
			Note: v.Note, Content: v.Content,
		}
		if invalid, err := p.s.invalid(path, v.Content, v.Size); err == nil {
			items[i].Invalid = invalid
		}
	}
	if err := p.s.history.Add(ctx, path, items); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	p.s.dirty.add(path, len(items))
	return nil
}

// Adopt implements journal.Preserver. The versions on their way into history
// are newer than the backing file, so that whatever history knows of it will
// do.
func (p preserver) Adopt(ctx context.Context, path string) error {
	_, err := p.s.adopt(ctx, path, true)
	return p.s.excuse(path, err)
}

// invalid tells whether a version does not parse, as a file that never parsed
// may have it. The versions of a file that is known to be plain were judged
// before they were committed; after a crash nothing is known, and all are
// judged again.
func (s *Store) invalid(path string, content io.ReaderAt, size int64) (bool, error) {
	r := s.rule(path)
	if r == nil || r.exact() {
		return false, nil
	}
	s.pastMu.Lock()
	known, ok := s.pasts[path]
	s.pastMu.Unlock()
	if ok && known.dialect == plain {
		return false, nil
	}
	d, _, err := r.read(path, content, size)
	return d == unparsed, err
}

// OpenCurrent opens the committed version of path: pending, or the backing
// file. The error wraps io/fs.ErrNotExist if there is none.
func (s *Store) OpenCurrent(path string) (fs.Content, error) {
	_, c, ok, err := s.journal.OpenPending(path)
	if err != nil {
		return nil, err
	}
	if ok {
		return c, nil
	}
	return s.openBacking(path)
}

// backing is a file of the directory as a Content.
type backing struct {
	io.ReaderAt
	io.Closer
	size int64
}

func (b backing) Size() int64 { return b.size }

func (s *Store) openBacking(path string) (fs.Content, error) {
	f, err := s.disk.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return backing{f, f, info.Size}, nil
}
