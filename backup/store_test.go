package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
