package store

import (
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"time"

	"intactfs/validate"
	"intactfs/validate/document"
)

// A file is never held to more than its own past. dialect is how strictly the
// committed version of a path can be read, and so how strictly the next one
// is.
type dialect int

const (
	plain     dialect = iota // as its rule says
	shapeless                // so but for the schema
	lax                      // the format as many programs take it, without a schema: see RuleConfig.format
	unparsed                 // never parsed: only emptiness and killed writers are guarded
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
func (s *Store) checker(path string, r *rule) validate.Checker {
	return r.checker(path, s.dialect(path, r))
}

func (r *rule) checker(path string, d dialect) validate.Checker {
	switch {
	case r.Format == FormatOpaque:
		return &loose{}
	case d == unparsed:
		return &loose{strict: r.format(path, plain)}
	}
	return r.format(path, d)
}

// format judges by the grammar alone. What a lax dialect has: comments and
// trailing commas in JSON, keys that are twice in a mapping of YAML, records of
// any length in CSV, keys without a value in INI.
func (r *rule) format(path string, d dialect) validate.Checker {
	o := validate.Options{Strict: r.Strict, Comments: r.Comments || d == lax}
	schema := r.schema != nil && d == plain
	switch r.Format {
	case FormatJSON:
		if schema {
			return document.New(r.schema.JSON, document.Options{First: validate.JSON(o)})
		}
		return validate.JSON(o)
	case FormatJSONL:
		return validate.JSONLines(o)
	case FormatXML:
		return document.New(document.XML, document.Options{Proven: true})
	}
	return document.New(r.judge(path, d, schema), document.Options{})
}

// judge is the judge of a format that can be known whole only at its end.
func (r *rule) judge(path string, d dialect, schema bool) document.Judge {
	exact := d != lax
	switch {
	case r.Format == FormatYAML && schema:
		return document.All(document.YAML(exact), r.schema.YAML)
	case r.Format == FormatYAML:
		return document.YAML(exact)
	case r.Format == FormatTOML && schema:
		return r.schema.TOML
	case r.Format == FormatTOML:
		return document.TOML
	case r.Format == FormatCSV:
		return document.CSV(exact)
	case r.Format == FormatINI:
		return document.INI(exact)
	}
	limit := commandTimeout
	if r.Timeout != nil {
		limit = time.Duration(*r.Timeout)
	}
	return document.Exec(append([]string{r.program}, r.Command[1:]...), limit, os.Getenv("PATH"), path)
}

// commandTimeout is how long a command of a rule may take if nothing is said.
const commandTimeout = 10 * time.Second

// exact tells whether a rule says by itself how strictly every version is
// read.
func (r *rule) exact() bool { return r.Format == FormatOpaque || r.Strict || r.Comments }

// dialect tells how the committed version of path can be read. The first
// question about a path reads the file; a path that was plain once stays so,
// because a valid version is never followed by another kind.
func (s *Store) dialect(path string, r *rule) dialect {
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
func (s *Store) readDialect(path string, r *rule) (dialect, error) {
	c, err := s.OpenCurrent(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return plain, nil
	}
	if err != nil {
		return plain, err
	}
	defer func() { _ = c.Close() }()
	d, _, err := r.read(path, c, c.Size())
	return d, err
}

// read reads a content and tells in which dialect it is whole; for unparsed
// also why not.
func (r *rule) read(path string, content io.ReaderAt, size int64) (dialect, *validate.Error, error) {
	if size == 0 || r.Format == FormatOpaque {
		return plain, nil, nil
	}
	first, err := feed(r.checker(path, plain), content, size)
	if err != nil || first.Verdict() == validate.Whole {
		return plain, nil, err
	}
	// Rare enough that a second reading is cheaper than two at a time.
	for _, d := range r.lesser() {
		c, err := feed(r.checker(path, d), content, size)
		if err != nil {
			return plain, nil, err
		}
		if c.Verdict() == validate.Whole {
			return d, nil, nil
		}
	}
	return unparsed, first.Err(), nil
}

// lesser are the dialects that a version which is not plain may be in, the
// strictest first.
func (r *rule) lesser() []dialect {
	switch {
	case r.Strict, r.Format == FormatExec, r.Format == FormatXML:
		return nil
	case r.schema != nil:
		return []dialect{shapeless, lax}
	case r.Format == FormatTOML:
		return nil
	}
	return []dialect{lax}
}

// feed gives a whole content to a checker, or as much as that wants.
func feed(c validate.Checker, content io.ReaderAt, size int64) (validate.Checker, error) {
	buf := make([]byte, min(size, 256<<10))
	deferred := validate.AtEnd(c)
	for off := int64(0); off < size && (deferred || c.Verdict() != validate.Invalid); {
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

// AtEnd implements validate.Deferred.
func (l *loose) AtEnd() bool { return l.strict != nil && validate.AtEnd(l.strict) }

func (l *loose) Clone() validate.Checker {
	c := &loose{any: l.any}
	if l.strict != nil {
		c.strict = l.strict.Clone()
	}
	return c
}
