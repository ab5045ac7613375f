package backup

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"intactfs/journal/disk/disktest"
)

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
