package backup

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"time"
)

// Expire drops what p does not keep of path; with dry it only says what that
// is. Packs are rewritten beside the old ones and take their place in one
// step: what was kept is there at every moment, and Expire may be repeated
// after a crash. A crash may bring back versions that were dropped, never
// others: where several packs became one, those it replaces are removed after
// it has its place. The next Expire drops them again. ErrHeld: this is not the time to drop anything. ErrDamaged
// names packs that were left as they are, damage included.
func (s *Store) Expire(ctx context.Context, path string, p Policy, now time.Time, dry bool) (PlanResult, error) {
	res := PlanResult{Path: path}
	if err := checkPath(path); err != nil {
		return res, err
	}
	defer s.lock(path)()
	h, err := s.load(path)
	if err == nil {
		err = errors.Join(h.ioErr, h.pinsErr)
	}
	if err != nil {
		return res, fmt.Errorf("expire history of %s: %w", path, err)
	}
	entries := make([]Entry, 0, len(h.recs))
	for i := range h.recs {
		entries = append(entries, h.entry(&h.recs[i]))
	}
	res.Decisions = Plan(entries, p, now)
	work := newRewrite(h, res.Decisions, p.Slack, s.packSize)
	res.Dropped, res.Freed = work.dropped, work.freed
	if dry || len(work.runs) == 0 {
		return res, work.damaged
	}
	res.Dropped, res.Freed = 0, 0
	if s.o.ReadOnly {
		return res, fmt.Errorf("%s: %w", path, ErrReadOnly)
	}
	if err := s.held(path, p, now, work.need); err != nil {
		return res, err
	}
	// Whatever happens from here on, the history is read anew.
	defer s.forget(h.dir)
	if err := s.secureCopies(h); err != nil {
		return res, fmt.Errorf("expire history of %s: %w", path, err)
	}
	for _, run := range work.runs {
		freed, err := s.rewrite(ctx, h, run)
		if err != nil {
			return res, fmt.Errorf("expire history of %s: %w", path, errors.Join(err, work.damaged))
		}
		res.Dropped += run.dropped
		res.Freed += freed
	}
	s.sweep(h, work.keepsNothing())
	return res, work.damaged
}

// secureCopies makes durable what an earlier process left, in packs and in the
// directory: an entry that is there twice is dropped because of the other.
func (s *Store) secureCopies(h *history) error {
	a := &appender{s: s, h: h}
	for _, p := range h.packs {
		if p.abandoned {
			continue // is written anew
		}
		if err := a.securePack(p.name); err != nil {
			return err
		}
	}
	return nil
}

// held returns ErrHeld while dropping would be unwise: history is what saves
// the day when a disk fills up or a program goes wrong.
func (s *Store) held(path string, p Policy, now time.Time, need int64) error {
	if p.Hold {
		return fmt.Errorf("%s: %w: as asked", path, ErrHeld)
	}
	free, err := s.d.Free()
	if err != nil {
		return err
	}
	if free < need+p.MinFree {
		return fmt.Errorf("%s: %w: %d bytes are free, %d are needed", path, ErrHeld, free, need+p.MinFree)
	}
	if p.Burst == 0 {
		return nil
	}
	refused, err := s.refusedSince(path, now.Add(-time.Hour))
	if err != nil {
		return err
	}
	if refused >= int64(p.Burst) {
		return fmt.Errorf("%s: %w: %d contents were refused within an hour", path, ErrHeld, refused)
	}
	return nil
}

// A run is a sequence of packs that become one, which takes the name of the
// last; or nothing, if nothing of them is kept.
type run struct {
	packs   []packInfo
	keep    []record // in the order of packs and offsets
	dropped int
}

// rewriting is what Expire has to do.
type rewriting struct {
	packSize int64
	runs     []run
	dropped  int
	freed    int64 // about
	need     int64 // bytes that the largest run may take, about
	kept     int   // entries of all packs that stay
	damaged  error // names the packs that would have been rewritten
}

func (w *rewriting) keepsNothing() bool { return w.kept == 0 && w.damaged == nil }

