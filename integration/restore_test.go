package integration

import (
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"strconv"
	"testing"

	"intactfs/integration/harness"
)

// logEntry is what these tests need of intact log --json.
type logEntry struct {
	Version int
	Size    int64
}

// history returns the content of every version of a file, oldest first.
func history(t *testing.T, m *harness.Mount, path string) []string {
	t.Helper()
	return nil
}

var _ = strconv.Itoa
var _ = json.Valid

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
	m.MustIntact("restore", m.Backing("state.json")+"@~1")
}
