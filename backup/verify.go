package backup

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"intactfs/journal/disk"
)

// Damage is something that Verify found.
type Damage struct {
	Path   string
	File   string // disk name
	Offset int64
	Lost   []uint64 // the versions that are known to be lost by it, oldest first
	Err    error    // wraps ErrDamaged, or is an error of the disk
}

// A Report is what Verify saw.
type Report struct {
	Paths    int
	Versions int   // that are whole
	Bytes    int64 // of their contents, all of which were read
	Rejected int   // contents in quarantine that are whole
	Damage   []Damage
	// Torn are the pack ends that look like an append cut short by a
	// crash, before Add could return: no version that was promised. Whole
	// sectors of zeros in the last append of a pack look the same: Lost
	// names what was in it, and is in no later pack.
	Torn []Damage
}

// Verify reads every content of history and quarantine and compares it with
// its checksums. What is wrong is in the report; the error is only for what
// kept Verify from looking. progress, if not nil, is called with every path.
func (s *Store) Verify(ctx context.Context, progress func(path string)) (Report, error) {
	var rep Report
	paths, err := s.Paths("")
	if err != nil {
		return rep, err
	}
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		if progress != nil {
			progress(path)
		}
		if err := s.verifyPath(ctx, path, &rep); err != nil {
			return rep, fmt.Errorf("verify history of %s: %w", path, err)
		}
	}
	return rep, s.verifyRejected(ctx, &rep)
}

// verifyPath looks at the packs of a path as they are when it comes to them.
// It holds the path's lock only to open each: reading takes long, and saving
// must not wait for it. What is appended meanwhile is not looked at.
func (s *Store) verifyPath(ctx context.Context, path string, rep *Report) error {
	rep.Paths++
	h, err := s.readLocked(path)
	if err != nil {
		return err
	}
	if h.pinsErr != nil {
		rep.Damage = append(rep.Damage, Damage{Path: path, File: h.dir + "/" + pinsName, Err: h.pinsErr})
	}
	for _, p := range h.packs {
		if err := s.verifyPack(ctx, path, p.name, h, rep); err != nil {
			return err
		}
	}
	return nil
}

// readLocked reads the history of path from the disk: what the cache says was
// read before.
func (s *Store) readLocked(path string) (*history, error) {
	defer s.lock(path)()
	return s.readHistory(historyLayout.file(path))
}

// openLocked opens a pack between two appends to it.
func (s *Store) openLocked(path, name string) (disk.File, int64, error) {
	defer s.lock(path)()
	f, err := s.d.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size, nil
}

// packCheck verifies the entries of one pack in their order.
type packCheck struct {
	s     *Store
	path  string
	scan  packScan
	whole map[uint64]*record // of this pack
	// found is all that is wrong, by offset; cause is which of them cost a
	// version.
	found []*finding
	cause map[uint64]*finding
	// recent holds the contents that the next deltas are likely to need.
	recent *lru[uint64, []byte]
}

type finding struct {
	Damage
	torn bool
}

func (s *Store) verifyPack(ctx context.Context, path, name string, h *history, rep *Report) error {
	f, size, err := s.openLocked(path, name)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil // retention or a rename took it since the names were read
	}
	if err != nil {
		rep.Damage = append(rep.Damage, Damage{Path: path, File: name, Err: err})
		return nil
	}
	defer func() { _ = f.Close() }()
	c := &packCheck{
		s: s, path: path, scan: scanPack(f, size, name),
		whole: map[uint64]*record{}, cause: map[uint64]*finding{},
		recent: newLRU[uint64, []byte](2 * largeContent),
	}
	for _, g := range c.scan.gaps {
		c.found = append(c.found, &finding{Damage{path, name, g.off, nil, g.err}, g.torn})
	}
	for i := range c.scan.recs {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.record(ctx, f, &c.scan.recs[i], rep)
	}
	c.report(h, rep)
	return nil
}

// record verifies one entry.
func (c *packCheck) record(ctx context.Context, f disk.File, r *record, rep *Report) {
	if r.DeltaBase != 0 && c.whole[r.DeltaBase] == nil {
		c.lost(r, c.blame(r))
		return
	}
	err := checkFrame(f, r)
	if err != nil {
		w := &window{r: f, size: c.scan.size}
		torn := w.tornAt(r.frameOff, r.end(), err) && c.scan.unconfirmed(r.Offset)
		c.found = append(c.found, &finding{Damage{c.path, r.Pack, r.Offset, nil, err}, torn})
	}
	if r.Removed {
		return
	}
	// Only of a streamed content the frame may be hit where it is no matter.
	if bad := c.content(ctx, f, r); bad != nil {
		if err == nil {
			c.found = append(c.found, &finding{Damage{c.path, r.Pack, r.Offset, nil, bad}, false})
		}
		c.lost(r, c.found[len(c.found)-1])
		return
	}
	c.whole[r.Tx] = r
	rep.Versions++
	rep.Bytes += r.Size
}

// lost books a version on what costs it.
func (c *packCheck) lost(r *record, fnd *finding) {
	if !r.Removed {
		c.cause[r.Tx] = fnd
		fnd.Lost = append(fnd.Lost, r.Tx)
	}
}

// blame returns what costs a delta its base: what cost the base, or the gap
// in which the base must have been.
func (c *packCheck) blame(r *record) *finding {
	if fnd := c.cause[r.DeltaBase]; fnd != nil {
		return fnd
	}
	var fnd *finding
	for _, g := range c.found {
		if g.Offset < r.Offset && (fnd == nil || g.Offset > fnd.Offset) {
			fnd = g
		}
	}
	if fnd == nil {
		err := fmt.Errorf("%w: version %d is a delta against %d, which is not there", ErrDamaged, r.Tx, r.DeltaBase)
		fnd = &finding{Damage{c.path, r.Pack, r.Offset, nil, err}, false}
		c.found = append(c.found, fnd)
	}
	c.cause[r.DeltaBase] = fnd
	fnd.Lost = append(fnd.Lost, r.DeltaBase)
	return fnd
}

// content decodes the frame of r.
func (c *packCheck) content(ctx context.Context, f disk.File, r *record) error {
	if r.Size > largeContent {
		stream, err := openStream(ctx, f, *r)
		if err == nil {
			stream.dec.Close()
		}
		return err
	}
	var base []byte
	if r.DeltaBase != 0 {
		var ok bool
		if base, ok = c.recent.get(r.DeltaBase); !ok {
			frames, err := framesOf(c.whole[r.DeltaBase], func(tx uint64) (*record, bool) { r, ok := c.whole[tx]; return r, ok })
			if err != nil {
				return err
			}
			if base, err = c.s.restore(f, frames); err != nil {
				return err
			}
			c.recent.put(r.DeltaBase, base, int64(len(base)))
		}
	}
	content, err := c.s.step(f, r, base, nil)
	if err == nil {
		err = checkDigest(r, content)
	}
	if err == nil {
		c.recent.put(r.Tx, content, int64(len(content)))
	}
	return err
}

// report adds what was found. A version of which a later pack has another
// copy is not lost.
func (c *packCheck) report(h *history, rep *Report) {
	for _, fnd := range c.found {
		fnd.Lost = slices.DeleteFunc(fnd.Lost, func(tx uint64) bool {
			r, ok := h.find(tx)
			return ok && r.Pack != fnd.File
		})
		slices.Sort(fnd.Lost)
		if fnd.torn && errors.Is(fnd.Err, ErrDamaged) {
			rep.Torn = append(rep.Torn, fnd.Damage)
		} else {
			rep.Damage = append(rep.Damage, fnd.Damage)
		}
	}
}
