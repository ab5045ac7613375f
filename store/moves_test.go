package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// renamed is a directory after files were renamed beneath, as by a crash before
// history knew of it: by path, what each file holds and the contents that its
// history has.
type renamed struct {
	name    string
	renames [][2]string
	mended  int
	want    map[string][]string
}

// rename makes a rename without intact.
func (p *place) rename(from, to string) {
	p.t.Helper()
	to = filepath.Join(p.dir, to)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(p.dir, from), to); err != nil {
		p.t.Fatal(err)
	}
}

// kept is the contents of the versions of a path, "-" for its end.
func (p *place) kept(path string) []string {
	p.t.Helper()
	entries, err := p.store.entries(path)
	if err != nil {
		p.t.Fatal(err)
	}
	var texts []string
	for _, e := range entries {
		if e.Removed {
			texts = append(texts, "-")
			continue
		}
		texts = append(texts, p.content(path, e.Tx))
	}
	return texts
}

func TestHistoryFollowsARename(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []renamed{
		{"to a new name", [][2]string{{"a.json", "z.json"}}, 1, map[string][]string{"a.json": nil, "z.json": {"1", "2"}}},
		{"before it in the order", [][2]string{{"b.json", "0.json"}}, 1, map[string][]string{"b.json": nil, "0.json": {"3"}}},
		{"over another", [][2]string{{"a.json", "b.json"}}, 1, map[string][]string{"a.json": nil, "b.json": {"1", "2", "3", "2"}}},
		{"over another before it", [][2]string{{"b.json", "a.json"}}, 1, map[string][]string{"b.json": nil, "a.json": {"1", "2", "3"}}},
		{"of a directory", [][2]string{{"d", "e/f"}}, 2, map[string][]string{"d/c.json": nil, "e/f/c.json": {"4"}, "e/f/same.json": {"4"}}},
		{"to a name without a rule", [][2]string{{"a.json", "a.txt"}}, 1, map[string][]string{"a.json": {"1", "2", "-"}, "a.txt": nil}},
		{"of two", [][2]string{{"a.json", "x.json"}, {"b.json", "y.json"}}, 2, map[string][]string{"x.json": {"1", "2"}, "y.json": {"3"}}},
		{"and an exchange", [][2]string{{"a.json", "t"}, {"b.json", "a.json"}, {"t", "b.json"}}, 0, map[string][]string{"a.json": {"1", "2"}, "b.json": {"3"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			if err := os.Mkdir(filepath.Join(p.dir, "d"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, save := range [][2]string{{"a.json", "1"}, {"a.json", "2"}, {"b.json", "3"}, {"d/c.json", "4"}, {"d/same.json", "4"}} {
				p.commit(save[0], save[1])
			}
			if err := p.store.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			for _, r := range tt.renames {
				p.rename(r[0], r[1])
			}
			for again, want := range []int{tt.mended, 0} {
				if n, err := p.store.Reconcile(ctx); n != want || err != nil {
					t.Fatalf("round %d mended %d, %v, want %d", again, n, err, want)
				}
			}
			for path, want := range tt.want {
				if diff := cmp.Diff(want, p.kept(path)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
			if tt.mended > 0 {
				p.wantSound()
			}
		})
	}
}

// A file with the content of a missing one that is as its own history says is
// another file.
func TestACopyIsNoRename(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", "1")
	p.commit("b.json", "1")
	if err := p.store.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(p.dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.store.Reconcile(ctx); n != 1 || err != nil {
		t.Fatalf("mended %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"1", "-"}, p.kept("a.json")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1"}, p.kept("b.json")); diff != "" {
		t.Error(diff)
	}
	p.wantSound()
}

// The mount that comes next follows, too.
func TestMountFollowsARename(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", "1")
	p.close()
	p.rename("a.json", "sub/b.json")
	p.open(Options{})
	p.store.adoptAll(context.Background())
	if diff := cmp.Diff([]string{"1"}, p.kept("sub/b.json")); diff != "" {
		t.Error(diff)
	}
	if got := p.kept("a.json"); got != nil {
		t.Errorf("a.json has %q", got)
	}
	p.wantSound()
}
