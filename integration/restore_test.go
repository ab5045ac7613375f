package integration

import (
	"errors"
	iofs "io/fs"
	"os"
	"testing"

	"intactfs/integration/harness"
)

// TestHistory keeps every save, reads each back, and follows a rename.
func TestHistory(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	var saved []string
	for seq := range int64(6) {
		saved = append(saved, string(makeDocument(seq, 50*int(seq))))
		save(t, path, []byte(saved[seq]))
	}
	check := func(path string) {
		t.Helper()
		all := m.Versions(path)
		if len(all) != len(saved) {
			t.Fatalf("%d versions, want %d: %+v", len(all), len(saved), all)
		}
		for i, v := range all {
			if got := m.Show(path, v); got != saved[i] {
				t.Errorf("version %d is %.60q, want %.60q", i, got, saved[i])
			}
		}
	}
	check(path)
	if err := os.Rename(path, m.File("renamed.json")); err != nil {
		t.Fatal(err)
	}
	m.Unmount()
	wantContent(t, m.Backing("renamed.json"), saved[5])
	m.Start()
	path = m.File("renamed.json")
	saved = append(saved, string(makeDocument(9, 9)))
	save(t, path, []byte(saved[6]))
	wantContent(t, path, saved[6])
	if all := m.Versions(path); len(all) < len(saved) {
		t.Errorf("%d versions after the rename, want at least %d", len(all), len(saved))
	}
}

// TestRestore brings an earlier version back, and a file that was removed.
func TestRestore(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	for seq := range int64(4) {
		save(t, path, makeDocument(seq, 100))
	}
	m.MustIntact("restore", path+"@~1")
	wantContent(t, path, string(makeDocument(2, 100)))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, iofs.ErrNotExist) {
		t.Fatalf("removed, and still there: %v", err)
	}
	m.MustIntact("restore", path)
	wantContent(t, path, string(makeDocument(2, 100)))
	m.Unmount()
	wantContent(t, m.Backing("state.json"), string(makeDocument(2, 100)))
	// Without a daemon the same commands work on the directory.
	m.MustIntact("restore", m.Backing("state.json")+"@~2")
	wantContent(t, m.Backing("state.json"), string(makeDocument(3, 100)))
}
