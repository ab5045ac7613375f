package store

import (
	"context"
	"errors"
	"fmt"
	"path"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal"
)

// Problem is something that Verify found.
type Problem struct {
	Path   string `json:"path"`
	What   string `json:"what"`
	Line   int64  `json:"line,omitempty"`
	Column int64  `json:"column,omitempty"`
	Good   string `json:"good,omitempty"` // the last good version
}

// VerifyReport is what Verify saw.
type VerifyReport struct {
	Files    int       `json:"files"`    // protected files that were read
	Bytes    int64     `json:"bytes"`    // of them
	Versions int       `json:"versions"` // in history, all of them read
	Pending  int       `json:"pending"`  // commits that only the journal has
	Problems []Problem `json:"problems"` // files that are not what was last committed
	Damage   []Problem `json:"damage"`   // of the journal and the history
	Warnings []Problem `json:"warnings"` // files that never were valid, torn ends of history
}

// Verify reads everything: each protected file against its manifest, the
// newest entry of its history, and against its rule; the journal; every
// version in history. Files that have no history yet are held to their rule,
// and only warned of: nothing was promised about them. It changes nothing but
// brings pending commits to their place first, unless the store is read-only.
func (s *Store) Verify(ctx context.Context, progress func(done, total int64)) (VerifyReport, error) {
	r := VerifyReport{Problems: []Problem{}, Damage: []Problem{}, Warnings: []Problem{}}
	if !s.readOnly {
		if err := s.journal.Checkpoint(ctx); err != nil {
			return r, fmt.Errorf("checkpoint: %w", s.kind(err))
		}
	}
	files, err := s.protected(ctx)
	if err != nil {
		return r, err
	}
	histories, err := s.historyPaths("")
	if err != nil {
		return r, err
	}
	done, total := int64(0), int64(len(files)+2*len(histories))
	step := func() {
		done++
		if progress != nil {
			progress(min(done, total), total)
		}
	}
	for _, name := range files {
		if err := s.verifyFile(ctx, name, &r); err != nil {
			return r, err
		}
		step()
	}
	if err := s.verifyMissing(ctx, histories, &r, step); err != nil {
		return r, err
	}
	if err := s.verifyHistory(ctx, &r, step); err != nil {
		return r, err
	}
	return r, s.verifyJournal(ctx, &r)
}

// protected walks the backing directory for regular files that a rule
// protects.
func (s *Store) protected(ctx context.Context) ([]string, error) {
	var files []string
	dirs := []string{"."}
	for len(dirs) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		entries, err := s.disk.ReadDir(dir)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name)
			switch {
			case name == Dir:
			case e.Type.IsDir():
				dirs = append(dirs, name)
			case e.Type.IsRegular() && s.rule(name) != nil:
				files = append(files, name)
			}
		}
	}
	return files, nil
}

// verifyFile checks one file. One that is committed to meanwhile is checked
// again: only what holds still can be compared.
func (s *Store) verifyFile(ctx context.Context, name string, r *VerifyReport) error {
	const attempts = 5
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Settle(ctx, name); err != nil {
			return s.kind(err)
		}
		before, had, err := s.newest(name)
		if err != nil {
			r.Damage = append(r.Damage, Problem{Path: name, What: err.Error()})
			return nil
		}
		found, n, err := s.compare(name, before, had)
		if missing(err) {
			return nil
		}
		if err != nil {
			r.Problems = append(r.Problems, Problem{Path: name, What: err.Error()})
			return nil
		}
		after, _, err := s.newest(name)
		if err == nil && (after.Tx == before.Tx || try == attempts) {
			found.add(r)
			r.Files++
			r.Bytes += n
			return nil
		}
	}
}

func (s *Store) newest(name string) (backup.Entry, bool, error) {
	e, ok, err := s.history.Newest(name)
	if errors.Is(err, backup.ErrNotFound) {
		return backup.Entry{}, false, nil
	}
	return e, ok, err
}

// finding is what compare found of one file.
type finding struct{ problem, warning *Problem }

func (f finding) add(r *VerifyReport) {
	if f.problem != nil {
		r.Problems = append(r.Problems, *f.problem)
	}
	if f.warning != nil {
		r.Warnings = append(r.Warnings, *f.warning)
	}
}

