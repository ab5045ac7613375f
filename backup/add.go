package backup

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// Add keeps items, oldest first, as versions of path. When it returns nil
// all of them survive power loss. It may be repeated: an item that history
// has is not added again. With an error, the items that an ItemError names
// are not kept; after any other error it is not known which are, and Add
// has to be called again with all of them.
func (s *Store) Add(ctx context.Context, path string, items []Item) error {
	if err := s.writable(path); err != nil {
		return err
	}
	defer s.lock(path)()
	h, err := s.load(path)
	if err != nil {
		return err
	}
	if err := s.checkTail(h); err != nil {
		return fmt.Errorf("read history of %s: %w", path, err)
	}
	a := &appender{s: s, h: h}
	var errs []error
	for i := range items {
		err := ctx.Err()
		if err == nil {
			err = a.item(ctx, &items[i])
		}
		if err != nil {
			errs = append(errs, &ItemError{path, items[i].Tx, err})
		}
		if a.failed || ctx.Err() != nil {
			if i+1 < len(items) {
				errs = append(errs, ctx.Err()) // what follows was not even tried
			}
			break
		}
	}
	if err := a.finish(); err != nil {
		errs = append(errs, fmt.Errorf("keep versions of %s: %w", path, err))
	}
	return errors.Join(errs...)
}

// item adds one item.
func (a *appender) item(ctx context.Context, it *Item) error {
	if it.Tx == 0 || it.Size < 0 || it.Content == nil {
		return fmt.Errorf("%w: no number, size or content", ErrMismatch)
	}
	if known, err := a.known(it); known || err != nil {
		return err
	}
	rec := record{Entry: Entry{
		Tx: it.Tx, Time: it.Time, Size: it.Size, SHA256: it.SHA256, Attr: it.Attr, Base: it.Base,
		PID: it.PID, UID: it.UID, Program: it.Program, Note: it.Note, Invalid: it.Invalid,
	}}
	if it.Size > largeContent {
		return a.stream(ctx, rec, it.Content)
	}
	content, err := readAll(it.Content, it.Size, it.SHA256)
	if err != nil {
		return err
	}
	return a.content(rec, content)
}

// content adds a record with its content: as a delta where that is shorter.
func (a *appender) content(rec record, content []byte) error {
	frame, err := a.delta(&rec, content)
	if err != nil {
		return err
	}
	if frame == nil {
		frame = a.s.codec.encodeWhole(content)
	}
	if err := a.put(rec, frame); err != nil {
		return err
	}
	a.s.codec.remember(rec.SHA256, content)
	return nil
}

