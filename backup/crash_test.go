package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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

func TestAddBroken(t *testing.T) {
	v := docs(6)
	add := func(path string, txs ...uint64) func(*Store) error {
		return func(s *Store) error { return s.Add(context.Background(), path, v.items(txs...)) }
	}
	t.Run("first", func(t *testing.T) {
		scene{
			before: func(*testing.T, *Store) {},
			work:   add("a/b/f", 1, 2, 3),
			after: func(t *testing.T, s *Store, done bool) {
				if done {
					checkVersions(t, s, "a/b/f", v.only(1, 2, 3), nil)
				} else {
					checkVersions(t, s, "a/b/f", nil, v)
				}
			},
		}.sweep(t)
	})
	t.Run("more", func(t *testing.T) {
		scene{
			before: func(t *testing.T, s *Store) { mustAdd(t, s, "f", v.items(1, 2, 3)...) },
			work:   add("f", 3, 4, 5, 6),
			after: func(t *testing.T, s *Store, done bool) {
				if done {
					checkVersions(t, s, "f", v, nil)
				} else {
					checkVersions(t, s, "f", v.only(1, 2, 3), v)
				}
			},
		}.sweep(t)
	})
}

// incompressible contents fill packs quickly.
func noise(seed int64, size int) string {
	p := make([]byte, size)
	_, _ = rand.New(rand.NewSource(seed)).Read(p)
	return string(p)
}

func TestAddAcrossPacksBroken(t *testing.T) {
	v := versions{}
	for i := range uint64(3) {
		v[i+1] = noise(int64(i), 9000)
	}
	scene{
		before: func(t *testing.T, s *Store) { mustAdd(t, s, "f", v.items(1)...) },
		work: func(s *Store) error {
			s.packSize = 10000
			return s.Add(context.Background(), "f", v.items(2, 3))
		},
		after: func(t *testing.T, s *Store, done bool) {
			if done {
				checkVersions(t, s, "f", v, nil)
				if n := len(packsOf(t, s, "f")); n < 3 {
					t.Errorf("%d packs, want one for each", n)
				}
			} else {
				checkVersions(t, s, "f", v.only(1), v)
			}
		},
	}.sweep(t)
}

func packsOf(t *testing.T, s *Store, path string) map[string]bool {
	packs := map[string]bool{}
	for _, e := range mustList(t, s, path) {
		packs[e.Pack] = true
	}
	return packs
}

func TestRemoveAndPinBroken(t *testing.T) {
	v := docs(2)
	scene{
		before: func(t *testing.T, s *Store) { mustAdd(t, s, "f", v.items(1, 2)...) },
		work: func(s *Store) error {
			if err := s.Pin("f", 1, true); err != nil {
				return err
			}
			return s.Remove("f", t0.Add(time.Hour), Writer{1, 2, "rm"})
		},
		after: func(t *testing.T, s *Store, done bool) {
			checkVersions(t, s, "f", v, nil)
			entries := mustList(t, s, "f")
			if done && (len(entries) != 3 || !entries[2].Removed || !entries[0].Pinned || entries[1].Pinned) {
				t.Errorf("got %+v", entries)
			}
		},
	}.sweep(t)
}

// keepLast is a policy that keeps the newest n and nothing else on purpose.
func keepLast(n int) Policy { return Policy{Last: n} }

func TestExpireBroken(t *testing.T) {
	v := docs(12)
	all := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	scene{
		before: func(t *testing.T, s *Store) {
			// Three packs: two that an older process could not go on with.
			for part := range slices.Chunk(all, 4) {
				mustAdd(t, s, "f", v.items(part...)...)
				h, err := s.load("f")
				if err != nil {
					t.Fatal(err)
				}
				h.tail = nil
			}
			if err := s.Pin("f", 2, true); err != nil {
				t.Fatal(err)
			}
		},
		work: func(s *Store) error {
			_, err := s.Expire(context.Background(), "f", keepLast(3), t0, false)
			return err
		},
		after: func(t *testing.T, s *Store, done bool) {
			// What was dropped may come back with a crash: nobody relies on
			// its absence.
			checkVersions(t, s, "f", v.only(2, 10, 11, 12), v)
		},
	}.sweep(t)
}

func TestExpireAllBroken(t *testing.T) {
	v := docs(3)
	scene{
		before: func(t *testing.T, s *Store) {
			mustAdd(t, s, "d/f", v.items(1, 2, 3)...)
			if err := s.Remove("d/f", t0, Writer{}); err != nil {
				t.Fatal(err)
			}
		},
		work: func(s *Store) error {
			_, err := s.Expire(context.Background(), "d/f", Policy{Forget: time.Hour}, t0.Add(time.Hour), false)
			return err
		},
		after: func(t *testing.T, s *Store, done bool) {
			if n := len(mustList(t, s, "d/f")); n > 4 {
				t.Errorf("%d entries are left", n)
			}
		},
	}.sweep(t)
}