// newRewrite groups the packs of which enough is dropped into runs.
func newRewrite(h *history, plan []Decision, slack float64, packSize int64) *rewriting {
	keep, drop := map[string][]record{}, map[string]int64{}
	count := map[string]int{}
	w := &rewriting{packSize: packSize}
	for i := range plan {
		r := h.recs[i]
		if plan[i].Keep {
			keep[r.Pack] = append(keep[r.Pack], r)
			continue
		}
		drop[r.Pack] += r.Stored
		count[r.Pack]++
	}
	for i := range h.twice {
		drop[h.twice[i].Pack] += h.twice[i].Stored
	}
	joined := false // the last run may grow
	for _, p := range h.packs {
		kept := keep[p.name]
		slices.SortFunc(kept, func(a, b record) int { return int(a.Offset - b.Offset) })
		few := drop[p.name] == 0 || float64(drop[p.name]) < slack*float64(p.size)
		if few && !p.abandoned {
			w.kept += len(kept)
			joined = false
			continue
		}
		if err := p.damage(); err != nil {
			w.damaged = errors.Join(w.damaged, fmt.Errorf("left as it is: %w", err))
			w.kept += len(kept)
			joined = false
			continue
		}
		w.add(run{[]packInfo{p}, kept, count[p.name]}, joined)
		joined = true
		w.freed += drop[p.name]
	}
	// What is kept in a pack of which a sync failed is written anew before
	// another copy of it is dropped.
	slices.SortStableFunc(w.runs, func(a, b run) int { return b.abandoned() - a.abandoned() })
	return w
}

// abandoned is 1 if one of the packs was given up, else 0.
func (r *run) abandoned() int {
	if slices.ContainsFunc(r.packs, func(p packInfo) bool { return p.abandoned }) {
		return 1
	}
	return 0
}

// add appends a run, or lengthens the last one.
func (w *rewriting) add(r run, join bool) {
	w.dropped += r.dropped
	w.kept += len(r.keep)
	if last := len(w.runs) - 1; join && w.runs[last].takes(&r, w.packSize) {
		w.runs[last].packs = append(w.runs[last].packs, r.packs...)
		w.runs[last].keep = append(w.runs[last].keep, r.keep...)
		w.runs[last].dropped += r.dropped
	} else {
		w.runs = append(w.runs, r)
	}
	w.need = max(w.need, w.runs[len(w.runs)-1].need())
}

// takes reports whether the packs of o can become one with those of r. No
// number may be there twice: a delta names its base by it.
func (r *run) takes(o *run, packSize int64) bool {
	if r.need()+o.need() > packSize {
		return false
	}
	for i := range o.keep {
		if slices.ContainsFunc(r.keep, func(k record) bool { return k.Tx == o.keep[i].Tx && !k.Removed }) {
			return false
		}
	}
	return true
}

// need is about the most that the new pack may take: what was a delta may
// have to become whole.
func (r *run) need() int64 {
	var sum int64
	for i := range r.keep {
		sum += r.keep[i].Stored
		if r.keep[i].DeltaBase != 0 {
			sum += r.keep[i].Size / 4
		}
	}
	return sum
}

// damage returns why a pack must not be rewritten: what can't be read now
// may be mended one day, by hand.
func (p *packInfo) damage() error {
	for _, g := range p.gaps {
		if !g.torn {
			return g.err
		}
	}
	return nil
}

// rewrite replaces the packs of a run. It returns the bytes that this frees.
func (s *Store) rewrite(ctx context.Context, h *history, r run) (int64, error) {
	var freed int64
	for _, p := range r.packs {
		freed += p.size
	}
	last := len(r.packs) - 1
	obsolete := r.packs
	if len(r.keep) > 0 {
		size, err := s.replace(ctx, h, r, r.packs[last].name)
		if err != nil {
			return 0, err
		}
		obsolete = r.packs[:last]
		freed -= size
	}
	// The new pack is durable: what is left of the old ones is there twice.
	for _, p := range obsolete {
		if err := s.d.Remove("expire:remove", p.name); err != nil {
			return 0, err
		}
		s.unsync(p.name)
	}
	if len(obsolete) == 0 {
		return freed, nil
	}
	return freed, s.d.SyncDir("expire:syncdir", h.dir)
}

