package store

import (
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"intactfs/fs"
)

// numbers is the versions that the view lists of a path, "-" for a removal.
func numbers(t *testing.T, past fs.Past, path string) string {
	t.Helper()
	versions, err := past.Versions(context.Background(), path)
	if err != nil {
		t.Fatalf("versions of %s: %v", path, err)
	}
	var found []string
	for _, v := range versions {
		if v.Removed {
			found = append(found, "-")
			continue
		}
		if got, want := v.Number, FormatTx(v.Tx); got != want {
			t.Errorf("number of %d: got %s, want %s", v.Tx, got, want)
		}
		found = append(found, v.Number)
	}
	return strings.Join(found, " ")
}

func TestPastView(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	s := p.open(Options{Create: true})
	past := s.PastView()
	if err := os.MkdirAll(filepath.Join(p.dir, "sub/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.commit("a.json", "[1]")
	p.commit("a.json", "[2]")
	v := p.commit("sub/deep/b.json", "[3]")
	names, err := past.Names(ctx, "")
	if diff := cmp.Diff([]fs.PastName{{Name: "a.json", File: true}, {Name: "sub", Dir: true}}, names); diff != "" || err != nil {
		t.Errorf("names, what was pending included: %v (-want +got)\n%s", err, diff)
	}
	if got := numbers(t, past, "a.json"); got != "1 2" {
		t.Errorf("versions: got %s, want 1 2", got)
	}
	if err := os.Remove(filepath.Join(p.dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if err := s.Removed("a.json", tester); err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, past, "a.json"); got != "1 2 -" {
		t.Errorf("versions of a removed file: got %s, want 1 2 -", got)
	}
	c, err := past.Open(ctx, "sub/deep/b.json", v.Tx)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, c); got != "[3]" {
		t.Errorf("content: got %q", got)
	}
}

func TestPastViewOfNothing(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	past := p.open(Options{Create: true}).PastView()
	v := p.commit("a.json", "[1]")
	for _, path := range []string{"", "none", "a.json"} {
		if names, err := past.Names(ctx, path); err != nil || path != "" && len(names) > 0 {
			t.Errorf("names below %q: got %v, %v", path, names, err)
		}
	}
	if got := numbers(t, past, "none.json"); got != "" {
		t.Errorf("versions of nothing: got %s", got)
	}
	for name, open := range map[string]func() (fs.Content, error){
		"a path without history": func() (fs.Content, error) { return past.Open(ctx, "none.json", v.Tx) },
		"a version too high":     func() (fs.Content, error) { return past.Open(ctx, "a.json", v.Tx+stride) },
		"not a path":             func() (fs.Content, error) { return past.Open(ctx, "../x", v.Tx) },
		"a refused content":      func() (fs.Content, error) { return past.OpenRefused(ctx, "a.json@0123456789abcdef") },
	} {
		if _, err := open(); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("%s: got %v, want ErrNotExist", name, err)
		}
	}
	if refusals, err := past.Refused(ctx); err != nil || len(refusals) > 0 {
		t.Errorf("refused: got %v, %v", refusals, err)
	}
}

// TestPastViewOfLargeVersions reads one that goes through a file without a
// name, and looks that none with a name stays.
func TestPastViewOfLargeVersions(t *testing.T) {
	p := newPlace(t)
	s := p.open(Options{Create: true})
	content := `"` + strings.Repeat("0123456789abcdef", 400_000) + `"`
	v := p.commit("a.json", content)
	if err := s.Settle(context.Background(), "a.json"); err != nil {
		t.Fatal(err)
	}
	c, err := s.PastView().Open(context.Background(), "a.json", v.Tx)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.(backing); !ok {
		t.Errorf("a content of %d bytes is a %T, want a file", len(content), c)
	}
	left, err := os.ReadDir(filepath.Join(p.dir, stagingName))
	if err != nil || len(left) > 0 {
		t.Errorf("staging: %v, %v", left, err)
	}
	if got := readAll(t, c); got != content {
		t.Errorf("got %d bytes, want %d", len(got), len(content))
	}
}

func TestPastViewReadOnly(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", "[1]")
	if err := p.store.Settle(context.Background(), "a.json"); err != nil {
		t.Fatal(err)
	}
	p.commit("a.json", "[2]")
	crashed := &place{t: t, dir: copyTree(t, p.dir), clock: p.clock}
	past := crashed.open(Options{ReadOnly: true}).PastView()
	defer crashed.close()
	if got := numbers(t, past, "a.json"); got != "1 2" {
		t.Errorf("versions: got %s, want 1 and the pending 2", got)
	}
	versions, err := past.Versions(context.Background(), "a.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := past.Open(context.Background(), "a.json", versions[1].Tx)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, c); got != "[2]" {
		t.Errorf("the pending version: got %q", got)
	}
}

func TestPastViewOfQuarantine(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	s := p.open(Options{Create: true})
	p.commit("sub/a.json", "[1]")
	r := fs.Refusal{Path: "sub/a.json", Inline: []byte("[tor"), Size: 4, Who: tester, Reason: "torn", Line: 1, Column: 5, Offset: 4}
	for range 2 {
		if err := s.Refuse(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	past := s.PastView()
	refusals, err := past.Refused(ctx)
	if err != nil || len(refusals) != 1 {
		t.Fatalf("refused: got %v, %v", refusals, err)
	}
	got := refusals[0]
	if got.Path != "sub/a.json" || got.Size != 4 || got.UID != tester.UID || got.ID != got.Path+"@"+got.Number || !got.Last.After(got.Time) {
		t.Errorf("got %+v", got)
	}
	c, err := past.OpenRefused(ctx, got.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text := readAll(t, c); text != "[tor" {
		t.Errorf("content: got %q", text)
	}
	var note refusalNote
	if err := json.Unmarshal(got.Note, &note); err != nil {
		t.Fatalf("note: %v\n%s", err, got.Note)
	}
	if note.Reason != "torn" || note.Count != 2 || note.Kept != "1" || note.PID != tester.PID || note.Program != tester.Program {
		t.Errorf("note: got %+v", note)
	}
}