func TestMovedBroken(t *testing.T) {
	v := docs(6)
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, s *Store)
		old    string
		new    string
		have   map[string]versions // below new, in the end
	}{
		{"file", func(t *testing.T, s *Store) { mustAdd(t, s, "a", v.items(1, 2)...) },
			"a", "x/y/b", map[string]versions{"x/y/b": v.only(1, 2)}},
		{"file onto another", func(t *testing.T, s *Store) {
			mustAdd(t, s, "a", v.items(1, 4)...)
			mustAdd(t, s, "b", v.items(2, 3)...)
			if err := errors.Join(s.Pin("a", 4, true), s.Pin("b", 2, true)); err != nil {
				t.Fatal(err)
			}
		}, "a", "b", map[string]versions{"b": v.only(1, 2, 3, 4)}},
		{"tree", func(t *testing.T, s *Store) {
			mustAdd(t, s, "a/f", v.items(1)...)
			mustAdd(t, s, "a/d/g", v.items(2)...)
		}, "a", "z/b", map[string]versions{"z/b/f": v.only(1), "z/b/d/g": v.only(2)}},
		{"tree into another", func(t *testing.T, s *Store) {
			mustAdd(t, s, "a/f", v.items(1)...)
			mustAdd(t, s, "a/d/g", v.items(2)...)
			mustAdd(t, s, "b/f", v.items(3)...)
			mustAdd(t, s, "b/h", v.items(4)...)
			mustAdd(t, s, "a", v.items(5)...)
		}, "a", "b", map[string]versions{"b/f": v.only(1, 3), "b/d/g": v.only(2), "b/h": v.only(4), "b": v.only(5)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene{
				atomic: true,
				before: tt.before,
				work:   func(s *Store) error { return s.Moved(tt.old, tt.new) },
				after: func(t *testing.T, s *Store, done bool) {
					for path, want := range tt.have {
						checkMoved(t, s, tt.old+strings.TrimPrefix(path, tt.new), path, want, done)
					}
				},
			}.sweep(t)
		})
	}
}

// checkMoved wants each version below one of two paths; below the new one
// when the move is done.
func checkMoved(t *testing.T, s *Store, was, is string, want versions, done bool) {
	t.Helper()
	for tx, w := range want {
		got, err := readVersion(s, is, tx)
		if !done && errors.Is(err, ErrNotFound) {
			got, err = readVersion(s, was, tx)
		}
		if err != nil || got != w {
			t.Errorf("version %d of %s or %s: %d bytes, %v", tx, was, is, len(got), err)
		}
	}
}

func TestRefuseBroken(t *testing.T) {
	scene{
		before: func(t *testing.T, s *Store) { mustRefuse(t, s, "d/f", t0, `{"old":`) },
		work: func(s *Store) error {
			for i := range 3 {
				if _, err := refuse(s, "d/f", t0.Add(time.Duration(i)*time.Minute), fmt.Sprintf(`{"n":%d`, i%2)); err != nil {
					return err
				}
			}
			return s.Close()
		},
		after: func(t *testing.T, s *Store, done bool) {
			list, err := s.Rejected("d/f")
			if err != nil {
				t.Errorf("list: %v", err)
			}
			got := map[string]bool{}
			for _, r := range list {
				got[readRejected(t, s, r.ID)] = true
			}
			for _, want := range []string{`{"old":`, `{"n":0`, `{"n":1`} {
				if !got[want] && (done || want == `{"old":`) {
					t.Errorf("%s is not in quarantine", want)
				}
			}
		},
	}.sweep(t)
}

func TestReadErrorsReachTheCaller(t *testing.T) {
	v := docs(4)
	base := disktest.New()
	mustAdd(t, openStore(t, base), "f", v.items(1, 2, 3)...)
	for n := 1; ; n++ {
		d := base.Clone(disktest.FailReadAt(n, syscall.EIO, false))
		s := openStore(t, d)
		entries, listErr := s.List("f")
		got, openErr := readVersion(s, "f", 3)
		addErr := s.Add(context.Background(), "f", v.items(4))
		if !d.Failed() {
			return
		}
		for _, err := range []error{listErr, openErr, addErr} {
			if err != nil && !errors.Is(err, syscall.EIO) {
				t.Errorf("read %d: got %v, want EIO", n, err)
			}
		}
		if listErr == nil && len(entries) != 3 {
			t.Errorf("read %d: %d entries and no error", n, len(entries))
		}
		if openErr == nil && got != v[3] {
			t.Errorf("read %d: other content and no error", n)
		}
		fresh := openStore(t, d.AfterCrash(nil, 0))
		want := v.only(1, 2, 3)
		if addErr == nil {
			want = v
		}
		checkVersions(t, fresh, "f", want, v)
		if t.Failed() {
			t.Fatalf("at read %d", n)
		}
	}
}
