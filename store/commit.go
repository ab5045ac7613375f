package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal"
	"intactfs/journal/disk"
)

// Pending implements fs.Store.
func (s *Store) Pending(path string) (fs.Version, bool) {
	v, ok := s.journal.Pending(path)
	return version(v), ok
}

// OpenPending implements fs.Store.
func (s *Store) OpenPending(path string) (fs.Version, fs.Content, bool, error) {
	v, c, ok, err := s.journal.OpenPending(path)
	if !ok || err != nil {
		return fs.Version{}, nil, false, err
	}
	return version(v), c, true, nil
}

// PendingNames implements fs.Store.
func (s *Store) PendingNames(dir string) []string { return s.journal.PendingNames(dir) }

func version(v journal.Version) fs.Version {
	out := fs.Version{Tx: fromJournal(v.Tx), Size: v.Size, SHA256: v.SHA256, Time: v.Time, Attr: fs.Attr(v.Attr)}
	if len(v.Links) > 0 {
		out.Names = append([]string{v.Path}, v.Links...)
	}
	return out
}

// stage is a private file of the journal as package fs knows it.
type stage struct {
	name string
	file disk.File
}

func (t *stage) ReadAt(p []byte, off int64) (int, error) { return t.file.ReadAt(p, off) }

func (t *stage) WriteAt(p []byte, off int64) (int, error) {
	return t.file.WriteAt("stage:write", p, off)
}

func (t *stage) Truncate(size int64) error { return t.file.Truncate("stage:truncate", size) }

func (t *stage) Sync() error { return t.file.Sync("stage:sync") }

func (t *stage) Close() error { return t.file.Close() }

// StartWriteback implements fs.Stage.
func (t *stage) StartWriteback(off, n int64) {
	if f, ok := t.file.(interface{ StartWriteback(off, n int64) }); ok {
		f.StartWriteback(off, n)
	}
}

// Fd implements fs.Stage; -1 if the disk is not made of descriptors.
func (t *stage) Fd() int {
	if f, ok := t.file.(interface{ Fd() uintptr }); ok {
		return int(f.Fd())
	}
	return -1
}

// NewStage implements fs.Store.
func (s *Store) NewStage() (fs.Stage, error) {
	name, f, err := s.journal.NewStage()
	if err != nil {
		return nil, s.errno(err)
	}
	return &stage{name: name, file: f}, nil
}

// Discard implements fs.Store.
func (s *Store) Discard(st fs.Stage) {
	t, ok := st.(*stage)
	if !ok {
		return
	}
	if err := s.journal.Discard(t.name); err != nil && !errors.Is(err, syscall.ENOENT) {
		s.log.Warn("discard a stage", "stage", t.name, "err", err)
	}
}

// errno gives the errors of the journal that a program should see as
// something other than EIO their number.
func (s *Store) errno(err error) error {
	switch {
	case errors.Is(err, journal.ErrReadOnly), errors.Is(err, backup.ErrReadOnly):
		return fmt.Errorf("%w: %w", err, syscall.EROFS)
	case errors.Is(err, journal.ErrTooLarge):
		return fmt.Errorf("%w: %w", err, syscall.EFBIG)
	}
	return err
}

// Commit implements fs.Store. A drastic shrink is refused here if the rule
// says so, with EBADMSG, after the content went to quarantine.
func (s *Store) Commit(ctx context.Context, c fs.Commit) (fs.Version, error) {
	before, shrunk := s.shrinks(c.Path, c.Size)
	if shrunk && s.shrinkAction(c.Path) == ShrinkRefuse {
		return fs.Version{}, s.refuseShrink(ctx, c, before)
	}
	p := journal.Put{
		Path: c.Path, Links: c.Links, Attr: disk.Attr(c.Attr), Inline: c.Inline, Size: c.Size,
		SHA256: c.SHA256, CRC32C: c.CRC32C, HasCRC: c.HasCRC, Base: toJournal(c.Base), Note: c.Note,
		Who: journal.Writer(c.Who),
	}
	if c.Stage != nil {
		t, ok := c.Stage.(*stage)
		if !ok {
			return fs.Version{}, fmt.Errorf("commit %s: %w", c.Path, journal.ErrStage)
		}
		p.Stage = t.name
	}
	v, err := s.journal.Commit(ctx, p)
	if err != nil {
		return fs.Version{}, s.errno(fmt.Errorf("commit %s: %w", c.Path, err))
	}
	if shrunk {
		s.noteShrink(c, before, fromJournal(v.Tx))
	}
	return s.committed(v), nil
}

