package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

func TestEntryIsWhatWasAdded(t *testing.T) {
	d := disktest.New()
	it := item(9, "content")
	it.Attr.Xattrs = map[string][]byte{"user.a": {1, 0, 2}}
	it.Attr.Mtime, it.Attr.Mode = t0.Add(5), 0o4751
	it.Base, it.Note, it.Invalid = 7, "a note", true
	mustAdd(t, openStore(t, d), "f", it)
	got, ok, err := openStore(t, d).Newest("f")
	if err != nil || !ok {
		t.Fatalf("newest: %v, %v", ok, err)
	}
	want := Entry{
		Tx: 9, Time: it.Time, Size: 7, SHA256: it.SHA256, Attr: it.Attr, Base: 7, PID: 42, UID: 1000,
		Program: "python3", Note: "a note", Invalid: true, Pack: ".intact/history/f.versions/0001.zst",
	}
	want.Attr.Atime = want.Attr.Mtime
	got.Stored = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAddRefusesItemsAndKeepsTheOthers(t *testing.T) {
	v := docs(9)
	wrongSum, short, long := item(2, v[2]), item(3, v[3]), item(4, v[4])
	wrongSum.SHA256[0]++
	short.Size++
	long.Size--
	broken := item(5, v[5])
	broken.Content = brokenReader{}
	conflict := item(1, v[9])
	noTx := item(0, v[6])
	s := openStore(t, disktest.New())
	mustAdd(t, s, "f", v.items(1)...)
	for _, tt := range []struct {
		name string
		item Item
		want error
	}{
		{"wrong digest", wrongSum, ErrMismatch},
		{"too short", short, ErrMismatch},
		{"too long", long, ErrMismatch},
		{"unreadable", broken, errBroken},
		{"taken number", conflict, ErrConflict},
		{"no number", noTx, ErrMismatch},
		{"no content", Item{Tx: 8}, ErrMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Add(context.Background(), "f", []Item{item(6, v[6]), tt.item, item(7, v[7])})
			var itemErr *ItemError
			if !errors.Is(err, tt.want) || !errors.As(err, &itemErr) || itemErr.Tx != tt.item.Tx || itemErr.Path != "f" {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			checkVersions(t, s, "f", v.only(1, 6, 7), nil)
		})
	}
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

func TestAddTwiceInOneBatch(t *testing.T) {
	v := docs(3)
	s := openStore(t, disktest.New())
	mustAdd(t, s, "f", v.items(1, 2, 2, 1, 3)...)
	if n := len(mustList(t, s, "f")); n != 3 {
		t.Errorf("got %d entries, want 3", n)
	}
	err := s.Add(context.Background(), "g", []Item{item(1, "x"), item(1, "y")})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

func TestAddCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := openStore(t, disktest.New())
	if err := s.Add(ctx, "f", docs(2).items(1, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestOneSyncForABatch(t *testing.T) {
	v := docs(9)
	d := disktest.New()
	s := openStore(t, d)
	mustAdd(t, s, "a/f", v.items(1)...)
	before := len(d.Steps())
	mustAdd(t, s, "a/f", v.items(2, 3, 4, 5, 6, 7, 8, 9)...)
	want := []disk.Step{"history:open", "history:append", "history:sync"}
	if diff := cmp.Diff(want, d.Steps()[before:]); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestTombstonesAndAt(t *testing.T) {
	v := docs(4)
	d := disktest.New()
	s := openStore(t, d)
	at := func(minute int) time.Time { return t0.Add(time.Duration(minute) * time.Minute) }
	mustAdd(t, s, "f", v.items(1, 2)...)
	for range 2 { // the second has nothing to end
		if err := s.Remove("f", at(3), Writer{1, 2, "rm"}); err != nil {
			t.Fatal(err)
		}
	}
	mustAdd(t, s, "f", v.items(4)...)
	if err := s.Remove("other", t0, Writer{}); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, d)
	for _, tt := range []struct {
		minute  int
		tx      uint64
		removed bool
	}{{0, 0, false}, {1, 1, false}, {2, 2, false}, {3, 2, true}, {4, 4, false}, {99, 4, false}} {
		e, ok, err := s.At("f", at(tt.minute))
		if err != nil || ok != (tt.tx != 0) || e.Tx != tt.tx || e.Removed != tt.removed {
			t.Errorf("minute %d: got version %d, removed %v, %v, %v; want %+v", tt.minute, e.Tx, e.Removed, ok, err, tt)
		}
	}
	wantVersion(t, s, "f", 2, v[2])
	entries := mustList(t, s, "f")
	if len(entries) != 4 || entries[2].Program != "rm" || entries[2].UID != 2 {
		t.Errorf("got %+v", entries)
	}
}

func TestReadOnly(t *testing.T) {
	v := docs(2)
	d := disktest.New()
	mustAdd(t, openStore(t, d), "f", v.items(1, 2)...)
	before := len(d.Steps())
	s, err := Open(d, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	_, refuseErr := refuse(s, "f", t0, "x")
	_, expireErr := s.Expire(context.Background(), "f", Policy{}, t0, false)
	for name, err := range map[string]error{
		"add": s.Add(context.Background(), "f", v.items(1)), "remove": s.Remove("f", t0, Writer{}),
		"pin": s.Pin("f", 1, true), "move": s.Moved("f", "g"), "refuse": refuseErr, "expire": expireErr,
		"drop": s.DropRejected("f@0123456789abcdef"),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: got %v, want ErrReadOnly", name, err)
		}
	}
	wantVersion(t, s, "f", 1, v[1])
	if res, err := s.Expire(context.Background(), "f", Policy{}, t0, true); err != nil || res.Dropped != 1 {
		t.Errorf("dry expire: %+v, %v", res, err)
	}
	if n := len(d.Steps()); n != before {
		t.Errorf("the disk was changed: %v", d.Steps()[before:])
	}
}

func TestBadPaths(t *testing.T) {
	s := openStore(t, disktest.New())
	for _, p := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\x00b"} {
		_, _, newestErr := s.Newest(p)
		for name, err := range map[string]error{
			"add": s.Add(context.Background(), p, nil), "newest": newestErr,
			"move": s.Moved("a", p), "pin": s.Pin(p, 1, true),
		} {
			if !errors.Is(err, ErrBadPath) {
				t.Errorf("%s %q: got %v, want ErrBadPath", name, p, err)
			}
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	s := openStore(t, disktest.New())
	mustAdd(t, s, "f", docs(1).items(1)...)
	for _, tt := range []struct {
		path string
		tx   uint64
	}{{"f", 2}, {"f", 0}, {"g", 1}, {"f/g", 1}} {
		if _, err := s.Open(context.Background(), tt.path, tt.tx); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s %d: got %v, want ErrNotFound", tt.path, tt.tx, err)
		}
	}
}

func TestReadDir(t *testing.T) {
	s := openStore(t, disktest.New())
	long := strings.Repeat("ü", 125)
	for i, p := range []string{"a", "a/b", "a/c/d", "x.versions/f", "more.more", long, long + "/" + long} {
		mustAdd(t, s, p, item(uint64(i+1), p))
	}
	for dir, want := range map[string][]Name{
		"":  {{"a", true, true}, {"more.more", true, false}, {"x.versions", false, true}, {long, true, true}},
		"a": {{"b", true, false}, {"c", false, true}}, "a/c": {{"d", true, false}},
		"x.versions": {{"f", true, false}}, long: {{long, true, false}}, "none": {}, "a/b": {},
	} {
		got, err := s.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", dir, diff)
		}
	}
	if got, err := s.Paths("a"); err != nil || !cmp.Equal(got, []string{"a/b", "a/c/d"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestLayoutIsOneToOne maps random paths to the disk and back.
func TestLayoutIsOneToOne(t *testing.T) {
	elements := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b.versions", "b.versions=", "b.more", "b.more==", "=", ".versions", ".more"}),
		rapid.StringMatching(`[a-c.=]{230,247}(\.more|\.versions)?`),
		rapid.StringMatching(`[a-cü]{100,120}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]string{}
		d := disktest.New()
		s, err := Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for i := range 6 {
			parts := rapid.SliceOfN(elements, 1, 3).Draw(t, "parts")
			path := strings.Join(parts, "/")
			if checkPath(path) != nil {
				continue
			}
			dir := historyLayout.file(path)
			if other, ok := seen[dir]; ok && other != path {
				t.Fatalf("%q and %q share %s", path, other, dir)
			}
			seen[dir] = path
			for _, e := range strings.Split(dir, "/") {
				if len(e) > 255 || e == "" {
					t.Fatalf("element of %d bytes", len(e))
				}
			}
			if err := s.Add(context.Background(), path, []Item{item(uint64(i+1), path)}); err != nil {
				t.Fatal(err)
			}
			want[path] = true
		}
		got, err := s.Paths("")
		if err != nil || len(got) != len(want) {
			t.Fatalf("got %q, %v; want %v", got, err, want)
		}
		for _, p := range got {
			if !want[p] {
				t.Fatalf("%q was not added", p)
			}
		}
	})
}

func TestExpireHeld(t *testing.T) {
	v := docs(5)
	for _, tt := range []struct {
		name   string
		policy Policy
		before func(t *testing.T, s *Store)
		held   bool
	}{
		{"free", Policy{Last: 1}, nil, false},
		{"asked", Policy{Last: 1, Hold: true}, nil, true},
		{"disk nearly full", Policy{Last: 1, MinFree: 1 << 20}, nil, true},
		{"burst", Policy{Last: 1, Burst: 3}, func(t *testing.T, s *Store) {
			for i := range 3 {
				mustRefuse(t, s, "f", t0.Add(time.Duration(i)*time.Minute), fmt.Sprint(i))
			}
		}, true},
		{"the same again", Policy{Last: 1, Burst: 3}, func(t *testing.T, s *Store) {
			for i := range 3 {
				mustRefuse(t, s, "f", t0.Add(time.Duration(i)*time.Second), "x")
			}
		}, true},
		{"burst long ago", Policy{Last: 1, Burst: 3}, func(t *testing.T, s *Store) {
			for i := range 3 {
				mustRefuse(t, s, "f", t0.Add(-2*time.Hour), fmt.Sprint(i))
			}
		}, false},
		{"burst elsewhere", Policy{Last: 1, Burst: 1}, func(t *testing.T, s *Store) { mustRefuse(t, s, "g", t0, "x") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t, disktest.New(disktest.Capacity(1<<20)))
			mustAdd(t, s, "f", v.items(1, 2, 3, 4, 5)...)
			if tt.before != nil {
				tt.before(t, s)
			}
			res, err := s.Expire(context.Background(), "f", tt.policy, t0.Add(5*time.Minute), false)
			if errors.Is(err, ErrHeld) != tt.held || !tt.held && err != nil {
				t.Fatalf("got %v, want held %v", err, tt.held)
			}
			want := 1
			if tt.held {
				want = 5
			}
			if n := len(mustList(t, s, "f")); n != want || res.Dropped != 5-want {
				t.Errorf("%d are left, %d dropped; want %d", n, res.Dropped, want)
			}
		})
	}
}

func TestExpireFreesSpace(t *testing.T) {
	series := newBigSeries(300 << 10)
	d := disktest.New()
	s := openStore(t, d)
	want := versions{}
	for tx := uint64(1); tx <= 40; tx++ {
		doc := series.next(2000)
		want[tx] = string(doc)
		mustAdd(t, s, "f", bytesItem(tx, doc))
	}
	before := stored(d)
	dry, err := s.Expire(context.Background(), "f", keepLast(2), t0, true)
	if err != nil || dry.Dropped != 38 || stored(d) != before {
		t.Fatalf("dry: dropped %d, %v", dry.Dropped, err)
	}
	res, err := s.Expire(context.Background(), "f", keepLast(2), t0, false)
	if err != nil || res.Dropped != 38 || res.Freed != before-stored(d) || res.Freed <= 0 {
		t.Errorf("dropped %d, freed %d of %d, %v", res.Dropped, res.Freed, before-stored(d), err)
	}
	mustAdd(t, s, "f", bytesItem(41, series.next(100)))
	for _, s := range []*Store{s, openStore(t, d)} {
		wantVersion(t, s, "f", 39, want[39])
		wantVersion(t, s, "f", 40, want[40])
		if n := len(mustList(t, s, "f")); n != 3 {
			t.Errorf("%d entries are left, want 3", n)
		}
	}
	verifyClean(t, openStore(t, d))
}

func TestSlackPutsOffRewriting(t *testing.T) {
	v := docs(20)
	d := disktest.New()
	s := openStore(t, d)
	for tx := range uint64(20) {
		mustAdd(t, s, "f", v.items(tx+1)...)
		p := keepLast(5)
		p.Slack = 0.75
		if _, err := s.Expire(context.Background(), "f", p, t0, false); err != nil {
			t.Fatal(err)
		}
		entries := mustList(t, s, "f")
		newest := []uint64{}
		for _, e := range entries[max(0, len(entries)-5):] {
			newest = append(newest, e.Tx)
		}
		if len(newest) != min(5, int(tx)+1) || newest[len(newest)-1] != tx+1 {
			t.Fatalf("after %d: the newest are %v", tx+1, newest)
		}
	}
	rewritten := 0
	for _, step := range d.Steps() {
		if step == "expire:rename" {
			rewritten++
		}
	}
	if rewritten == 0 || rewritten > 5 {
		t.Errorf("rewritten %d times in 20 saves", rewritten)
	}
}

func TestLargeContentIsStreamed(t *testing.T) {
	const size = largeContent + 12345
	pattern := make([]byte, size)
	for off := 0; off < size; off += 1 << 16 {
		pattern[off] = byte(off >> 16)
	}
	it := bytesItem(2, pattern)
	d := disktest.New()
	s := openStore(t, d)
	mustAdd(t, s, "f", item(1, "before"), it, item(3, "after"))
	wrong := it
	wrong.Tx, wrong.SHA256[0] = 4, wrong.SHA256[0]+1
	if err := s.Add(context.Background(), "f", []Item{wrong, item(5, "more")}); !errors.Is(err, ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	s = openStore(t, d)
	checkVersions(t, s, "f", versions{1: "before", 3: "after", 5: "more"}, versions{2: string(pattern)})
	if _, err := s.Expire(context.Background(), "f", keepLast(3), t0, false); err != nil {
		t.Fatal(err)
	}
	c, err := s.Open(context.Background(), "f", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p := make([]byte, 1000)
	for _, off := range []int64{0, 5 << 16, 1 << 16, size - 1000, 7} {
		if _, err := c.ReadAt(p, off); err != nil || !bytes.Equal(p, pattern[off:off+1000]) {
			t.Errorf("at %d: other bytes, %v", off, err)
		}
	}
	if n, err := c.ReadAt(p, size-10); n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := c.ReadAt(p, size); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	ctx := context.Background()
	var wg sync.WaitGroup
	work := func(f func(i int) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 20 {
				if err := f(i); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for _, p := range []string{"a", "a/b", "c", "d/e"} {
		work(func(i int) error { return s.Add(ctx, p, []Item{item(uint64(i+1), fmt.Sprint(p, i))}) })
		work(func(int) error { _, err := s.Expire(ctx, p, keepLast(30), t0, false); return err })
	}
	work(func(i int) error { _, err := refuse(s, "a", t0, fmt.Sprint(i%3)); return err })
	work(func(int) error { _, err := s.Paths(""); return err })
	work(func(int) error { _, err := s.Verify(ctx, nil); return err })
	work(func(int) error { return s.Moved("m", "n") })
	wg.Wait()
	for _, p := range []string{"a", "a/b", "c", "d/e"} {
		for i := range 20 {
			wantVersion(t, openStore(t, d), p, uint64(i+1), fmt.Sprint(p, i))
		}
	}
}