// replace writes the kept entries of a run to a new pack and renames it to
// name. It returns the size.
func (s *Store) replace(ctx context.Context, h *history, r run, name string) (int64, error) {
	temp := name + tempSuffix
	f, err := s.createTemp("expire:create", temp)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	s.trust(info.Ino)
	a := &appender{s: s, h: &history{dir: h.dir}, f: f, t: &tail{name: name}, ino: info.Ino, fixed: true}
	for i := 0; i < len(r.keep) && err == nil; i++ {
		if err = ctx.Err(); err == nil {
			err = a.carry(ctx, h, &r.keep[i])
		}
	}
	if err == nil {
		err = a.flush()
	}
	if err == nil {
		err = f.Sync("expire:sync")
	}
	if err = errors.Join(err, f.Close()); err == nil {
		s.unsync(name)
		err = s.d.Rename("expire:rename", temp, name)
	}
	if err != nil {
		_ = s.d.Remove("expire:remove", temp)
		return 0, err
	}
	if err := s.d.SyncDir("expire:syncdir", h.dir); err != nil {
		return 0, err
	}
	s.markSynced(name)
	return a.t.off, nil
}

// carry adds a record of another pack: as it is where what it is a delta
// against comes along, else encoded anew.
func (a *appender) carry(ctx context.Context, h *history, old *record) error {
	f, err := a.s.d.Open(old.Pack)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := checkFrame(f, old); err != nil {
		return err
	}
	if old.Removed || old.DeltaBase == 0 || a.hasBase(h, old) {
		return a.copyFrame(ctx, f, *old)
	}
	frames, err := framesOf(old, func(tx uint64) (*record, bool) { return h.inPack(old.Pack, tx) })
	if err != nil {
		return err
	}
	content, err := a.s.restore(f, frames)
	if err != nil {
		return err
	}
	return a.content(*old, content)
}

// hasBase reports whether the new pack has what old is a delta against, near
// enough to a keyframe.
func (a *appender) hasBase(h *history, old *record) bool {
	i, ok := a.taken[old.DeltaBase]
	base, was := h.inPack(old.Pack, old.DeltaBase)
	return ok && was && a.recs[i].SHA256 == base.SHA256 && a.t.chain.links[old.DeltaBase].depth < maxDepth
}

// copyFrame adds rec with its frame from another pack.
func (a *appender) copyFrame(ctx context.Context, from io.ReaderAt, rec record) error {
	off := rec.frameOff
	head, err := a.head(&rec, 0)
	if err != nil {
		return err
	}
	a.buf = append(a.buf, head...)
	if err := a.flush(); err != nil {
		return err
	}
	out := &frameWriter{f: a.f, step: "expire:copy", off: a.flat, crc: crc32.New(castagnoli)}
	n, err := io.Copy(out, &ctxReader{ctx, io.NewSectionReader(from, off, rec.frameLen)})
	if err == nil && (n != rec.frameLen || out.crc.Sum32() != rec.frameCRC) {
		err = fmt.Errorf("%w: version %d changed while it was copied", ErrDamaged, rec.Tx)
	}
	if err != nil {
		return err
	}
	a.flat = out.off
	a.took(rec)
	return nil
}

// sweep removes what an earlier rewrite left behind, and the directory of a
// path of which nothing is left. That it fails does no harm.
func (s *Store) sweep(h *history, empty bool) {
	names, err := s.d.ReadDir(h.dir)
	if err != nil {
		return
	}
	for _, e := range names {
		if strings.HasSuffix(e.Name, tempSuffix) || empty && e.Name == pinsName {
			_ = s.d.Remove("expire:sweep", h.dir+"/"+e.Name)
		}
	}
	if empty {
		_ = s.d.SyncDir("expire:sweep", h.dir) // lets go of what was removed
	}
	if empty && s.d.Remove("expire:sweep", h.dir) == nil {
		s.unsync(h.dir)
	}
}