// delta encodes content against what the chain of the pack says, and sets
// rec.DeltaBase; where that gains little, it encodes it whole, for the next to
// be deltas against. It returns nil if there is nothing to be a delta against.
func (a *appender) delta(rec *record, content []byte) ([]byte, error) {
	rec.DeltaBase = 0
	t := a.t
	if a.f == nil {
		t = a.h.tail
	}
	if t == nil {
		return nil, nil
	}
	tx := t.chain.base(rec.Size, t.off >= a.s.packSize)
	if tx == 0 {
		return nil, nil
	}
	base, sum, err := a.base(t.name, tx)
	if errors.Is(err, ErrDamaged) {
		// Nothing may depend on what can't be read: begin anew.
		a.s.log.Warn("history is damaged", "pack", t.name, "tx", tx, "err", err)
		if err := a.finish(); err != nil {
			return nil, err
		}
		a.h.tail = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	frame, err := a.s.codec.encodeDelta(sum, base, content)
	if err != nil {
		return nil, err
	}
	if 8*len(frame) > len(content) { // else it is short beside whatever the whole takes
		if whole := a.s.codec.encodeWhole(content); 3*len(whole) <= 4*len(frame) {
			return whole, nil
		}
	}
	rec.DeltaBase = tx
	return frame, nil
}

// base returns the content of an entry of the pack, which may be one that
// was put just now.
func (a *appender) base(pack string, tx uint64) ([]byte, digest, error) {
	lookup := func(tx uint64) (*record, bool) {
		if i, ok := a.taken[tx]; ok && a.f != nil {
			return &a.recs[i], true
		}
		return a.h.inPack(pack, tx)
	}
	rec, ok := lookup(tx)
	if !ok {
		return nil, digest{}, fmt.Errorf("%w: version %d is not in %s", ErrDamaged, tx, pack)
	}
	if content, ok := a.s.codec.recall(rec.SHA256); ok {
		return content, rec.SHA256, nil
	}
	frames, err := framesOf(rec, lookup)
	if err != nil {
		return nil, digest{}, err
	}
	if a.f == nil {
		f, err := a.s.d.Open(pack)
		if err != nil {
			return nil, digest{}, err
		}
		defer func() { _ = f.Close() }()
		content, err := a.s.restore(f, frames)
		return content, rec.SHA256, err
	}
	if err := a.flush(); err != nil {
		return nil, digest{}, err
	}
	content, err := a.s.restore(a.f, frames)
	return content, rec.SHA256, err
}

// known reports whether history has the item, durably.
func (a *appender) known(it *Item) (bool, error) {
	if i, ok := a.taken[it.Tx]; ok {
		if a.recs[i].SHA256 != it.SHA256 {
			return false, ErrConflict
		}
		return true, nil
	}
	rec, ok := a.h.find(it.Tx)
	if !ok {
		return false, nil
	}
	if a.s.isSynced(rec.Pack) {
		if rec.SHA256 != it.SHA256 {
			return false, ErrConflict
		}
		return true, nil
	}
	if a.h.abandoned(rec.Pack) {
		return false, nil
	}
	// A copy: to confirm it the batch so far is finished, which moves the
	// records that rec points among.
	left := *rec
	return a.confirm(&left, it)
}

// confirm makes durable what an earlier process left. An entry that is not
// as it was written, or has lost what it is a delta against, does not count:
// it is added again, and the later one is the good one.
func (a *appender) confirm(rec *record, it *Item) (bool, error) {
	if err := a.finish(); err != nil { // at most one file is open for writing
		return false, err
	}
	pack := rec.Pack
	f, err := a.s.d.OpenWrite("history:open", pack)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	err = a.checkChain(f, rec)
	if errors.Is(err, ErrDamaged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if rec.SHA256 != it.SHA256 {
		return false, ErrConflict
	}
	if err := a.secure(f, pack); err != nil {
		return false, err
	}
	if !a.h.gaps(pack) && checkFrames(f, a.h, pack) == nil {
		a.s.markSynced(pack) // of the others in it no more need be asked
	}
	return true, nil
}

// checkChain verifies the frames that the content of rec is made from.
func (a *appender) checkChain(f io.ReaderAt, rec *record) error {
	frames, err := framesOf(rec, func(tx uint64) (*record, bool) { return a.h.inPack(rec.Pack, tx) })
	for i := 0; i < len(frames) && err == nil; i++ {
		err = checkFrame(f, &frames[i])
	}
	return err
}

// checkTail verifies the frames of the pack that appends would go to, once
// for a process: nothing is appended behind what a crash left torn.
func (s *Store) checkTail(h *history) error {
	if h.tail == nil || s.isSynced(h.tail.name) {
		return nil
	}
	f, err := s.d.Open(h.tail.name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	err = checkFrames(f, h, h.tail.name)
	if errors.Is(err, ErrDamaged) {
		h.tail = nil
		return nil
	}
	return err
}

// checkFrames verifies all frames of a pack.
func checkFrames(f io.ReaderAt, h *history, pack string) error {
	for i := range h.recs {
		if h.recs[i].Pack != pack {
			continue
		}
		if err := checkFrame(f, &h.recs[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkFrame compares a frame with its checksum, without reading all of it
// into memory.
func checkFrame(r io.ReaderAt, rec *record) error {
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, io.NewSectionReader(r, rec.frameOff, rec.frameLen))
	if err != nil {
		return err
	}
	if n != rec.frameLen || sum.Sum32() != rec.frameCRC {
		return fmt.Errorf("%w: version %d in %s at %d: checksum of the frame",
			ErrDamaged, rec.Tx, rec.Pack, rec.frameOff)
	}
	return nil
}

// Remove ends the newest version of path with a tombstone. Where there is
// none to end it does nothing. Durable when it returns nil.
func (s *Store) Remove(path string, when time.Time, who Writer) error {
	if err := s.writable(path); err != nil {
		return err
	}
	defer s.lock(path)()
	h, err := s.load(path)
	if err == nil {
		err = s.checkTail(h)
	}
	if err != nil {
		return fmt.Errorf("read history of %s: %w", path, err)
	}
	if len(h.recs) == 0 {
		return nil
	}
	last := &h.recs[len(h.recs)-1]
	a := &appender{s: s, h: h}
	if last.Removed && !h.abandoned(last.Pack) {
		err = a.securePack(last.Pack)
	} else {
		err = a.put(record{Entry: Entry{
			Tx: last.Tx, Time: when, Removed: true, PID: who.PID, UID: who.UID, Program: who.Program,
		}}, s.codec.encodeWhole(nil))
		err = errors.Join(err, a.finish())
	}
	if err != nil {
		return fmt.Errorf("bury %s: %w", path, err)
	}
	return nil
}
