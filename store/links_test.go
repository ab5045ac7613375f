package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"intactfs/fs"
)

func (p *place) link(from string, names ...string) {
	p.t.Helper()
	for _, name := range names {
		target := filepath.Join(p.dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.Link(filepath.Join(p.dir, from), target); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestLinks finds the names of a file that belong together: those that the same
// rule protects.
func TestLinks(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", "{}")
	p.link("a.json", "b.json", "dir/c.json", "plain", "d.jsonl", "e.geojson")
	p.write("alone.json", "{}")
	p.open(Options{Create: true})
	for name, want := range map[string][]string{
		"a.json":     {"b.json", "dir/c.json"},
		"dir/c.json": {"a.json", "b.json"},
		"d.jsonl":    nil,
		"plain":      nil,
		"alone.json": nil,
		"none.json":  nil,
	} {
		got, _, err := p.store.Links(context.Background(), name, []string{name})
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("links of %s: %q, %v, want %q", name, got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := p.store.Links(ctx, "a.json", []string{"a.json"}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := os.Mkdir(filepath.Join(p.dir, "a.json.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.store.Links(context.Background(), "a.json/x.json", nil); err != nil && !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}

// TestLinksHaveOneHistory commits to a file by its names, restores by one that was
// not committed to, and finds all of it sound.
func TestLinksHaveOneHistory(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", "[0]")
	p.link("a.json", "b.json")
	p.open(Options{Create: true})
	ctx := context.Background()
	for i, content := range []string{"[1]", "[2]"} {
		c := fs.Commit{Path: "a.json", Links: []string{"b.json"}, Inline: []byte(content), Size: 3, Who: tester, Attr: fs.Attr{Mode: 0o600}}
		if i == 1 {
			c.Path, c.Links = "b.json", []string{"a.json"}
		}
		v, err := p.store.Commit(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if pending, ok := p.store.Pending(c.Links[0]); !ok || pending.Tx != v.Tx || !slices.Equal(pending.Names, []string{c.Path, c.Links[0]}) {
			t.Errorf("pending by the other name: %+v, %t", pending, ok)
		}
	}
	log := p.log("a.json")
	if len(log) != 3 || log[1].SHA256 != p.log("b.json")[1].SHA256 {
		t.Fatalf("log: %+v", log)
	}
	p.wantSound()
	if _, err := p.store.Restore(ctx, "a.json", log[0].Tx, tester); err != nil {
		t.Fatal(err)
	}
	p.wantSound()
	a, errA := os.Stat(filepath.Join(p.dir, "a.json"))
	b, errB := os.Stat(filepath.Join(p.dir, "b.json"))
	if errA != nil || errB != nil || !os.SameFile(a, b) || p.read("b.json") != "[0]" {
		t.Errorf("after a restore by one name: %v, %v, %q and %q", errA, errB, p.read("a.json"), p.read("b.json"))
	}
}
