package main

import (
	"context"
	"fmt"
	"math/rand"
	"time"

	"intactfs/journal"
	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// session is a journal that is open on a disk.
type session struct {
	d *disktest.Disk
	h keeper
	j *journal.Journal
}

// options are those of all journals here: small segments, so that a few
// commits change them, and a clock that stands still.
func (w workload) options(h keeper, rng *rand.Rand) journal.Options {
	return journal.Options{SegmentSize: w.segment, MaxInline: 2 << 10, Durability: w.durability, Preserver: h, Rand: rng, Manual: true,
		Now: func() time.Time { return time.Unix(1_700_000_000, 0) }}
}

func (w workload) open(d *disktest.Disk, rng *rand.Rand) (*session, error) {
	var h keeper
	var err error
	if w.perfect != nil {
		h = w.perfect.on(d)
	} else if h, err = openHistory(d, w.lenient); err != nil {
		return nil, err
	}
	var beneath disk.Disk = d
	if w.bug != nil {
		beneath = w.bug(d)
	}
	j, _, err := journal.Open(beneath, w.options(h, rng))
	return &session{d, h, j}, err
}

// run does the workload once. before is called with the state of the book
// before every changing operation of the disk, for which the disk is as a
// crash there would meet it.
func (w workload) run(before func(d *disktest.Disk, b *book, n int, step disk.Step)) error {
	b := newBook(w.linked)
	var d *disktest.Disk
	watch := disktest.Watch(func(n int, step disk.Step) { before(d, b, n, step) })
	d = w.newDisk(watch, disktest.SwallowSync(w.broken), disktest.Writeback(rand.New(rand.NewSource(w.seed)), w.flushes))
	rng := rand.New(rand.NewSource(w.seed + 1))
	s, err := w.open(d, rng)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	for i, o := range w.ops {
		if err := w.step(s, b, o, rng); err != nil {
			return fmt.Errorf("operation %d, %s: %w", i+1, o, err)
		}
	}
	if err := s.j.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	b.settle("")
	before(d, b, len(d.Steps())+1, "end")
	return nil
}

// step does one operation and enters it.
func (w workload) step(s *session, b *book, o op, rng *rand.Rand) error {
	ctx := context.Background()
	switch o.kind {
	case small:
		return w.commit(s, b, o, content(rng, b.next(o), 1+rng.Intn(1900)))
	case big:
		return w.commit(s, b, o, content(rng, b.next(o), 2100+rng.Intn(7000)))
	case grow:
		return w.append(s, b, o, content(rng, b.next(o), 1+rng.Intn(300)), rng)
	case settle:
		if err := s.j.Settle(ctx, o.path()); err != nil {
			return err
		}
		b.settle(o.path())
	case checkpoint:
		if err := s.j.Checkpoint(ctx); err != nil {
			return err
		}
		b.settle("")
	case reopen:
		if err := s.j.Close(); err != nil {
			return err
		}
		b.settle("")
		next, err := w.open(s.d, rng)
		if err != nil {
			return err
		}
		*s = *next
	case flush:
		if err := s.j.Sync(ctx); err != nil {
			return err
		}
		for _, f := range b.files {
			f.promised = f.acked
		}
	}
	return nil
}

// settle enters that the backing directory is up to date for a path, and so for
// the other names of its newest version.
func (b *book) settle(path string) {
	if path != "" {
		f := b.files[path]
		v := f.versions[f.acked]
		f.promised, f.settled = f.acked, f.acked
		for _, name := range v.names {
			other := b.files[name]
			at := other.index(v.n)
			other.promised, other.settled = max(other.promised, at), max(other.settled, at)
		}
		return
	}
	for _, f := range b.files {
		f.promised, f.settled = f.acked, f.acked
	}
}

func (w workload) commit(s *session, b *book, o op, content []byte) error {
	v := b.start(o, content)
	got, err := s.j.Commit(context.Background(), put(o, v, 0))
	if err != nil {
		return err
	}
	b.acknowledged(o, got.Tx, uint64(got.Tx)*spacing, w.durability == journal.Full)
	return nil
}

// append adds to the newest version. Of a run of appends the history has the
// last, so that no number is expected in it.
func (w workload) append(s *session, b *book, o op, more []byte, rng *rand.Rand) error {
	base := b.files[o.path()].newest().content
	v := b.start(o, append(base[:len(base):len(base)], more...))
	p := put(o, v, int64(len(base)))
	sum := v.sum
	if rng.Intn(2) == 0 {
		sum = [32]byte{} // the journal finds out itself
	}
	got, err := s.j.Append(context.Background(), journal.AppendPut{Path: p.Path, Links: p.Links, Attr: p.Attr, Bytes: p.Inline,
		BaseSize: int64(len(base)), SHA256: sum, Who: p.Who})
	if err != nil {
		return err
	}
	b.acknowledged(o, got.Tx, 0, w.durability == journal.Full)
	return nil
}
