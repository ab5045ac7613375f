package store

import (
	"errors"
	"io"
	iofs "io/fs"

	"intactfs/validate"
)

// A file is never held to more than its own past. dialect is how strictly the
// committed version of a path can be read, and so how strictly the next one
// is.
type dialect int

const (
	plain    dialect = iota // as its rule says
	comments                // JSON with comments or trailing commas
	unparsed                // never parsed: only emptiness and killed writers are guarded
)

// pastKey identifies a committed version without reading it.
type pastKey struct {
	tx    uint64 // of a pending version
	ino   uint64 // else of the backing file
	size  int64
	mtime int64
}

// past is what was found out about the version that key identifies.
type past struct {
	key     pastKey
	dialect dialect
}

// maxPasts bounds what is remembered; beyond it everything is found out anew.
const maxPasts = 1 << 14

// checker starts judging the next version of path.
func (s *Store) checker(path string, r *RuleConfig) validate.Checker {
	return r.checker(s.dialect(path, r))
}

func (r *RuleConfig) checker(d dialect) validate.Checker {
	o := validate.Options{Strict: r.Strict, Comments: r.Comments || d == comments}
	var c validate.Checker
	switch r.Format {
	case FormatJSON:
		c = validate.JSON(o)
	case FormatJSONL:
		c = validate.JSONLines(o)
	default:
		return &loose{}
	}
	if d == unparsed {
		return &loose{strict: c}
	}
	return c
}

// exact tells whether a rule says by itself how strictly every version is
// read.
func (r *RuleConfig) exact() bool { return r.Format == FormatOpaque || r.Strict || r.Comments }

// dialect tells how the committed version of path can be read. The first
// question about a path reads the file; a path that was plain once stays so,
// because a valid version is never followed by another kind.
func (s *Store) dialect(path string, r *RuleConfig) dialect {
	if r.exact() {
		return plain
	}
	s.pastMu.Lock()
	known, ok := s.pasts[path]
	s.pastMu.Unlock()
	if ok && known.dialect == plain {
		return plain
	}
	key, exists := s.pastKey(path)
	if !exists {
		s.remember(path, past{dialect: plain})
		return plain
	}
	if ok && known.key == key {
		return known.dialect
	}
	d, err := s.readDialect(path, r)
	if err != nil {
		// What can't be read now is judged by its rule, and again next time.
		s.log.Warn("read the committed version to learn its dialect", "path", path, "err", err)
		return plain
	}
	if d == unparsed {
		// What was valid once is held to that, whatever was put in its place.
		if _, good := lastGood(s, path); good {
			d = plain
		}
	}
	s.remember(path, past{key: key, dialect: d})
	if d == unparsed {
		s.note(Event{Kind: Unparsed, Path: path, Message: "the committed version does not parse: only emptiness and killed writers are guarded"})
	}
	return d
}

func (s *Store) remember(path string, p past) {
	s.pastMu.Lock()
	defer s.pastMu.Unlock()
	if len(s.pasts) >= maxPasts {
		clear(s.pasts)
	}
	s.pasts[path] = p
}

// forgetPast makes the next question read the file: another file came to the
// name.
func (s *Store) forgetPast(path string) {
	s.pastMu.Lock()
	defer s.pastMu.Unlock()
	delete(s.pasts, path)
}

// unparsedPaths lists the paths that are guarded only against emptiness.
func (s *Store) unparsedPaths() []string {
	s.pastMu.Lock()
	defer s.pastMu.Unlock()
	var paths []string
	for path, p := range s.pasts {
		if p.dialect == unparsed {
			paths = append(paths, path)
		}
	}
	return paths
}

func (s *Store) pastKey(path string) (pastKey, bool) {
	if v, ok := s.journal.Pending(path); ok {
		return pastKey{tx: uint64(v.Tx)}, true
	}
	info, err := s.disk.Stat(path)
	if err != nil || !info.Mode.IsRegular() {
		return pastKey{}, false
	}
	return pastKey{ino: info.Ino, size: info.Size, mtime: info.Mtime.UnixNano()}, true
}

// readDialect reads the committed version. An empty one has no past: it is
// held to the rule.
func (s *Store) readDialect(path string, r *RuleConfig) (dialect, error) {
	c, err := s.OpenCurrent(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return plain, nil
	}
	if err != nil {
		return plain, err
	}
	defer func() { _ = c.Close() }()
	d, _, err := r.judge(c, c.Size())
	return d, err
}

// judge reads a content and tells in which dialect it is whole; for unparsed
// also why not.
func (r *RuleConfig) judge(content io.ReaderAt, size int64) (dialect, *validate.Error, error) {
	if size == 0 || r.Format == FormatOpaque {
		return plain, nil, nil
	}
	strict, err := feed(r.checker(plain), content, size)
	if err != nil || strict.Verdict() == validate.Whole {
		return plain, nil, err
	}
	// Rare enough that a second reading is cheaper than two at a time.
	lax, err := feed(r.checker(comments), content, size)
	if err != nil {
		return plain, nil, err
	}
	if lax.Verdict() == validate.Whole && !r.Strict {
		return comments, nil, nil
	}
	return unparsed, strict.Err(), nil
}

// feed gives a whole content to a checker, or as much as that wants.
func feed(c validate.Checker, content io.ReaderAt, size int64) (validate.Checker, error) {
	buf := make([]byte, min(size, 256<<10))
	for off := int64(0); off < size && c.Verdict() != validate.Invalid; {
		n, err := content.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if n == 0 {
			return c, errors.Join(err, io.ErrUnexpectedEOF)
		}
		_, _ = c.Write(buf[:n])
		off += int64(n)
	}
	return c, nil
}

// loose judges the next version of a file that never parsed: anything but
// nothing will do, and what parses is recognized.
type loose struct {
	strict validate.Checker // nil: the rule has no format
	any    bool
}

func (l *loose) Write(p []byte) (int, error) {
	l.any = l.any || len(p) > 0
	if l.strict != nil {
		return l.strict.Write(p)
	}
	return len(p), nil
}

func (l *loose) Verdict() validate.Verdict {
	if !l.any {
		return validate.Unfinished
	}
	return validate.Whole
}

func (l *loose) Err() *validate.Error {
	if l.any {
		return nil
	}
	return &validate.Error{Reason: "empty", Line: 1, Column: 1}
}

func (l *loose) Proven() bool { return l.strict != nil && l.strict.Proven() }

func (l *loose) Clone() validate.Checker {
	c := &loose{any: l.any}
	if l.strict != nil {
		c.strict = l.strict.Clone()
	}
	return c
}
