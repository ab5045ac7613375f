package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"intactfs/journal/disk/disktest"
)

// largeHistory is saves of a document large enough for patches and ladders.
func largeHistory(t testing.TB, d *disktest.Disk, saves int) map[uint64]digest {
	t.Helper()
	b := newBigSeries(600 << 10)
	s := openStore(t, d)
	sums := map[uint64]digest{}
	for tx := uint64(1); tx <= uint64(saves); tx++ {
		it := bytesItem(tx, b.next(3<<10))
		it.Time = t0.Add(time.Duration(tx) * time.Minute)
		sums[tx] = it.SHA256
		mustAdd(t, s, "big", it)
	}
	return sums
}

// wantSums wants exactly the versions that keep says, byte by byte.
func wantSums(t testing.TB, s *Store, path string, sums map[uint64]digest, keep func(tx uint64) bool) {
	t.Helper()
	there := map[uint64]bool{}
	for _, e := range mustList(t, s, path) {
		there[e.Tx] = true
	}
	for tx, sum := range sums {
		if keep(tx) != there[tx] {
			t.Errorf("version %d is there: %v, want %v", tx, there[tx], keep(tx))
		}
		if !keep(tx) {
			continue
		}
		got, err := readVersion(s, path, tx)
		if err != nil || sha256.Sum256([]byte(got)) != sum {
			t.Errorf("version %d: %d bytes, %v", tx, len(got), err)
		}
	}
}

func TestCompactionOfLargeVersions(t *testing.T) {
	const saves = 36
	base := disktest.New()
	sums := largeHistory(t, base, saves)
	for _, tt := range []struct {
		name string
		keep func(tx uint64) bool
	}{
		{"every third", func(tx uint64) bool { return tx%3 == 0 }},
		{"without the keyframe", func(tx uint64) bool { return tx != 1 }},
		{"the newest half", func(tx uint64) bool { return tx > saves/2 }},
		{"the newest", func(tx uint64) bool { return tx == saves }},
		{"first and last", func(tx uint64) bool { return tx == 1 || tx == saves }},
		{"ends of runs", func(tx uint64) bool { return tx%10 == 1 || tx == saves }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := base.Clone()
			s := openStore(t, d)
			for tx := range sums {
				if tt.keep(tx) {
					if err := s.Pin("big", tx, true); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := stored(d)
			res, err := s.Expire(context.Background(), "big", Policy{}, t0, false)
			if err != nil {
				t.Fatal(err)
			}
			wantSums(t, s, "big", sums, tt.keep)
			fresh := openStore(t, d.AfterCrash(nil, 0))
			wantSums(t, fresh, "big", sums, tt.keep)
			verifyClean(t, fresh)
			if deepest := depthOf(mustList(t, fresh, "big")); deepest > 2*(maxDepth+1) {
				t.Errorf("a restore takes %d steps", deepest)
			}
			if freed := before - stored(d); freed != res.Freed {
				t.Errorf("%d bytes were freed, it says %d", freed, res.Freed)
			}
			if after := stored(d); after > before+before/10 {
				t.Errorf("%d bytes became %d", before, after)
			}
			// What is saved next hangs on what is left.
			it := bytesItem(saves+1, newBigSeries(600<<10).next(5000))
			mustAdd(t, s, "big", it)
			if got, err := readVersion(openStore(t, d), "big", saves+1); err != nil || sha256.Sum256([]byte(got)) != it.SHA256 {
				t.Errorf("the next version: %d bytes, %v", len(got), err)
			}
		})
	}
}

// A compaction that ends in the middle, anywhere, costs nothing that is kept.
func TestCompactionOfLargeVersionsBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a large history many times")
	}
	const saves = 6
	base := disktest.New()
	sums := largeHistory(t, base, saves)
	keep := func(tx uint64) bool { return tx > 3 }
	for n := 1; ; n++ {
		d := base.Clone(disktest.CrashAt(n))
		_, err := openStore(t, d).Expire(context.Background(), "big", keepLast(3), t0, false)
		if !d.Crashed() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		after := d.AfterCrash(nil, 0)
		s := openStore(t, after)
		for tx := range sums {
			if _, err := readVersion(s, "big", tx); keep(tx) && err != nil {
				t.Fatalf("crash at step %d: version %d: %v", n, tx, err)
			}
		}
		if _, err := s.Expire(context.Background(), "big", keepLast(3), t0, false); err != nil {
			t.Fatalf("crash at step %d: again: %v", n, err)
		}
		wantSums(t, s, "big", sums, keep)
	}
}

// TestRetentionWithAClock lets a file be saved, spoiled, emptied and removed
// while time goes by and retention runs under policies that change: whatever a
// plan kept is there byte by byte, after restarts and crashes, and what no
// rule may drop is never dropped.
func TestRetentionWithAClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := disktest.New()
		s := modelOpen(t, d)
		now, tx := t0, uint64(0)
		want := versions{}
		bad := map[uint64]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 40, 600, 5000, 100000}).Draw(t, "minutes")) * time.Minute)
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			default:
				tx++
				content := noise(int64(tx), rapid.SampledFrom([]int{0, 30, 2500, 2600}).Draw(t, "size"))
				it := item(tx, content)
				it.Time, it.Invalid = now, rapid.IntRange(0, 3).Draw(t, "invalid") == 0
				if err := s.Add(context.Background(), "f", []Item{it}); err != nil {
					t.Fatal(err)
				}
				want[tx], bad[tx] = content, it.Invalid
			case 0:
				if err := s.Remove("f", now, Writer{}); err != nil {
					t.Fatal(err)
				}
			case 1:
				d = d.AfterCrash(nil, 0)
				s = modelOpen(t, d)
			case 2, 3:
				retain(t, s, now, want, bad)
			}
			for tx, w := range want {
				if got, err := readVersion(s, "f", tx); err != nil || got != w {
					t.Fatalf("version %d: %d bytes, %v", tx, len(got), err)
				}
			}
		}
	})
}

// retain runs retention, dry first, and takes from want what is gone.
func retain(t *rapid.T, s *Store, now time.Time, want versions, bad map[uint64]bool) {
	p := drawPolicy(t)
	p.Forget = 0
	before, err := s.List("f")
	if err != nil {
		t.Fatal(err)
	}
	dry, err := s.Expire(context.Background(), "f", p, now, true)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Expire(context.Background(), "f", p, now, false)
	if err != nil {
		t.Fatal(err)
	}
	if dry.Dropped != res.Dropped {
		t.Fatalf("%d were dropped, the dry run said %d", res.Dropped, dry.Dropped)
	}
	kept := map[uint64]bool{}
	for _, dec := range res.Decisions {
		kept[dec.Entry.Tx] = kept[dec.Entry.Tx] || dec.Keep && !dec.Entry.Removed
	}
	var newest, good uint64
	for i := range before {
		if e := &before[i]; !e.Removed {
			newest = e.Tx
			if !bad[e.Tx] {
				good = e.Tx
			}
		}
	}
	if len(before) > 0 && !before[len(before)-1].Removed && !kept[newest] || good != 0 && !kept[good] {
		t.Fatalf("the newest, %d, or the last known good version, %d, is not kept", newest, good)
	}
	for tx := range want {
		if kept[tx] {
			continue
		}
		if _, err := readVersion(s, "f", tx); !errors.Is(err, ErrNotFound) {
			t.Fatalf("version %d was dropped: %v", tx, err)
		}
		delete(want, tx)
	}
}