// Append implements fs.Store.
func (s *Store) Append(ctx context.Context, a fs.Append) (fs.Version, error) {
	v, err := s.journal.Append(ctx, journal.AppendPut{
		Path: a.Path, Links: a.Links, Attr: disk.Attr(a.Attr), Bytes: a.Bytes, BaseSize: a.BaseSize,
		BaseTx: toJournal(a.Base), SHA256: a.SHA256, Who: journal.Writer(a.Who), Note: a.Note,
	})
	switch {
	case errors.Is(err, journal.ErrMoved):
		return fs.Version{}, fmt.Errorf("%w: %w", fs.ErrMoved, err)
	case errors.Is(err, journal.ErrTooLarge):
		return fs.Version{}, fmt.Errorf("%w: %w", fs.ErrTooLong, err)
	case err != nil:
		return fs.Version{}, s.errno(err)
	}
	return s.committed(v), nil
}

// committed counts a commit, and tells it to whoever wants to know of each.
func (s *Store) committed(v journal.Version) fs.Version {
	s.events.count(Committed)
	s.log.Debug("committed", "path", v.Path, "version", FormatTx(fromJournal(v.Tx)), "bytes", v.Size,
		"program", v.Who.Program, "pid", v.Who.PID)
	return version(v)
}

// Refuse implements fs.Store.
func (s *Store) Refuse(ctx context.Context, r fs.Refusal) error {
	kept := uint64(0)
	if e, ok, err := s.history.Newest(r.Path); err == nil && ok {
		kept = e.Tx
	}
	if v, ok := s.Pending(r.Path); ok {
		kept = v.Tx
	}
	var content io.ReaderAt = bytesAt(r.Inline)
	if r.Stage != nil {
		content = r.Stage
	}
	rejected, err := s.history.Refuse(ctx, backup.Rejection{
		Path: r.Path, Time: s.now(), Reason: r.Reason, Line: r.Line, Column: r.Column,
		Offset: r.Offset, Size: r.Size, Kept: kept,
		PID: r.Who.PID, UID: r.Who.UID, Program: r.Who.Program,
	}, content)
	s.note(Event{Kind: Refused, Path: r.Path, Who: r.Who, Message: r.Reason,
		Line: r.Line, Column: r.Column, Offset: r.Offset, ID: rejected.ID})
	if err != nil {
		return s.errno(fmt.Errorf("quarantine %s: %w", r.Path, err))
	}
	return nil
}

// bytesAt reads a slice in place.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Sync implements fs.Store.
func (s *Store) Sync(ctx context.Context) error {
	if s.readOnly {
		return nil
	}
	return s.journal.Sync(ctx)
}

// Settle implements fs.Store.
func (s *Store) Settle(ctx context.Context, path string) error {
	if s.readOnly {
		return nil
	}
	return s.errno(s.journal.Settle(ctx, path))
}

// Moved implements fs.Store.
func (s *Store) Moved(oldPath, newPath string) error {
	s.forgetPast(oldPath)
	s.forgetPast(newPath)
	err := s.history.Moved(oldPath, newPath)
	if errors.Is(err, backup.ErrNotFound) {
		return nil
	}
	if err != nil {
		return s.errno(err)
	}
	return s.errno(s.outliveRemoval(context.Background(), newPath))
}

// outliveRemoval files what a move has brought to a name, or below it, whose
// own history ended with a removal after the last save of what was moved: its
// newest entry would be the removal.
func (s *Store) outliveRemoval(ctx context.Context, moved string) error {
	below, err := s.history.Paths(moved)
	if err != nil {
		return err
	}
	for _, path := range append(below, moved) {
		newest, ok, err := s.history.Newest(path)
		if err != nil || !ok || !newest.Removed || s.rule(path) == nil {
			continue // what is damaged is told of when it is looked at
		}
		if _, err := s.adopt(ctx, path, false); err != nil {
			return s.excuse(path, err)
		}
	}
	return nil
}

// Removed implements fs.Store. A path without history leaves nothing to end.
func (s *Store) Removed(path string, who fs.Writer) error {
	s.forgetPast(path)
	err := s.history.Remove(path, s.now(), backup.Writer(who))
	if errors.Is(err, backup.ErrNotFound) {
		return nil
	}
	return s.errno(err)
}

// Collided implements fs.Store.
func (s *Store) Collided(path string, base, lost fs.Version, who fs.Writer) {
	s.note(Event{Kind: Collided, Path: path, Who: who, Tx: lost.Tx,
		Message: fmt.Sprintf("replaced version %s, which its writer had not seen: it started from %s",
			FormatTx(lost.Tx), FormatTx(base.Tx))})
}