// compare reads the committed version of name, checks it against its
// manifest e if it has one, and against its rule.
func (s *Store) compare(name string, e backup.Entry, manifest bool) (finding, int64, error) {
	var f finding
	pending, c, isPending, err := s.OpenPending(name)
	if err != nil {
		return f, 0, err
	}
	want := e.SHA256
	if isPending {
		want, manifest = pending.SHA256, pending.SHA256 != [32]byte{} // an append has none yet
	} else if c, err = s.openBacking(name); err != nil {
		return f, 0, err
	}
	defer func() { _ = c.Close() }()
	sum, err := digest(c, c.Size())
	if err != nil {
		return f, 0, err
	}
	d, fault, err := s.rule(name).read(name, c, c.Size())
	if err != nil {
		return f, 0, err
	}
	p := Problem{Path: name}
	if d == unparsed && fault != nil {
		p.What, p.Line, p.Column = "not valid: "+fault.Reason, fault.Line, fault.Column
	}
	good, hasGood := lastGood(s, name)
	if hasGood {
		p.Good = FormatTx(good)
	}
	switch {
	case manifest && !isPending && e.Removed:
		p.What = "came back after it was removed, without a commit"
		f.problem = &p
	case manifest && sum != want:
		p.What = join("is not what was last committed", p.What)
		f.problem = &p
	case d == unparsed && hasGood && (!e.Invalid || e.Note == foundBeneath):
		f.problem = &p
	case d == unparsed:
		f.warning = &p
	}
	return f, c.Size(), nil
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

// verifyMissing looks for files whose newest version is not a removal, and
// that are not there.
func (s *Store) verifyMissing(ctx context.Context, histories []string, r *VerifyReport, step func()) error {
	for _, name := range histories {
		if err := ctx.Err(); err != nil {
			return err
		}
		step()
		e, ok, err := s.newest(name)
		if err != nil || !ok || e.Removed {
			continue // damage is told by verifyHistory
		}
		if _, pending := s.Pending(name); pending {
			continue
		}
		if _, err := s.disk.Stat(name); !missing(err) {
			continue
		}
		// Unlinked just now: the tombstone came after the look.
		if e, ok, err := s.newest(name); err == nil && (!ok || e.Removed) {
			continue
		}
		r.Problems = append(r.Problems, Problem{Path: name, What: "is missing", Good: FormatTx(e.Tx)})
	}
	return nil
}

func (s *Store) verifyHistory(ctx context.Context, r *VerifyReport, step func()) error {
	h, err := s.history.Verify(ctx, func(string) { step() })
	if err != nil {
		return fmt.Errorf("verify history: %w", err)
	}
	r.Versions = h.Versions
	for _, d := range h.Damage {
		r.Damage = append(r.Damage, Problem{Path: d.Path, What: damageText(d)})
	}
	for _, d := range h.Torn {
		r.Warnings = append(r.Warnings, tornEnd(d))
	}
	return nil
}

func damageText(d backup.Damage) string {
	text := fmt.Sprintf("%s at %d: %v", d.File, d.Offset, d.Err)
	for i, tx := range d.Lost {
		if i == 0 {
			text += "; lost versions"
		}
		text += " " + FormatTx(tx)
	}
	return text
}

// verifyJournal reads the segments, where no commit can come in between; a
// journal in use vouches for itself.
func (s *Store) verifyJournal(ctx context.Context, r *VerifyReport) error {
	stats := s.journal.Stats()
	r.Pending = stats.Pending
	if stats.Stopped != nil {
		r.Damage = append(r.Damage, Problem{Path: journalName, What: stats.Stopped.Error()})
	}
	for _, d := range s.report.Damage {
		r.Damage = append(r.Damage, Problem{Path: d.Segment, What: d.Error()})
	}
	for _, t := range s.report.Torn {
		r.Warnings = append(r.Warnings, tornRecord(t))
	}
	if !s.readOnly || len(s.report.Damage) > 0 {
		return nil
	}
	c, err := journal.Check(ctx, s.disk)
	if err != nil && !errors.Is(err, journal.ErrDamaged) {
		return fmt.Errorf("verify journal: %w", err)
	}
	for _, d := range c.Damage {
		r.Damage = append(r.Damage, Problem{Path: d.Segment, What: d.Error()})
	}
	return nil
}

var _ fs.Content = backing{}
