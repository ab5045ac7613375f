package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal"
	"intactfs/journal/disk"
)

// Entry is a version as the command line shows it.
type Entry struct {
	Path    string          `json:"path"`
	Tx      uint64          `json:"tx"`
	Version string          `json:"version"` // what FormatTx makes of Tx
	Time    time.Time       `json:"time"`
	Size    int64           `json:"size"`
	SHA256  string          `json:"sha256,omitempty"`
	Mode    uint32          `json:"mode"`
	UID     uint32          `json:"uid"`
	GID     uint32          `json:"gid"`
	Mtime   time.Time       `json:"mtime"`
	Base    string          `json:"base,omitempty"`
	Writer  fs.Writer       `json:"writer"`
	Note    string          `json:"note,omitempty"`
	Invalid bool            `json:"invalid,omitempty"`
	Removed bool            `json:"removed,omitempty"`
	Pinned  bool            `json:"pinned,omitempty"`
	Lost    bool            `json:"lost,omitempty"` // nearly all of the version before is gone
	Stored  int64           `json:"stored"`         // bytes on disk; 0: still in the journal
	Why     []backup.Reason `json:"why,omitempty"`
}

// kind makes the errors of the parts ones of this package, for callers that
// know only this one.
func (s *Store) kind(err error) error {
	switch {
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, journal.ErrDamaged):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, backup.ErrReadOnly), errors.Is(err, journal.ErrReadOnly):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

func (s *Store) entry(path string, e backup.Entry) Entry {
	out := Entry{
		Path: path, Tx: e.Tx, Version: FormatTx(e.Tx), Time: e.Time, Size: e.Size, Mode: e.Attr.Mode,
		UID: e.Attr.UID, GID: e.Attr.GID, Mtime: e.Attr.Mtime, Note: e.Note,
		Writer:  fs.Writer{PID: e.PID, UID: e.UID, Program: e.Program},
		Invalid: e.Invalid, Removed: e.Removed, Pinned: e.Pinned, Stored: e.Stored,
	}
	if !e.Removed && e.SHA256 != [32]byte{} { // an append in the journal has none yet
		out.SHA256 = fmt.Sprintf("%x", e.SHA256)
	}
	if e.Base != 0 {
		out.Base = FormatTx(e.Base)
	}
	return out
}

// Log lists the versions of path, oldest first, what is still in the journal
// included. ErrNoHistory if nothing was ever kept.
func (s *Store) Log(ctx context.Context, path string) ([]Entry, error) {
	if err := s.catchUp(ctx, path); err != nil {
		return nil, s.kind(err)
	}
	entries, err := s.entries(path)
	if err != nil {
		return nil, s.kind(err)
	}
	var log []Entry
	for _, d := range backup.Plan(entries, s.policy, s.now()) {
		e := s.entry(path, d.Entry)
		if d.Keep {
			e.Why = d.Reasons
		}
		log = append(log, e)
	}
	if v, ok := s.Pending(path); ok && (len(log) == 0 || log[len(log)-1].Tx < v.Tx) {
		log = append(log, s.entry(path, backup.Entry{
			Tx: v.Tx, Time: v.Time, Size: v.Size, SHA256: v.SHA256, Attr: disk.Attr(v.Attr),
			Note: "in the journal",
		}))
	} else if e, changed := s.beneath(path, entries); changed {
		log = append(log, e)
	}
	if len(log) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrNoHistory)
	}
	markLost(log)
	return log, nil
}

// markLost marks the versions of a log that are drastic shrinks.
func markLost(log []Entry) {
	before := int64(0)
	for i := range log {
		if log[i].Removed {
			continue
		}
		log[i].Lost = isShrink(before, log[i].Size)
		before = log[i].Size
	}
}

// Recent lists the latest versions of path, and of all below it, the newest
// first, at most limit of them; 0 stands for all.
func (s *Store) Recent(ctx context.Context, path string, limit int) ([]Entry, error) {
	paths, err := s.settled(ctx, path)
	if err != nil {
		return nil, err
	}
	var recent []Entry
	newest := func(a, b Entry) int { return b.Time.Compare(a.Time) }
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := s.entries(p)
		if err != nil {
			return nil, s.kind(err)
		}
		log := make([]Entry, len(entries))
		for i, e := range entries {
			log[i] = s.entry(p, e)
		}
		markLost(log)
		if recent = append(recent, log...); limit > 0 && len(recent) > 1000+2*limit {
			slices.SortStableFunc(recent, newest)
			recent = recent[:limit]
		}
	}
	slices.SortStableFunc(recent, newest)
	if limit > 0 && len(recent) > limit {
		recent = recent[:limit]
	}
	return recent, nil
}

