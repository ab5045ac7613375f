package fs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// lately opens a file that no rule protects, writes a document to it, and
// renames it onto f.json, where it is still open as f.
func lately(mode string, steps ...step) []step {
	return append([]step{
		do("w", "ok", "open", "f", "x.tmp", mode),
		do("w", "2", "write", "f", `{}`),
		do("w", "ok", "rename", "x.tmp", "f.json"),
		do("r", `{}`, "cat", "f.json"),
	}, steps...)
}

// TestLate writes through a descriptor of a file that got a protected name since
// it was opened. What is committed first is what the rename brought.
func TestLate(t *testing.T) {
	for _, tc := range []tableRow{
		{"closed", lately("w+",
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("r", "{}", "cat", "f.json"),
			do("w", "10", "fsize", "f"),
			do("r", "2", "size", "f.json"),
			do("w", newDoc, "pread", "f", "0", "100"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
			do("r", "10", "size", "f.json"),
		), 2, 0},
		{"not written", lately("w", do("w", "ok", "close", "f")), 1, 0},
		{"read only", []step{
			do("w", "ok", "open", "f", "t.tmp", "r"),
			do("w", "ok", "rename", "t.tmp", "f.json"),
			do("w", newDoc, "read", "f"),
			do("w", "ok", "close", "f"),
		}, 1, 0},
		{"torn", lately("w",
			do("w", "1", "pwrite", "f", "0", "["),
			do("w", "EBADMSG", "close", "f"),
			do("r", "{}", "cat", "f.json"),
		), 1, 1},
		{"a copy is closed in the middle", lately("w",
			do("w", "4", "pwrite", "f", "0", `{"a"`),
			do("w", "ok", "dup", "f", "copy"),
			do("w", "ok", "close", "copy"),
			do("r", "{}", "cat", "f.json"),
			do("w", "3", "pwrite", "f", "4", `:1}`),
			do("w", "ok", "close", "f"),
			do("r", `{"a":1}`, "cat", "f.json"),
		), 2, 0},
		{"whole by chance when a copy is closed", lately("w",
			do("w", "ok", "ftruncate", "f", "0"),
			do("w", "2", "pwrite", "f", "0", "12"),
			do("w", "ok", "dup", "f", "copy"),
			do("w", "ok", "close", "copy"),
			do("r", "{}", "cat", "f.json"),
			do("w", "1", "pwrite", "f", "2", "3"),
			do("w", "ok", "close", "f"),
			do("r", "123", "cat", "f.json"),
		), 2, 0},
		{"torn, while another has the same file open", append([]step{
			do("w", "ok", "open", "f", "x.tmp", "w"),
			do("r", "ok", "open", "g", "x.tmp", "w"),
		}, lately("w",
			do("w", "1", "pwrite", "f", "0", "["),
			do("w", "EBADMSG", "close", "f"),
			do("r", "2", "pwrite", "g", "0", "[]"),
			do("r", "ok", "close", "g"),
			do("r", "[]", "cat", "f.json"),
		)[1:]...), 2, 1},
		{"a child is started in the middle", lately("w",
			do("w", "4", "pwrite", "f", "0", `{"a"`),
			do("w", "ok", "spawn"),
			do("r", "{}", "cat", "f.json"),
			do("w", "3", "pwrite", "f", "4", `:1}`),
			do("w", "ok", "close", "f"),
			do("r", `{"a":1}`, "cat", "f.json"),
		), 2, 0},
		{"synced", lately("w",
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("w", "ok", "fsync", "f"),
			do("r", newDoc, "cat", "f.json"),
			do("w", "ok", "close", "f"),
		), 2, 0},
		{"synced torn, then cut", lately("w",
			do("w", "4", "pwrite", "f", "0", "[] x"),
			do("w", "ok", "fsync", "f"),
			do("r", "{}", "cat", "f.json"),
			do("w", "ok", "ftruncate", "f", "2"),
			do("r", "[]", "cat", "f.json"),
			do("w", "ok", "close", "f"),
		), 2, 0},
		{"unlocked", lately("w",
			do("w", "ok", "flock", "f", "2"),
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("w", "ok", "flock", "f", "8"),
			do("r", newDoc, "cat", "f.json"),
		), 2, 0},
		{"killed with what may be a part", lately("w",
			do("w", "ok", "ftruncate", "f", "0"),
			do("w", "2", "pwrite", "f", "0", "12"),
			do("w", "", "KILL"),
		), 1, 1},
		{"killed with what is proven", lately("w",
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("w", "", "KILL"),
			do("r", "~"+newDoc, "cat", "f.json"),
		), 2, 0},
		{"emptied", lately("w",
			do("w", "ok", "ftruncate", "f", "0"),
			do("w", "ok", "close", "f"),
			do("r", "{}", "cat", "f.json"),
			do("w", "ok", "open", "g", "f.json", "r+"),
			do("w", "10", "write", "g", newDoc),
			do("w", "ok", "close", "g"),
			do("r", newDoc, "cat", "f.json"),
		), 2, 0},
		{"the name is gone", lately("w",
			do("w", "1", "pwrite", "f", "0", "["),
			do("r", "ok", "unlink", "f.json"),
			do("w", "ok", "close", "f"),
			do("r", "ENOENT", "size", "f.json"),
		), 1, 0},
		{"renamed on by who writes it, torn", lately("w",
			do("w", "1", "pwrite", "f", "0", "["),
			do("w", "EBADMSG", "rename", "f.json", "g.json"),
			do("w", "1", "pwrite", "f", "1", "]"),
			do("w", "ok", "rename", "f.json", "g.json"),
			do("r", "[]", "cat", "g.json"),
		), -1, 1},
		{"saved by another meanwhile", lately("w",
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("r", "ok", "save", "f.json", "[1]"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
		), 3, 0},
	} {
		t.Run(tc.name, tc.play)
	}
}

// TestLateIdle leaves such a descriptor open and quiet.
func TestLateIdle(t *testing.T) {
	m := mount(t, testRules{}, func(o *Options) { o.IdleCommit = 20 * time.Millisecond })
	m.seed(t, "f.json", oldDoc)
	run(t, m, lately("w",
		do("w", "10", "pwrite", "f", "0", newDoc),
		do("r", "~"+newDoc, "cat", "f.json"),
	))
}

// TestOutAndBack renames a file out of protection and back while it is open for
// writing: what the descriptor holds belongs to the file that had the name
// first, and is never written into the one that has it now.
func TestOutAndBack(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	w, r := m.client(t), m.client(t)
	w.want("ok", "open", "f", "f.json", "w")
	w.want("4", "write", "f", "[1,2")
	r.want("ok", "rename", "f.json", "x.tmp")
	r.want("ok", "rename", "x.tmp", "f.json")
	r.want("ok", "open", "g", "f.json", "r")
	w.want("1", "write", "f", "]")
	if err := m.store.Settle(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.want("ESTALE", "close", "f")
	r.want(oldDoc, "read", "g")
	r.want("ok", "close", "g")
	r.want(oldDoc, "cat", "f.json")
	m.quiet(t)
	if b, err := os.ReadFile(filepath.Join(m.back, "f.json")); string(b) != oldDoc {
		t.Errorf("beneath: %q, %v", b, err)
	}
}
