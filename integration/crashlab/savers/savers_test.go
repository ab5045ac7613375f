package savers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/ledger"
)

// TestWaysSave: without a crash, every way leaves exactly the version it was
// asked for, over a longer and over a shorter one, and over none.
func TestWaysSave(t *testing.T) {
	for _, way := range slices.Sorted(maps.Keys(Ways)) {
		t.Run(way, func(t *testing.T) {
			dir, name, steps := t.TempDir(), "small.json", 0
			if strings.HasPrefix(way, "append") {
				name = "lines.jsonl"
			}
			for n := 1; n < 15; n++ {
				if err := Ways[way](dir, name, n, func() { steps++ }); err != nil {
					t.Fatal(err)
				}
				content, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := ledger.Identify(name, content); got != n || err != nil {
					t.Fatalf("after version %d: got %d, %v", n, got, err)
				}
			}
			if steps == 0 && name == "small.json" {
				t.Error("the way has no step to force writeback at")
			}
			if names, err := os.ReadDir(dir); len(names) != 1 {
				t.Errorf("left %v, %v", names, err)
			}
		})
	}
}

// book takes marks as a log does.
type book struct {
	mu  sync.Mutex
	ops []blocklog.Op
}

func (b *book) mark(label string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ops = append(b.ops, blocklog.Op{Kind: blocklog.Mark, Label: label})
	return nil
}

func testWorkload(seed uint64) Workload {
	return Workload{Saves: 9, Seed: seed, Files: []File{
		{Name: "small-a.json", Ways: []string{"truncate", "rename", Remove}},
		{Name: "small-b.json", Ways: []string{Remove, "overwrite"}, New: true},
		{Name: "lines.jsonl", Ways: []string{"append"}},
	}}
}

func TestWorkloadMarksWhatItDoes(t *testing.T) {
	dir, b, w := t.TempDir(), &book{}, testWorkload(1)
	err := errors.Join(w.Plant(dir, b.mark), b.mark(ledger.Begin),
		w.Run(context.Background(), b.mark, InDir(dir, func() {})))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Read(b.ops)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range l.Events {
		count[e.File]++
		if e.Acked <= e.Started {
			t.Errorf("%+v was never acknowledged", e)
		}
		if e.Number != count[e.File] {
			t.Errorf("%+v is the change number %d of its file", e, count[e.File])
		}
	}
	if want := map[string]int{"small-a.json": 10, "small-b.json": 9, "lines.jsonl": 10}; !maps.Equal(count, want) {
		t.Errorf("changes: got %v, want %v", count, want)
	}
	for name, a := range l.After(len(b.ops)) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err := a.Check(name, content, err == nil); err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
}

// TestWorkloadOfTwoNames: the names are one file from the start, and saves come
// by both.
func TestWorkloadOfTwoNames(t *testing.T) {
	dir, b, names := t.TempDir(), &book{}, map[string]int{}
	w := Workload{Saves: 20, Files: []File{{Name: "small-a.json", Link: "sub/small-a.json", Ways: []string{"truncate"}}, {Name: "small-b.json", Ways: []string{"truncate"}}}}
	if err := errors.Join(w.Plant(dir, b.mark), b.mark(ledger.Begin), w.Link(dir, b.mark)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	in := InDir(dir, func() {})
	err := w.Run(context.Background(), b.mark, func(way, name string, n int) error {
		mu.Lock()
		names[name]++
		mu.Unlock()
		return in(way, name, n)
	})
	if err != nil {
		t.Fatal(err)
	}
	if names["small-a.json"] == 0 || names["sub/small-a.json"] == 0 || names["small-b.json"] != 20 || len(names) != 3 {
		t.Errorf("saves by name: %v", names)
	}
	l, err := ledger.Read(b.ops)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Links) != 1 || l.Links["sub/small-a.json"] <= l.Begin {
		t.Errorf("links in the ledger: %v, it begins at %d", l.Links, l.Begin)
	}
	for _, e := range l.Events {
		if e.File == "sub/small-a.json" {
			t.Errorf("%+v counts for itself", e)
		}
	}
	for name, a := range l.After(len(b.ops)) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err := a.Check(name, content, err == nil); err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
	if err := w.Link(dir, b.mark); !errors.Is(err, os.ErrExist) {
		t.Errorf("linked again: got %v, want %v", err, os.ErrExist)
	}
}

func TestWorkloadFollowsItsSeed(t *testing.T) {
	waysOf := func(seed uint64) string {
		var mu sync.Mutex
		var all []string
		save := func(way, name string, n int) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, fmt.Sprint(name, n, way))
			return nil
		}
		if err := testWorkload(seed).Run(context.Background(), (&book{}).mark, save); err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	if first, again := waysOf(1), waysOf(1); first != again {
		t.Error("the same seed chose other ways")
	}
	if waysOf(1) == waysOf(2) {
		t.Error("another seed chose the same ways")
	}
}

func TestWorkloadEnds(t *testing.T) {
	broken := errors.New("broken")
	w := testWorkload(1)
	err := w.Run(context.Background(), (&book{}).mark, func(string, string, int) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("a save failed: got %v, want %v", err, broken)
	}
	b := &book{}
	err = w.Run(context.Background(), b.mark, func(string, string, int) error { return broken })
	if l, err2 := ledger.Read(b.ops); err2 != nil || slices.ContainsFunc(l.Events, func(e ledger.Event) bool { return e.Acked > 0 }) {
		t.Errorf("a failed save was acknowledged: %v, %v", err, err2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Run(ctx, b.mark, InDir(t.TempDir(), func() {})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want %v", err, context.Canceled)
	}
}