// catchUp makes history know the committed version of path. Read-only, there
// is beneath instead.
func (s *Store) catchUp(ctx context.Context, path string) error {
	if s.readOnly {
		return nil
	}
	if err := s.Settle(ctx, path); err != nil {
		return err
	}
	return s.adoptOne(ctx, path)
}

// noteBeneath marks the entry that beneath makes up.
const noteBeneath = "changed beneath, not a version yet"

// beneath describes a backing file that is not what history has last, as the
// next mount would file it.
func (s *Store) beneath(path string, entries []backup.Entry) (Entry, bool) {
	if !s.readOnly || len(entries) == 0 || s.rule(path) == nil {
		return Entry{}, false
	}
	last := entries[len(entries)-1]
	f, info, err := s.openRegular(path)
	if err != nil {
		return Entry{}, false
	}
	if f == nil {
		return s.entry(path, backup.Entry{Tx: last.Tx, Time: s.now(), Removed: true, Note: "removed beneath"}), !last.Removed
	}
	defer func() { _ = f.Close() }()
	if sameStat(last, info) {
		return Entry{}, false
	}
	sum, err := digest(f, info.Size)
	if err != nil || !last.Removed && last.SHA256 == sum {
		return Entry{}, false
	}
	item, err := s.adoptedItem(path, f, info, sum, entries)
	if err != nil {
		return Entry{}, false
	}
	return s.entry(path, backup.Entry{
		Tx: item.Tx, Time: item.Time, Size: item.Size, SHA256: sum, Attr: item.Attr,
		Invalid: item.Invalid, Note: noteBeneath,
	}), true
}

// OpenVersion opens one version of path. ErrNoVersion if there is no such, or
// if it is a removal.
func (s *Store) OpenVersion(ctx context.Context, path string, tx uint64) (Entry, fs.Content, error) {
	log, err := s.Log(ctx, path)
	if err != nil {
		return Entry{}, nil, err
	}
	for _, e := range log {
		if e.Tx != tx || e.Removed {
			continue
		}
		c, err := s.openTx(ctx, path, tx)
		if e.Note == noteBeneath {
			c, err = s.openBacking(path)
		}
		if err != nil {
			return Entry{}, nil, fmt.Errorf("version %s of %s: %w", e.Version, path, s.kind(err))
		}
		return e, c, nil
	}
	return Entry{}, nil, fmt.Errorf("%s: %w: %s", path, ErrNoVersion, FormatTx(tx))
}

func (s *Store) openTx(ctx context.Context, path string, tx uint64) (fs.Content, error) {
	v, c, ok, err := s.journal.OpenPending(path)
	if err != nil {
		return nil, err
	}
	if ok && fromJournal(v.Tx) == tx {
		return c, nil
	}
	if ok {
		_ = c.Close()
	}
	return s.history.Open(ctx, path, tx)
}

// historyPaths is path if it has history, and every path with history below
// it; "" is the root. ErrNoHistory if there is none.
func (s *Store) historyPaths(path string) ([]string, error) {
	below, err := s.history.Paths(path)
	if err != nil && !errors.Is(err, backup.ErrNotFound) {
		return nil, s.kind(err)
	}
	if path != "" {
		entries, err := s.entries(path)
		if err != nil {
			return nil, s.kind(err)
		}
		if len(entries) > 0 && (len(below) == 0 || below[0] != path) {
			below = append([]string{path}, below...)
		}
	}
	if len(below) == 0 && path != "" {
		return nil, fmt.Errorf("%s: %w", path, ErrNoHistory)
	}
	return below, nil
}

// Paths lists the paths that have history and begin with prefix, at most
// limit of them: for completion.
func (s *Store) Paths(ctx context.Context, prefix string, limit int) ([]string, error) {
	dir := strings.TrimSuffix(prefix[:strings.LastIndex(prefix, "/")+1], "/")
	if err := s.Settle(ctx, dir); err != nil {
		return nil, s.kind(err)
	}
	all, err := s.history.Paths(dir)
	if err != nil && !errors.Is(err, backup.ErrNotFound) {
		return nil, s.kind(err)
	}
	var found []string
	for _, p := range all {
		if strings.HasPrefix(p, prefix) && len(found) < limit {
			found = append(found, p)
		}
	}
	sort.Strings(found)
	return found, nil
}

// Pin keeps a version from retention, or gives it back.
func (s *Store) Pin(ctx context.Context, path string, tx uint64, on bool) error {
	if s.readOnly {
		return ErrReadOnly
	}
	if err := s.Settle(ctx, path); err != nil {
		return s.kind(err)
	}
	err := s.history.Pin(path, tx, on)
	if errors.Is(err, backup.ErrNotFound) {
		return fmt.Errorf("%s: %w: %s", path, ErrNoVersion, FormatTx(tx))
	}
	return s.kind(err)
}
