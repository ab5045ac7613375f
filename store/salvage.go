package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"intactfs/fs"
	"intactfs/validate"
)

// Salvage writes the longest whole start of a torn content to w, with its
// open containers closed. What was left out is in the report. The result is as
// valid as the next version of the path has to be.
func (s *Store) Salvage(name string, c fs.Content, w io.Writer) (validate.Report, error) {
	format, o := FormatJSON, validate.Options{Comments: true}
	if r := s.rule(name); r != nil {
		d := s.dialect(name, r)
		format, o.Strict, o.Comments = r.Format, r.Strict, r.Comments || d == lax || d == unparsed
	}
	return SalvageAs(format, o, io.NewSectionReader(c, 0, c.Size()), w)
}

// SalvageAs is Salvage for a content without a store.
func SalvageAs(format string, o validate.Options, r io.Reader, w io.Writer) (validate.Report, error) {
	switch format {
	case FormatJSON:
		return validate.Salvage(r, w, o)
	case FormatJSONL:
		return validate.SalvageLines(r, w, o)
	}
	return validate.Report{}, fmt.Errorf("salvage: %w: only JSON and JSON Lines can be mended", ErrNotProtected)
}

// FormatOf is the format that the rules without a configuration give a path;
// FormatNone if none of them does.
func FormatOf(path string) string {
	for _, r := range defaultRules {
		if matchGlob(r.Glob, path) {
			return r.Format
		}
	}
	return FormatNone
}

// CommitSalvaged mends a content of name and commits the result. ErrWhole, with
// the report, if there is nothing to mend: then nothing is committed.
func (s *Store) CommitSalvaged(ctx context.Context, name string, c fs.Content, who fs.Writer) (validate.Report, fs.Version, error) {
	if s.readOnly {
		return validate.Report{}, fs.Version{}, ErrReadOnly
	}
	if s.rule(name) == nil {
		return validate.Report{}, fs.Version{}, ErrNotProtected
	}
	st, err := s.NewStage()
	if err != nil {
		return validate.Report{}, fs.Version{}, err
	}
	h := sha256.New()
	count := &counter{}
	report, err := s.Salvage(name, c, io.MultiWriter(io.NewOffsetWriter(st, 0), h, count))
	var v fs.Version
	if err == nil && report.Fault == nil {
		err = ErrWhole
	}
	if err == nil {
		v, err = s.commitStage(ctx, name, st, count.n, [32]byte(h.Sum(nil)), who)
	}
	if err != nil {
		err = errors.Join(err, st.Close())
		s.Discard(st)
		return report, v, fmt.Errorf("salvage %s: %w", name, s.kind(err))
	}
	s.note(Event{Kind: Restored, Path: name, Tx: v.Tx, Who: who, Message: "salvaged"})
	return report, v, st.Close()
}

func (s *Store) commitStage(ctx context.Context, name string, st fs.Stage, size int64, sum [32]byte, who fs.Writer) (fs.Version, error) {
	attr := s.attrFor(name)
	attr.Atime, attr.Mtime = s.now(), s.now()
	if err := s.makeParents(name); err != nil {
		return fs.Version{}, err
	}
	commit, err := s.joined(ctx, fs.Commit{Path: name, Attr: attr, Stage: st, Size: size, SHA256: sum, Who: who, Note: "salvaged"})
	if err != nil {
		return fs.Version{}, err
	}
	return s.Commit(ctx, commit)
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
