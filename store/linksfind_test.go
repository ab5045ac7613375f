package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"intactfs/fs"
)

// TestLinksThatAreKnown looks for names of a file only as long as some are missing,
// and tells whether all were found.
func TestLinksThatAreKnown(t *testing.T) {
	for _, tc := range []struct {
		name  string
		links []string
		known []string
		want  []string
		all   bool
	}{
		{"one name", nil, []string{"a.json"}, nil, true},
		{"none is known", []string{"b.json"}, []string{"a.json"}, []string{"b.json"}, true},
		{"all are known", []string{"b.json"}, []string{"a.json", "b.json"}, nil, true},
		{"one of three", []string{"b.json", "dir/c.json"}, []string{"a.json", "b.json"}, []string{"dir/c.json"}, true},
		{"one that can't follow", []string{"b.json", "plain"}, []string{"a.json"}, []string{"b.json"}, false},
		{"all that can are known", []string{"b.json", "plain"}, []string{"a.json", "b.json"}, nil, false},
		{"a stage", []string{Dir + "/staging/s-1"}, []string{"a.json"}, nil, true},
		{"a stage and a name", []string{Dir + "/staging/s-1", "b.json"}, []string{"a.json"}, []string{"b.json"}, true},
		{"a stage and one that can't follow", []string{Dir + "/staging/s-1", "plain"}, []string{"a.json"}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			p.write("a.json", "{}")
			p.open(Options{Create: true})
			p.link("a.json", tc.links...)
			got, all, err := p.store.Links(context.Background(), "a.json", tc.known)
			if err != nil || !slices.Equal(got, tc.want) || all != tc.all {
				t.Errorf("got %q, all %t, %v; want %q, %t", got, all, err, tc.want, tc.all)
			}
		})
	}
}

// TestLinksBesideWhatIsPending commits something else to one of the names: that is
// another file, though the directory doesn't say so yet.
func TestLinksBesideWhatIsPending(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", "{}")
	p.link("a.json", "b.json")
	p.open(Options{Create: true})
	ctx := context.Background()
	c := fs.Commit{Path: "b.json", Inline: []byte("[1]"), Size: 3, Who: tester, Attr: fs.Attr{Mode: 0o600}}
	if _, err := p.store.Commit(ctx, c); err != nil {
		t.Fatal(err)
	}
	if got, all, err := p.store.Links(ctx, "a.json", []string{"a.json"}); len(got) > 0 || !all || err != nil {
		t.Errorf("got %q, all %t, %v; want none", got, all, err)
	}
}

// TestRestoreOfTooManyNames restores a file with more names than a version can be
// for: it is restored by those that fit.
func TestRestoreOfTooManyNames(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", "[0]")
	p.open(Options{Create: true})
	ctx := context.Background()
	c := fs.Commit{Path: "a.json", Inline: []byte("[1]"), Size: 3, Who: tester, Attr: fs.Attr{Mode: 0o600}}
	if _, err := p.store.Commit(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Settle(ctx, ""); err != nil {
		t.Fatal(err)
	}
	const n = 330
	for i := range n {
		name := filepath.Join(p.dir, fmt.Sprintf("%s%d.json", strings.Repeat("x", 200), i))
		if err := os.Link(filepath.Join(p.dir, "a.json"), name); err != nil {
			t.Fatal(err)
		}
	}
	v, err := p.store.Restore(ctx, "a.json", p.log("a.json")[0].Tx, tester)
	if err != nil || len(v.Names) < n/2 || len(v.Names) > n {
		t.Fatalf("%d names, %v", len(v.Names), err)
	}
}

// TestNamesThatFit counts the names that a version can be for.
func TestNamesThatFit(t *testing.T) {
	long := strings.Repeat("x", 1<<15-1)
	for _, tc := range []struct {
		names []string
		want  int
	}{
		{nil, 0},
		{[]string{"a"}, 1},
		{[]string{long, long}, 2},
		{[]string{long, long, ""}, 2},
		{slices.Repeat([]string{"a"}, 1500), 1000},
	} {
		if got := fs.FitNames(tc.names); got != tc.want {
			t.Errorf("%d names: got %d, want %d", len(tc.names), got, tc.want)
		}
	}
}
