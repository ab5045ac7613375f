package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"strings"

	"intactfs/journal"
	"intactfs/journal/disk/disktest"
)

// variants are the chances, in percent, that something unsynced survives. One
// more variant is a process that is killed: the page cache stays, until the
// machine crashes while the next process recovers.
var variants = []int{0, 100, 50, 85, 20}

// breakOff ends what d is in the middle of, and examines what is left.
func (w workload) breakOff(d *disktest.Disk, b *book, variant int, rng *rand.Rand) error {
	if variant < len(variants) {
		return w.examine(d.AfterCrash(rng, variants[variant]), b, rng)
	}
	killed := d.Clone()
	if err := b.whole(killed); err != nil {
		return fmt.Errorf("before recovery: %w", err)
	}
	again, err := w.crashAgain(killed, b, rng)
	if err != nil {
		return err
	}
	return w.examine(again, b, rng)
}

// examine recovers the disk that a crash left, and checks everything.
func (w workload) examine(d *disktest.Disk, b *book, rng *rand.Rand) error {
	if err := b.whole(d); err != nil {
		return fmt.Errorf("before recovery: %w", err)
	}
	if rng.Intn(5) == 0 {
		var err error
		if d, err = w.crashAgain(d, b, rng); err != nil {
			return err
		}
	}
	s, err := w.open(d, rng)
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := b.read(s.j, d); err != nil {
		return fmt.Errorf("after recovery: %w", err)
	}
	if err := s.j.Checkpoint(context.Background()); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if st := s.j.Stats(); st.Pending > 0 || st.Stranded > 0 || st.LastTx < b.promisedTx() {
		return fmt.Errorf("after a checkpoint: %+v", st)
	}
	if err := b.read(s.j, d); err != nil {
		return fmt.Errorf("after a checkpoint: %w", err)
	}
	if err := b.published(d, s.h); err != nil {
		return fmt.Errorf("after a checkpoint: %w", err)
	}
	if err := b.kept(s.h); err != nil {
		return err
	}
	if err := s.j.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return w.recoverTwice(d, rng)
}

// promisedTx is a number that must not be given away again.
func (b *book) promisedTx() journal.TxID {
	var tx uint64
	for _, f := range b.files {
		for _, v := range f.versions[:f.promised+1] {
			tx = max(tx, v.tx)
		}
	}
	return journal.TxID(tx / spacing)
}

// crashAgain begins to recover d and crashes in the middle.
func (w workload) crashAgain(d *disktest.Disk, b *book, rng *rand.Rand) (*disktest.Disk, error) {
	d.Heal(disktest.CrashAt(1 + rng.Intn(40)))
	if s, err := w.open(d, rng); err == nil {
		_ = s.j.Close() // fails where the crash is
	} else if errors.Is(err, journal.ErrDamaged) {
		return nil, fmt.Errorf("recovery to be crashed: %w", err)
	}
	again := d.AfterCrash(rng, variants[rng.Intn(len(variants))])
	if err := b.whole(again); err != nil {
		return nil, fmt.Errorf("crash during recovery: %w", err)
	}
	return again, nil
}

// recoverTwice checks that one more recovery changes no file.
func (w workload) recoverTwice(d *disktest.Disk, rng *rand.Rand) error {
	before := visible(d)
	if left := d.Tree(".intact/staging"); len(left) > 0 {
		return fmt.Errorf("%d files are left in staging", len(left))
	}
	s, err := w.open(d, rng)
	if err != nil {
		return fmt.Errorf("second recovery: %w", err)
	}
	if err := s.j.Close(); err != nil {
		return fmt.Errorf("second recovery: %w", err)
	}
	if !maps.Equal(before, visible(d)) {
		return errors.New("a second recovery changes files")
	}
	return nil
}

// visible is all that must stay the same: users' files and the history.
func visible(d *disktest.Disk) map[string]string {
	tree := d.Tree("")
	maps.DeleteFunc(tree, func(name, _ string) bool { return strings.HasPrefix(name, ".intact/journal/") })
	return tree
}
