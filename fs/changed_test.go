package fs

import (
	"testing"
)

// restored commits past the mount, as the daemon does for a restore.
func (m *mounted) restored(path, content string) {
	m.store.mu.Lock()
	m.store.tx++
	v := Version{Tx: m.store.tx, Size: int64(len(content)), Attr: Attr{Mode: 0644}}
	m.store.pending[path] = memVersion{v, []byte(content)}
	m.store.mu.Unlock()
	m.server.Changed(path)
}

// TestChanged commits past the mount while programs have the file open, know
// its size, or know that there is none.
func TestChanged(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "d/f.json", oldDoc)
	m.seed(t, "d/l.jsonl", "1\n")
	c := m.client(t)
	c.want("9", "size", "d/f.json")
	c.want("ok", "open", "f", "d/f.json", "r")
	c.want(oldDoc, "pread", "f", "0", "100")
	c.want("ENOENT", "size", "d/n.json")
	c.want("ENOENT", "size", "none/n.json")
	c.want(oldDoc, "mmap", "f", "2", "9")

	m.restored("d/f.json", newDoc)
	c.want("10", "size", "d/f.json")
	c.want(newDoc, "pread", "f", "0", "100")
	c.want(newDoc, "mmap", "f", "2", "10")
	c.want(newDoc, "sendfile", "f")

	m.restored("d/n.json", "[]")
	c.want("[]", "cat", "d/n.json")
	m.server.Changed("none/n.json")
	m.server.Changed("d/f.json/below")
	m.server.Changed("")

	// Who appends must see how the restored version ends.
	c.want("ok", "open", "l", "d/l.jsonl", "a")
	c.want("2", "write", "l", "2\n")
	c.want("ok", "fsync", "l")
	m.restored("d/l.jsonl", "1\n22")
	c.want("2", "write", "l", "3\n")
	c.want("ok", "close", "l")
	c.want("1\n22\n3\n", "cat", "d/l.jsonl")
}

// TestLeftEmpty makes names that are left empty: each is a version, so that it
// is there after the daemon was started anew.
func TestLeftEmpty(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"touched", []step{
			do("a", "ok", "open", "f", "n.json", "c"),
			do("a", "ok", "close", "f"),
		}},
		{"truncated", []step{
			do("a", "ok", "save", "n.json", ""),
		}},
		{"by mknod", []step{
			do("a", "ok", "mknod", "n.json"),
		}},
		{"renamed", []step{
			do("a", "ok", "save", "t.tmp", ""),
			do("a", "ok", "rename", "t.tmp", "n.json"),
		}},
		{"linked", []step{
			do("a", "ok", "save", "t.tmp", ""),
			do("a", "ok", "link", "t.tmp", "n.json"),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			run(t, m, append(tc.steps,
				do("r", "~0", "size", "n.json"),
				do("r", "", "cat", "n.json")))
			poll(t, func() string {
				if len(m.store.committed("n.json")) == 0 {
					return "nothing was committed"
				}
				return ""
			})
			run(t, m, []step{
				do("b", "ok", "open", "f", "n.json", "a"),
				do("b", "2", "write", "f", "[]"),
				do("b", "ok", "close", "f"),
				do("r", "[]", "cat", "n.json"),
			})
			if got := m.store.committed("n.json"); len(got) != 2 || got[0].Size != 0 {
				t.Errorf("commits: %+v", got)
			}
		})
	}
}
