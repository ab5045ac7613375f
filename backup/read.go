package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"time"

	"intactfs/journal/disk"
)

// Newest returns the newest entry of path, which may be a tombstone. With an
// error it is not known what is the newest.
func (s *Store) Newest(path string) (Entry, bool, error) {
	entries, err := s.List(path)
	if err != nil || len(entries) == 0 {
		return Entry{}, false, err
	}
	return entries[len(entries)-1], true, nil
}

// List returns the entries of path, oldest first. With an error it returns
// those that could be read. Entries lost to damage are missing without one:
// Verify tells of them.
func (s *Store) List(path string) ([]Entry, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	defer s.lock(path)()
	h, err := s.load(path)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(h.recs))
	for i := range h.recs {
		entries = append(entries, h.entry(&h.recs[i]))
	}
	if err := errors.Join(h.ioErr, h.pinsErr); err != nil {
		return entries, fmt.Errorf("list history of %s: %w", path, err)
	}
	return entries, nil
}

// At returns the entry that was the newest of path at the time; a tombstone
// if the file was gone.
func (s *Store) At(path string, at time.Time) (Entry, bool, error) {
	entries, err := s.List(path)
	for i := len(entries) - 1; i >= 0; i-- {
		if !entries[i].Time.After(at) {
			return entries[i], true, err
		}
	}
	return Entry{}, false, err
}

// Open opens a version. ErrNotFound: there is no such one; ErrDamaged: it or
// one it is a delta against can't be read. The Content stays good whatever
// happens to the version later, Expire included: it holds the bytes, or the
// open pack.
func (s *Store) Open(ctx context.Context, path string, tx uint64) (Content, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	f, frames, err := s.locate(path, tx)
	if err != nil {
		return nil, fmt.Errorf("open version %d of %s: %w", tx, path, err)
	}
	c, err := s.open(ctx, f, frames)
	if err != nil {
		return nil, fmt.Errorf("open version %d of %s: %w", tx, path, err)
	}
	return c, nil
}

// locate opens the pack of a version and tells which frames of it are needed.
// They never change, so that they may be read without the path's lock: what is
// long must not keep others from saving.
func (s *Store) locate(path string, tx uint64) (disk.File, []record, error) {
	defer s.lock(path)()
	h, err := s.load(path)
	if err != nil {
		return nil, nil, err
	}
	rec, ok := h.find(tx)
	if !ok {
		return nil, nil, errors.Join(ErrNotFound, h.ioErr)
	}
	frames, err := framesOf(rec, func(tx uint64) (*record, bool) { return h.inPack(rec.Pack, tx) })
	if err != nil {
		return nil, nil, err
	}
	f, err := s.d.Open(rec.Pack)
	return f, frames, err
}

