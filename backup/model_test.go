package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"intactfs/journal/disk/disktest"
)

// model is what a Store must do, done simply.
type model struct {
	tx    uint64
	paths map[string]versions
	pins  map[string]map[uint64]bool
}

// TestStoreAgainstModel does random things to a store, restarts and crashes
// included, and wants every version byte by byte after each.
func TestStoreAgainstModel(t *testing.T) {
	paths := []string{"a", "b", "a/x", "a/y.json", "a/d/z", "b/x", "a.versions/x", "c"}
	rapid.Check(t, func(t *rapid.T) {
		d := disktest.New()
		s := modelOpen(t, d)
		m := &model{paths: map[string]versions{}, pins: map[string]map[uint64]bool{}}
		path := rapid.SampledFrom(paths)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch p := path.Draw(t, "path"); rapid.IntRange(0, 9).Draw(t, "what") {
			default:
				m.add(t, s, p)
			case 0:
				s = modelOpen(t, d)
			case 1:
				d = d.AfterCrash(nil, 0)
				s = modelOpen(t, d)
			case 2:
				m.move(t, s, p, path.Draw(t, "to"))
			case 3:
				m.expire(t, s, p)
			case 4:
				m.pin(t, s, p)
			case 5:
				if err := s.Remove(p, t0, Writer{}); err != nil {
					t.Fatal(err)
				}
			}
			m.check(t, s)
		}
		s = modelOpen(t, d.AfterCrash(nil, 0))
		m.check(t, s)
		rep, err := s.Verify(context.Background(), nil)
		if err != nil || len(rep.Damage) > 0 {
			t.Fatalf("verify: %+v, %v", rep.Damage, err)
		}
	})
}

func modelOpen(t *rapid.T, d *disktest.Disk) *Store {
	s, err := Open(d, Options{CacheBytes: 20000})
	if err != nil {
		t.Fatal(err)
	}
	s.packSize = rapid.SampledFrom([]int64{1000, 5000, defaultPackSize}).Draw(t, "pack size")
	return s
}

func (m *model) add(t *rapid.T, s *Store, path string) {
	var items []Item
	v := m.paths[path]
	if v == nil {
		v = versions{}
		m.paths[path] = v
	}
	for range rapid.IntRange(1, 12).Draw(t, "batch") {
		m.tx++
		size := rapid.SampledFrom([]int{0, 1, 50, 400, 3000}).Draw(t, "size")
		content := noise(int64(m.tx), min(size, 20)) + strings.Repeat(fmt.Sprintf("the text of %s, ", path), size/20)
		items = append(items, item(m.tx, content))
		v[m.tx] = content
	}
	if err := s.Add(context.Background(), path, items); err != nil {
		t.Fatal(err)
	}
}

// move changes a path and all below it.
func (m *model) move(t *rapid.T, s *Store, old, new string) {
	err := s.Moved(old, new)
	if strings.HasPrefix(new, old+"/") {
		if !errors.Is(err, ErrBadPath) {
			t.Fatalf("move %s to %s: %v", old, new, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if old == new {
		return
	}
	moved := map[string]string{}
	for p := range m.paths {
		if p == old || strings.HasPrefix(p, old+"/") {
			moved[p] = new + strings.TrimPrefix(p, old)
		}
	}
	for from, to := range moved {
		v, pins := m.paths[from], m.pins[from]
		delete(m.paths, from)
		delete(m.pins, from)
		m.into(to, v, pins)
	}
}

func (m *model) into(path string, v versions, pins map[uint64]bool) {
	if m.paths[path] == nil {
		m.paths[path] = versions{}
	}
	maps.Copy(m.paths[path], v)
	if m.pins[path] == nil {
		m.pins[path] = map[uint64]bool{}
	}
	maps.Copy(m.pins[path], pins)
}

func (m *model) expire(t *rapid.T, s *Store, path string) {
	p := keepLast(rapid.IntRange(0, 6).Draw(t, "last"))
	p.Slack = rapid.SampledFrom([]float64{0, 0, 0.5}).Draw(t, "slack")
	before, err := s.List(path)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Expire(context.Background(), path, p, t0.Add(time.Hour), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, dec := range res.Decisions {
		if dec.Entry.Pinned != m.pins[path][dec.Entry.Tx] && !dec.Entry.Removed {
			t.Fatalf("version %d of %s: pinned is %v", dec.Entry.Tx, path, dec.Entry.Pinned)
		}
	}
	after, err := s.List(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(before)-len(after) != res.Dropped {
		t.Fatalf("%d entries became %d, with %d dropped", len(before), len(after), res.Dropped)
	}
	if p.Slack == 0 && len(after) != len(kept(res.Decisions)) {
		t.Fatalf("%d entries are left, %d were kept", len(after), len(kept(res.Decisions)))
	}
	for _, dec := range res.Decisions {
		left := slices.ContainsFunc(after, func(e Entry) bool {
			return e.Tx == dec.Entry.Tx && e.Removed == dec.Entry.Removed
		})
		if dec.Keep && !left {
			t.Fatalf("version %d was kept and is gone", dec.Entry.Tx)
		}
		if !left && !dec.Entry.Removed {
			delete(m.paths[path], dec.Entry.Tx)
		}
	}
	if p.Slack > 0 {
		return
	}
	if res, err := s.Expire(context.Background(), path, p, t0.Add(time.Hour), false); err != nil || res.Dropped > 0 {
		t.Fatalf("again: dropped %d, %v", res.Dropped, err)
	}
}

func (m *model) pin(t *rapid.T, s *Store, path string) {
	txs := slices.Sorted(maps.Keys(m.paths[path]))
	if len(txs) == 0 {
		if err := s.Pin(path, 1, true); !errors.Is(err, ErrNotFound) {
			t.Fatalf("pin nothing: %v", err)
		}
		return
	}
	tx := rapid.SampledFrom(txs).Draw(t, "tx")
	on := rapid.Bool().Draw(t, "on")
	if err := s.Pin(path, tx, on); err != nil {
		t.Fatal(err)
	}
	m.into(path, nil, map[uint64]bool{tx: on})
}

func (m *model) check(t *rapid.T, s *Store) {
	var paths []string
	for p, v := range m.paths {
		if len(v) > 0 {
			paths = append(paths, p)
		}
		entries, err := s.List(p)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, e := range entries {
			if !e.Removed {
				got = append(got, e.Tx)
			}
		}
		if want := slices.Sorted(maps.Keys(v)); !slices.Equal(got, want) {
			t.Fatalf("%s has versions %v, want %v", p, got, want)
		}
		for tx, want := range v {
			if got, err := readVersion(s, p, tx); err != nil || got != want {
				t.Fatalf("version %d of %s: %d bytes, %v", tx, p, len(got), err)
			}
		}
	}
	slices.Sort(paths)
	if got, err := s.Paths(""); err != nil || !slices.Equal(got, paths) {
		t.Fatalf("paths are %v, %v; want %v", got, err, paths)
	}
}
