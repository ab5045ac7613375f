package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/bench/result"
)

// The daemon publishes two seconds after a save: who has not flushed for longer
// than that has nothing left to do.
const (
	restFor  = 2500 * time.Millisecond
	restMost = time.Minute
)

// account counts the flushes that each contender causes, where there is a disk
// that counts.
type account struct {
	disk *flushDisk
	root string
	rows map[string]*result.Flushes
	all  flushes // of those that saved
}

// accountOf is nil where nothing counts.
func (p *place) accountOf() *account {
	if p.fresh == nil || p.fresh.disk == nil {
		return nil
	}
	return &account{disk: p.fresh.disk, root: p.root, rows: map[string]*result.Flushes{}}
}

// count makes a variant of ops operations one that is counted. Who goes on
// behind the operations is waited for; then everything is synced, so that no
// contender flushes what another one left.
func (a *account) count(ctx context.Context, v variant, ops int, behind bool) variant {
	if a == nil {
		return v
	}
	sum := &result.Flushes{}
	a.rows[v.name] = sum
	return variant{v.name, func(round int) (time.Duration, error) {
		before, err := a.disk.flushes()
		if err != nil {
			return 0, err
		}
		took, err := v.once(round)
		if err != nil {
			return 0, err
		}
		after, err := a.disk.flushes()
		if err != nil {
			return 0, err
		}
		rested := after
		if behind {
			if rested, err = a.rest(ctx); err != nil {
				return 0, err
			}
		}
		if round > 0 { // the first is not counted
			perThousand := 1000 / float64(ops)
			sum.During = append(sum.During, float64(after.count-before.count)*perThousand)
			sum.Behind = append(sum.Behind, float64(rested.count-after.count)*perThousand)
			a.all.count += after.count - before.count
			a.all.took += after.took - before.took
		}
		return took, syncAll(a.root)
	}}
}

// rest waits until nobody flushes any more.
func (a *account) rest(ctx context.Context) (flushes, error) {
	last, err := a.disk.flushes()
	since := time.Now()
	for end := since.Add(restMost); err == nil && time.Since(since) < restFor && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		var now flushes
		if now, err = a.disk.flushes(); now.count != last.count {
			last, since = now, time.Now()
		}
	}
	return last, err
}

// enter puts what was counted into the rows of a result.
func (a *account) enter(r *result.Result) {
	if a == nil {
		return
	}
	for i := range r.Rows {
		r.Rows[i].Flushes = a.rows[r.Rows[i].Variant]
	}
	if a.all.count > 0 {
		mean := a.all.took / time.Duration(a.all.count)
		r.Notes = append(r.Notes, fmt.Sprintf("a flush took %v on average", mean.Round(10*time.Microsecond)))
	}
}

// syncAll writes out what the file system at dir still holds.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // nothing was written
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
