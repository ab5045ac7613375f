package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"syscall"
	"testing"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// versions is what a path must have: contents by number.
type versions map[uint64]string

// checkVersions wants every version of want, byte by byte, and that what
// else is there can be read. may is what is allowed beyond.
func checkVersions(t *testing.T, s *Store, path string, want, may versions) {
	t.Helper()
	for tx, w := range want {
		wantVersion(t, s, path, tx, w)
	}
	for _, e := range mustList(t, s, path) {
		if e.Removed {
			continue
		}
		w, must := want[e.Tx]
		if m, allowed := may[e.Tx]; !must && !allowed {
			t.Errorf("version %d of %s should not be there", e.Tx, path)
		} else if !must {
			w = m
		}
		got, err := readVersion(s, path, e.Tx)
		if must && err != nil || err == nil && got != w {
			t.Errorf("version %d of %s: %d bytes, %v", e.Tx, path, len(got), err)
		}
	}
}

func verifyClean(t *testing.T, s *Store) {
	t.Helper()
	rep, err := s.Verify(context.Background(), nil)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	for _, dmg := range rep.Damage {
		t.Errorf("damage: %+v", dmg)
	}
}

// scene is work whose every step is broken in turn.
type scene struct {
	// before makes the state that the work starts from, on a sound disk.
	before func(t *testing.T, s *Store)
	work   func(s *Store) error
	// after checks the state when the work is done, or has not begun, or
	// something between; done says that it returned nil.
	after func(t *testing.T, s *Store, done bool)
	// atomic: the scene needs a rename to another directory to happen as a
	// whole or not at all, which the memory disk only grants it when all or
	// nothing survives. Journaling file systems always do.
	atomic bool
}

// sweep breaks each changing operation of a scene: by a crash of which more
// or less survives, by the end of the process alone, and by errors that come
// once or for good. After each it checks, repeats the work and checks again.
func (sc scene) sweep(t *testing.T) {
	base := disktest.New(disktest.ReuseFreed())
	sc.before(t, openStore(t, base))
	t.Run("crash", func(t *testing.T) {
		for n := 1; sc.crash(t, base, n); n++ {
		}
	})
	t.Run("kill", func(t *testing.T) {
		for n := 1; sc.kill(t, base, n); n++ {
		}
	})
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for _, sticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v sticky=%v", errno, sticky), func(t *testing.T) {
				for n := 1; sc.fail(t, base, n, errno, sticky); n++ {
				}
			})
		}
	}
}

func (sc scene) crash(t *testing.T, base *disktest.Disk, n int) bool {
	t.Helper()
	d := base.Clone(disktest.CrashAt(n))
	done := sc.work(openStore(t, d)) == nil
	if !d.Crashed() && !done {
		t.Fatalf("step %d: failed without a crash", n)
	}
	rng := rand.New(rand.NewSource(int64(n)))
	percents := []int{0, 50, 50, 100}
	if sc.atomic {
		percents = []int{0, 100}
	}
	for _, percent := range percents {
		after := d.AfterCrash(rng, percent)
		s := openStore(t, after)
		sc.after(t, s, done)
		verifyClean(t, s)
		if err := sc.work(openStore(t, after)); err != nil {
			t.Errorf("step %d, %d %%: again: %v", n, percent, err)
		}
		// What the second run promised must not hang on the page cache.
		s = openStore(t, after.AfterCrash(nil, 0))
		sc.after(t, s, true)
		verifyClean(t, s)
		if t.Failed() {
			t.Fatalf("crash at step %d, %d %% survive", n, percent)
		}
	}
	return d.Crashed()
}

// kill ends the process before step n, and lets the machine crash while the
// next one does the work again: what the first left may be in the page cache
// alone.
func (sc scene) kill(t *testing.T, base *disktest.Disk, n int) bool {
	t.Helper()
	var killed, d *disktest.Disk
	d = base.Clone(disktest.Watch(func(i int, _ disk.Step) {
		if i == n {
			killed = d.Clone()
		}
	}))
	if err := sc.work(openStore(t, d)); err != nil {
		t.Fatal(err)
	}
	if killed == nil {
		return false
	}
	sc.after(t, openStore(t, killed), false)
	rng := rand.New(rand.NewSource(int64(n)))
	for m := 1; ; m++ {
		d := killed.Clone(disktest.CrashAt(m))
		done := sc.work(openStore(t, d)) == nil
		percents := []int{0, 50, 85}
		if sc.atomic {
			percents = []int{0, 100}
		}
		for _, percent := range percents {
			s := openStore(t, d.AfterCrash(rng, percent))
			sc.after(t, s, done)
			verifyClean(t, s)
			if t.Failed() {
				t.Fatalf("killed before step %d, crash at step %d, %d %% survive", n, m, percent)
			}
		}
		if !d.Crashed() {
			return true
		}
	}
}

func (sc scene) fail(t *testing.T, base *disktest.Disk, n int, errno syscall.Errno, sticky bool) bool {
	t.Helper()
	d := base.Clone(disktest.FailAt(n, errno, sticky))
	s := openStore(t, d)
	err := sc.work(s)
	if err != nil && !errors.Is(err, errno) {
		t.Errorf("step %d: got %v, want %v", n, err, errno)
	}
	sc.after(t, openStore(t, d.AfterCrash(nil, 0)), err == nil)
	sc.after(t, s, err == nil)
	failed := d.Failed()
	if !sticky {
		d.Heal()
		// The same store goes on, and what it then promises is durable.
		if err := sc.work(s); err != nil {
			t.Errorf("step %d: again: %v", n, err)
		}
		sc.after(t, s, true)
		fresh := openStore(t, d.AfterCrash(nil, 0))
		sc.after(t, fresh, true)
		verifyClean(t, fresh)
	}
	if t.Failed() {
		t.Fatalf("%v at step %d", errno, n)
	}
	return failed
}

func docs(n int) versions {
	v := versions{}
	for i := 1; i <= n; i++ {
		v[uint64(i)] = fmt.Sprintf(`{"version":%d,"text":"%s"}`, i, strings.Repeat("some words that stay ", 20+i))
	}
	return v
}

func (v versions) items(txs ...uint64) []Item {
	var items []Item
	for _, tx := range txs {
		items = append(items, item(tx, v[tx]))
	}
	return items
}

func (v versions) only(txs ...uint64) versions {
	o := versions{}
	for _, tx := range txs {
		o[tx] = v[tx]
	}
	return o
}
