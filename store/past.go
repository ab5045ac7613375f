package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"time"

	"intactfs/backup"
	"intactfs/fs"
)

// pastView is the history and the quarantine as package fs shows them.
type pastView struct{ s *Store }

var _ fs.Past = pastView{}

// PastView is what was kept, for the view of it in the mount. It changes
// nothing, except that what is asked for is published first.
func (s *Store) PastView() fs.Past { return pastView{s} }

// settle brings what is pending at and below path into history. Where that
// fails the view shows what history knows, and saving reports the failure.
func (p pastView) settle(ctx context.Context, path string) {
	if p.s.readOnly {
		return
	}
	if err := p.s.journal.Settle(ctx, path); err != nil && ctx.Err() == nil {
		p.s.log.Warn("what is pending is missing from the view of history", "path", path, "err", err)
	}
}

// Names implements fs.Past. What can't be read of a directory is left out.
func (p pastView) Names(ctx context.Context, dir string) ([]fs.PastName, error) {
	p.settle(ctx, dir)
	found, err := p.s.history.ReadDir(dir)
	if err != nil && len(found) == 0 {
		return nil, p.missing(err)
	}
	if err != nil {
		p.s.log.Error("names are missing from the view of history", "dir", dir, "err", err)
	}
	names := make([]fs.PastName, len(found))
	for i, n := range found {
		names[i] = fs.PastName(n)
	}
	return names, nil
}

// Versions implements fs.Past.
func (p pastView) Versions(ctx context.Context, path string) ([]fs.PastVersion, error) {
	p.settle(ctx, path)
	entries, err := p.s.entries(path)
	if err != nil {
		return nil, p.missing(err)
	}
	versions := make([]fs.PastVersion, 0, len(entries)+1)
	for _, e := range entries {
		versions = append(versions, fs.PastVersion{
			Tx: e.Tx, Number: FormatTx(e.Tx), Time: e.Time, Size: e.Size, Attr: fs.Attr(e.Attr), Removed: e.Removed,
		})
	}
	v, ok := p.s.Pending(path)
	if n := len(versions); ok && (n == 0 || versions[n-1].Tx < v.Tx) {
		versions = append(versions, fs.PastVersion{
			Tx: v.Tx, Number: FormatTx(v.Tx), Time: v.Time, Size: v.Size, Attr: v.Attr,
		})
	}
	return versions, nil
}

// missing gives what is not there the error that package fs asks for.
func (p pastView) missing(err error) error {
	if errors.Is(err, backup.ErrNotFound) || errors.Is(err, backup.ErrBadPath) {
		return fmt.Errorf("%w: %w", iofs.ErrNotExist, err)
	}
	return p.s.kind(err)
}

// Open implements fs.Past.
func (p pastView) Open(ctx context.Context, path string, tx uint64) (fs.Content, error) {
	c, err := p.s.openTx(ctx, path, tx)
	if err != nil {
		return nil, p.missing(err)
	}
	return p.light(c), nil
}

// maxInMemory is the largest content, in bytes, that an open version keeps in
// memory for as long as it is read.
const maxInMemory = 4 << 20

// light moves a larger content into a file without a name. Where there is no
// room for one it stays as it is: history is readable on a full disk.
func (p pastView) light(c fs.Content) fs.Content {
	if c.Size() <= maxInMemory || p.s.readOnly {
		return c
	}
	name, f, err := p.s.journal.NewStage()
	if err != nil {
		return c
	}
	err = p.s.journal.Discard(name)
	if err == nil {
		w := &stage{name: name, file: f}
		_, err = io.CopyBuffer(onlyWriter{io.NewOffsetWriter(w, 0)}, io.NewSectionReader(c, 0, c.Size()), make([]byte, 256<<10))
	}
	if err != nil {
		p.s.log.Debug("an open version stays in memory", "err", err)
		_ = f.Close()
		return c
	}
	if err := c.Close(); err != nil {
		p.s.log.Debug("close a version", "err", err)
	}
	return backing{f, f, c.Size()}
}

// onlyWriter hides the other methods of a writer, so that a copy to it goes
// through the buffer.
type onlyWriter struct{ io.Writer }

// refusalNote is the note of a refused content as people read it.
type refusalNote struct {
	ID        string    `json:"id"`
	Path      string    `json:"path"`
	Reason    string    `json:"reason"`
	Line      int64     `json:"line,omitempty"`
	Column    int64     `json:"column,omitempty"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	Last      time.Time `json:"last"`
	Count     int64     `json:"count"`
	Size      int64     `json:"size"`
	Held      int64     `json:"held"`
	Truncated bool      `json:"truncated,omitempty"`
	SHA256    string    `json:"sha256"`
	Kept      string    `json:"kept,omitempty"` // the version that stayed
	Program   string    `json:"program,omitempty"`
	PID       uint32    `json:"pid,omitempty"`
	UID       uint32    `json:"uid"`
}

// Refused implements fs.Past.
func (p pastView) Refused(context.Context) ([]fs.PastRefusal, error) {
	rejected, err := p.s.Rejected("")
	if err != nil && len(rejected) == 0 {
		return nil, p.missing(err)
	}
	if err != nil {
		p.s.log.Error("contents are missing from the view of the quarantine", "err", err)
	}
	refusals := make([]fs.PastRefusal, 0, len(rejected))
	for _, r := range rejected {
		note, err := refusalText(r)
		if err != nil {
			return nil, fmt.Errorf("note of %s: %w", r.ID, err)
		}
		refusals = append(refusals, fs.PastRefusal{
			ID: r.ID, Path: r.Path, Number: r.ID[strings.LastIndexByte(r.ID, '@')+1:],
			Time: r.Time, Last: r.Last, Size: r.Held, UID: r.UID, Note: note,
		})
	}
	return refusals, nil
}

func refusalText(r backup.Rejected) ([]byte, error) {
	n := refusalNote{
		ID: r.ID, Path: r.Path, Reason: r.Reason, Line: r.Line, Column: r.Column, Offset: r.Offset,
		Time: r.Time, Last: r.Last, Count: r.Count, Size: r.Size, Held: r.Held, Truncated: r.Truncated,
		SHA256: fmt.Sprintf("%x", r.SHA256), Program: r.Program, PID: r.PID, UID: r.UID,
	}
	if r.Kept != 0 {
		n.Kept = FormatTx(r.Kept)
	}
	text, err := json.MarshalIndent(n, "", "  ")
	return append(text, '\n'), err
}

// OpenRefused implements fs.Past.
func (p pastView) OpenRefused(_ context.Context, id string) (fs.Content, error) {
	c, err := p.s.history.OpenRejected(id)
	if err != nil {
		return nil, p.missing(err)
	}
	return p.light(c), nil
}