// open reads a version from its pack, which the Content closes if it needs it.
func (s *Store) open(ctx context.Context, f disk.File, frames []record) (Content, error) {
	rec := frames[0]
	if rec.Size <= largeContent {
		content, err := s.restore(f, frames)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		return bytesContent{bytes.NewReader(content)}, nil
	}
	c, err := openStream(ctx, f, rec)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// framesOf returns the records whose frames make the content of rec: rec
// first, the one that is whole last. lookup finds the records of its pack.
func framesOf(rec *record, lookup func(uint64) (*record, bool)) ([]record, error) {
	frames := []record{*rec}
	for r := rec; r.DeltaBase != 0; {
		base, ok := lookup(r.DeltaBase)
		if !ok || base.Offset >= r.Offset {
			return nil, fmt.Errorf("%w: version %d is a delta against %d, which is lost", ErrDamaged, r.Tx, r.DeltaBase)
		}
		if base.Size > largeContent {
			return nil, fmt.Errorf("%w: version %d is too large for a delta", ErrDamaged, base.Tx)
		}
		frames = append(frames, *base)
		r = base
	}
	return frames, nil
}

// restore returns the content of the first of frames, which is of at most
// largeContent bytes. Each frame is held to its checksum, the content to its
// digest: those on the way to it need none of their own.
func (s *Store) restore(pack io.ReaderAt, frames []record) ([]byte, error) {
	var content, spare []byte
	from := len(frames)
	for i := range frames {
		if known, ok := s.codec.recall(frames[i].SHA256); ok {
			content, from = known, i
			break
		}
	}
	if from == 0 {
		return content, nil
	}
	for i := from - 1; i >= 0; i-- {
		next, err := s.step(pack, &frames[i], content, spare)
		if err != nil {
			return nil, err
		}
		if i < from-1 { // what the cache knows is not ours to write over
			spare = content
		}
		content = next
	}
	if err := checkDigest(&frames[0], content); err != nil {
		return nil, err
	}
	s.codec.remember(frames[0].SHA256, content)
	return content, nil
}

func checkDigest(r *record, content []byte) error {
	if sha256.Sum256(content) != r.SHA256 {
		return fmt.Errorf("%w: version %d in %s at %d: content does not match its digest", ErrDamaged, r.Tx, r.Pack, r.Offset)
	}
	return nil
}

// step undoes one frame.
func (s *Store) step(pack io.ReaderAt, r *record, base, spare []byte) ([]byte, error) {
	frame := make([]byte, r.frameLen)
	if n, err := pack.ReadAt(frame, r.frameOff); n < len(frame) {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: frame is cut short", ErrDamaged)
		}
		return nil, fmt.Errorf("read version %d in %s: %w", r.Tx, r.Pack, err)
	}
	// Before decoding: what a damaged frame says of its size costs memory.
	if crc32.Checksum(frame, castagnoli) != r.frameCRC {
		return nil, fmt.Errorf("%w: version %d in %s at %d: checksum of the frame", ErrDamaged, r.Tx, r.Pack, r.Offset)
	}
	if r.DeltaBase == 0 {
		base = nil
	} else if base == nil {
		base = []byte{}
	}
	content, err := s.codec.decode(frame, base, spare, r.Size)
	if err != nil {
		return nil, fmt.Errorf("version %d in %s at %d: %w", r.Tx, r.Pack, r.Offset, err)
	}
	return content, nil
}

// Paths returns all paths below dir that have history, sorted; "" is the
// root. A path at which there is an error is skipped and named in it.
func (s *Store) Paths(dir string) ([]string, error) {
	s.tree.RLock()
	defer s.tree.RUnlock()
	var paths []string
	err := s.walk(historyLayout, dir, func(path string) { paths = append(paths, path) })
	slices.Sort(paths)
	return paths, err
}

// walk calls visit for every file below dir that l has a directory for. The
// caller holds tree.
func (s *Store) walk(l layout, dir string, visit func(path string)) error {
	names, err := s.names(l, dir)
	errs := []error{err}
	for _, n := range names {
		path := joinPath(dir, n.Name)
		if n.File {
			visit(path)
		}
		if n.Dir {
			errs = append(errs, s.walk(l, path, visit))
		}
	}
	return errors.Join(errs...)
}

// ReadDir returns the names directly below dir that have history or have
// names with history below them, sorted.
func (s *Store) ReadDir(dir string) ([]Name, error) {
	s.tree.RLock()
	defer s.tree.RUnlock()
	return s.names(historyLayout, dir)
}

func (s *Store) names(l layout, dir string) ([]Name, error) {
	if dir != "" {
		if err := checkPath(dir); err != nil {
			return nil, err
		}
	}
	found := map[string]*Name{}
	err := s.gather(l, l.dir(dir), "", found)
	names := make([]Name, 0, len(found))
	for _, n := range found {
		names = append(names, *n)
	}
	slices.SortFunc(names, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	if err != nil {
		return names, fmt.Errorf("list history below %q: %w", dir, err)
	}
	return names, nil
}

// gather adds what lies in a directory on disk to found. before is the first
// half of a long name.
func (s *Store) gather(l layout, diskDir, before string, found map[string]*Name) error {
	list, err := s.d.ReadDir(diskDir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range list {
		if !e.Type.IsDir() {
			continue
		}
		el := l.parse(before, e.Name)
		if el.kind == moreElement {
			errs = append(errs, s.gather(l, diskDir+"/"+e.Name, el.name, found))
			continue
		}
		n := found[el.name]
		if n == nil {
			n = &Name{Name: el.name}
			found[el.name] = n
		}
		n.File = n.File || el.kind == fileElement
		n.Dir = n.Dir || el.kind == dirElement
	}
	return errors.Join(append(errs, err)...)
}
