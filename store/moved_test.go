package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestMovedAndRemoved(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	one := p.commit("a.json", `{"n":1}`)
	if err := p.store.Settle(ctx, "a.json"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(p.dir, "a.json"), filepath.Join(p.dir, "b.json")); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Moved("a.json", "b.json"); err != nil {
		t.Fatal(err)
	}
	if got := p.content("b.json", one.Tx); got != `{"n":1}` {
		t.Errorf("b.json reads %q", got)
	}
	p.wantSound()
	for _, err := range []error{p.store.Moved("no.json", "nor.json"), p.store.Removed("no.json", tester)} {
		if err != nil {
			t.Errorf("a path without history: %v", err)
		}
	}
}

// A file is renamed onto a name whose own history ended, with a removal, after
// the file's last save: what has the name now is its newest version.
func TestMovedOntoARemovedName(t *testing.T) {
	ctx := context.Background()
	for _, dir := range []string{"", "sub/"} {
		t.Run("below "+dir, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			for _, d := range []string{"from", "to"} {
				if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			p.commit("from/a.json", `{"a":1}`)
			p.commit("to/a.json", `{"b":1}`)
			if err := p.store.Settle(ctx, ""); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(p.dir, "to/a.json")); err != nil {
				t.Fatal(err)
			}
			if err := p.store.Removed("to/a.json", tester); err != nil {
				t.Fatal(err)
			}
			from, to := "from/a.json", "to/a.json"
			if dir != "" {
				from, to = "from", "to"
				if err := os.Remove(filepath.Join(p.dir, to)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(filepath.Join(p.dir, from), filepath.Join(p.dir, to)); err != nil {
				t.Fatal(err)
			}
			if err := p.store.Moved(from, to); err != nil {
				t.Fatal(err)
			}
			p.wantSound()
		})
	}
}
