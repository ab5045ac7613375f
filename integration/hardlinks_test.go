package integration

import (
	"os"
	"testing"

	"intactfs/integration/harness"
)

// names are those of one file in TestHardLinks.
var names = []string{"state.json", "dir/twin.json", "third.json"}

// TestHardLinks saves a file by one of its names and by another, beside kills of
// the daemon. They are one file when it is mounted and when it is not, each has
// the history of all, and a restore by one is one of all.
func TestHardLinks(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	save(t, m.File(names[0]), makeDocument(0, 10))
	if err := os.Mkdir(m.File("dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names[1:] {
		if err := os.Link(m.File(names[0]), m.File(name)); err != nil {
			t.Fatal(err)
		}
	}
	want := ""
	same := func(at func(string) string) {
		t.Helper()
		first, err := os.Stat(at(names[0]))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			wantContent(t, at(name), want)
			if info, err := os.Stat(at(name)); err != nil || !os.SameFile(first, info) {
				t.Errorf("%s is another file: %v", name, err)
			}
		}
	}
	saves := 1
	for round := range 6 {
		// Small ones and such that travel as a stage of their own.
		want = string(makeDocument(int64(saves), []int{10, 20000}[round%2]))
		save(t, m.File(names[round%3]), []byte(want))
		saves++
		same(m.File)
		if round%2 == 1 {
			m.Kill()
			m.Start()
			same(m.File)
		}
	}
	m.Unmount()
	same(m.Backing)
	m.Verify()
	for _, name := range names {
		if got := len(m.Versions(m.Backing(name))); got != saves {
			t.Errorf("%s has %d versions, want %d", name, got, saves)
		}
	}

	m.MustIntact("restore", m.Backing(names[1])+"@~1")
	want = string(makeDocument(int64(saves-2), 10))
	same(m.Backing)
	m.Start()
	m.MustIntact("restore", m.File(names[2])+"@~1")
	want = string(makeDocument(int64(saves-1), 20000))
	same(m.File)

	// One goes, one is replaced: the names that are left are as they were.
	if err := os.Remove(m.File(names[0])); err != nil {
		t.Fatal(err)
	}
	save(t, m.File("new.json.tmp"), []byte("{}"))
	if err := os.Rename(m.File("new.json.tmp"), m.File(names[2])); err != nil {
		t.Fatal(err)
	}
	m.Unmount()
	wantContent(t, m.Backing(names[1]), want)
	wantContent(t, m.Backing(names[2]), "{}")
	m.Verify()
}
