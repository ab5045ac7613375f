package crashlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/ledger"
)

func removeFile(data, name string) error { return os.Remove(filepath.Join(data, name)) }

func addFile(data string) error {
	names, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, fmt.Sprintf("new%d", len(names))), nil, 0o644)
}

// rewriteInPlace is a recovery that crashes badly: for a moment the file is
// empty, and that moment reaches the disk.
func rewriteInPlace(data string) error {
	path := filepath.Join(data, "small.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	for range 20 {
		err = errors.Join(err, unix.Syncfs(int(f.Fd())))
	}
	_, err2 := f.Write(content)
	return errors.Join(err, err2, f.Sync(), f.Close())
}

func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFiles(t *testing.T) {
	two := ledger.Content("small.json", 2)
	for _, tc := range []struct {
		name  string
		files map[string][]byte
		want  string // part of the error; "": none
	}{
		{"in order", map[string][]byte{"small.json": two}, ""},
		{"unprotected names beside it", map[string][]byte{"small.json": two, "small.json.tmp": nil, ".intact/x.json": nil}, ""},
		{"missing", nil, "missing"},
		{"empty", map[string][]byte{"small.json": nil}, "empty"},
		{"torn", map[string][]byte{"small.json": two[:len(two)-5]}, "torn"},
		{"lost", map[string][]byte{"small.json": ledger.Content("small.json", 1)}, "lost"},
		{"a file that nobody saved", map[string][]byte{"small.json": two, "x.json": nil}, "nobody saved it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tc.files {
				put(t, dir, name, content)
			}
			err := checkFiles(dir, map[string]ledger.Allowed{"small.json": {Versions: map[int]bool{2: true}, Newest: 2}})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if err := checkFiles(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: got %v, want %v", err, os.ErrNotExist)
	}
}

func TestDigests(t *testing.T) {
	files := map[string]string{
		"a": "1", "sub/b": "2", ".intact/quarantine/c": "3",
		".intact/journal/d": "4", ".intact/history/e": "5", ".intact/staging/f": "6", ".intact/lock": "7",
	}
	of := func(change func(dir string)) digest {
		dir := t.TempDir()
		for name, content := range files {
			put(t, dir, name, []byte(content))
		}
		change(dir)
		d, err := digestOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := of(func(string) {})
	if len(want) != 3 {
		t.Errorf("the digest is of %d files, want 3: %v", len(want), want)
	}
	for _, tc := range []struct {
		name   string
		change func(dir string)
		want   string
	}{
		{"nothing changed", func(string) {}, ""},
		{"the journal changed", func(dir string) { put(t, dir, ".intact/journal/d", nil) }, ""},
		{"a file changed", func(dir string) { put(t, dir, "sub/b", []byte("x")) }, "other bytes"},
		{"a file came", func(dir string) { put(t, dir, "new", nil) }, "is new"},
		{"a file went", func(dir string) { _ = removeFile(dir, "a") }, "is gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := compare(of(tc.change), want)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestTogether(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(dir string) error
		want  string // part of the error; "": none
	}{
		{"one file", func(string) error { return nil }, ""},
		{"the other name is not there", func(dir string) error { return os.Remove(filepath.Join(dir, "sub/a.json")) }, ""},
		{"the file is not there", func(dir string) error { return os.Remove(filepath.Join(dir, "a.json")) }, "no such file"},
		{"two files of the same content", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "a.json")), os.WriteFile(filepath.Join(dir, "a.json"), []byte("1"), 0o644))
		}, "a.json and sub/a.json: are two files"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a.json", []byte("1"))
			put(t, dir, "sub/b.json", nil)
			err := errors.Join(os.Link(filepath.Join(dir, "a.json"), filepath.Join(dir, "sub/a.json")), tc.spoil(dir))
			if err != nil {
				t.Fatal(err)
			}
			err = exam{ledger: ledger.Ledger{Links: map[string]int{"sub/a.json": 1}}}.together(dir)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
