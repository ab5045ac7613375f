package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestReconcile leaves files as a crash around a removal leaves them, and as
// nothing of intact does.
func TestReconcile(t *testing.T) {
	const one = `{"n":1}`
	ctx := context.Background()
	for _, tc := range []struct {
		name    string
		file    string // "": none
		removed bool   // history has an end
		mended  int
		entries int
		good    bool // to Verify, afterwards
	}{
		{"there", one, false, 0, 1, true},
		{"unlinked, not ended", "", false, 1, 2, true},
		{"unlinked and ended", "", true, 0, 2, true},
		{"ended, not unlinked", one, true, 1, 3, true},
		{"ended, and something else there", `{"n":2}`, true, 0, 2, false},
		{"changed", `{"n":2}`, false, 0, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			p.commit("a.json", one)
			if err := p.store.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			if tc.removed {
				if err := p.store.Removed("a.json", tester); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Join(p.dir, "a.json")); err != nil {
				t.Fatal(err)
			}
			if tc.file != "" {
				p.write("a.json", tc.file)
			}
			for again, want := range []int{tc.mended, 0} {
				if n, err := p.store.Reconcile(ctx); n != want || err != nil {
					t.Fatalf("round %d mended %d, %v, want %d", again, n, err, want)
				}
			}
			entries, err := p.store.entries("a.json")
			if err != nil || len(entries) != tc.entries {
				t.Fatalf("history is %+v, %v, want %d entries", entries, err, tc.entries)
			}
			if last := entries[len(entries)-1]; last.Removed != (tc.file == "" || tc.removed && !tc.good) {
				t.Errorf("the last entry is %+v", last)
			}
			r, err := p.store.Verify(ctx, nil)
			if err != nil || (len(r.Problems) == 0) != tc.good {
				t.Errorf("verify found %+v, %v, want good %v", r.Problems, err, tc.good)
			}
		})
	}
	t.Run("reading only", func(t *testing.T) {
		p := newPlace(t)
		p.open(Options{Create: true})
		p.close()
		p.open(Options{ReadOnly: true})
		if _, err := p.store.Reconcile(ctx); err == nil {
			t.Error("history was changed by a reader")
		}
	})
}
