package fs

import (
	"os"
	"path/filepath"
	"testing"
)

// step is one thing a client does and what it is answered. A want that begins
// with "~" is polled for.
type step struct {
	who  string // name of the client; each is a process of its own
	do   []string
	want string
}

func do(who, want string, words ...string) step { return step{who, words, want} }

// run plays steps on a fresh mount, over files that are there before.
func run(t *testing.T, m *mounted, steps []step) {
	t.Helper()
	clients := map[string]*client{}
	for _, s := range steps {
		c := clients[s.who]
		if c == nil {
			c = m.client(t)
			clients[s.who] = c
		}
		switch {
		case s.do[0] == "KILL":
			c.kill()
			delete(clients, s.who)
		case s.do[0] == "EXIT":
			c.end()
			delete(clients, s.who)
		case len(s.want) > 0 && s.want[0] == '~':
			c.eventually(s.want[1:], s.do...)
		default:
			c.want(s.want, s.do...)
		}
		if t.Failed() {
			return
		}
	}
	for _, c := range clients {
		c.end()
	}
}

// seed puts a file beneath before anybody looks.
func (m *mounted) seed(t *testing.T, name, content string) {
	t.Helper()
	p := filepath.Join(m.back, name)
	if err := os.MkdirAll(filepath.Dir(p), 0755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0644); err != nil {
		t.Fatal(err)
	}
}

const (
	oldDoc = `{"old":1}`
	newDoc = `{"new":22}`
)

// tableRow plays steps on a mount in which f.json holds oldDoc, and t.tmp newDoc.
type tableRow struct {
	name  string
	steps []step
	// commits to f.json and refusals there must be in the end, once
	// everything is closed; -1: any.
	commits, refusals int
}

func (tc tableRow) play(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	m.seed(t, "t.tmp", newDoc)
	run(t, m, tc.steps)
	m.quiet(t)
	if got := len(m.store.committed("f.json")); tc.commits >= 0 && got != tc.commits {
		t.Errorf("commits of f.json: got %d, want %d: %+v", got, tc.commits, m.store.committed("f.json"))
	}
	if got := len(m.store.refused()); tc.refusals >= 0 && got != tc.refusals {
		t.Errorf("refusals: got %d, want %d: %+v", got, tc.refusals, m.store.refused())
	}
}

// TestProtected plays the table of what happens to each operation on a
// protected file.
func TestProtected(t *testing.T) {
	for _, tc := range []tableRow{
		{"truncating open stages from empty", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "10", "write", "f", newDoc),
			do("r", oldDoc, "cat", "f.json"),
			do("r", "9", "size", "f.json"),
			do("w", "10", "fsize", "f"),
			do("w", "10", "size", "f.json"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
			do("r", "10", "size", "f.json"),
		}, 1, 0},
		{"a reader keeps its version", []step{
			do("r", "ok", "open", "f", "f.json", "r"),
			do("r", `{"o`, "pread", "f", "0", "3"),
			do("w", "ok", "save", "f.json", newDoc),
			do("r", `ld":1}`, "pread", "f", "3", "100"),
			do("r", newDoc, "pread", "f", "0", "100"),
			do("r", `ew":22}`, "pread", "f", "3", "100"),
		}, 1, 0},
		{"a new name is there when it is complete", []step{
			do("r", "ENOENT", "size", "n.json"),
			do("w", "ok", "open", "f", "n.json", "w"),
			do("w", "0", "size", "n.json"),
			do("r", "ENOENT", "size", "n.json"),
			do("w", "3", "write", "f", `{"a`),
			do("r", "ENOENT", "cat", "n.json"),
			do("r", "f.json t.tmp", "ls", "."),
			do("w", "4", "write", "f", `":1}`),
			do("w", "ok", "close", "f"),
			do("r", `{"a":1}`, "cat", "n.json"),
			do("r", "f.json n.json t.tmp", "ls", "."),
		}, 0, 0},
		{"a new name that is refused is not there", []step{
			do("w", "ok", "open", "f", "n.json", "w"),
			do("w", "4", "write", "f", `{"a"`),
			do("w", "EBADMSG", "close", "f"),
			do("r", "ENOENT", "size", "n.json"),
			do("w", "~ENOENT", "size", "n.json"),
		}, 0, 1},
		{"exclusive creation sees what others begun", []step{
			do("w", "ok", "open", "f", "n.json", "w"),
			do("r", "EEXIST", "open", "f", "n.json", "x"),
			do("r", "EEXIST", "open", "f", "f.json", "x"),
			do("w", "2", "write", "f", `{}`),
			do("w", "ok", "close", "f"),
		}, 0, 0},
		{"invalid content is refused at close", []step{
			do("w", "EBADMSG", "save", "f.json", `{"torn":`),
			do("r", oldDoc, "cat", "f.json"),
		}, 0, 1},
		{"written in any order", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "5", "pwrite", "f", "5", `":22}`),
			do("w", "5", "pwrite", "f", "0", `{"new`),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"in place, longer", []step{
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", oldDoc, "read", "f"),
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("r", oldDoc, "cat", "f.json"),
			do("w", newDoc, "pread", "f", "0", "99"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"in place, shorter, with ftruncate", []step{
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", "2", "pwrite", "f", "0", `{}`),
			do("w", "ok", "ftruncate", "f", "2"),
			do("w", "2", "fsize", "f"),
			do("w", "ok", "close", "f"),
			do("r", `{}`, "cat", "f.json"),
		}, -1, 0},
		{"in place: the base is what is there at the first use", []step{
			do("a", "ok", "open", "f", "f.json", "r+"),
			do("b", "ok", "save", "f.json", `{"seen":1}`),
			do("a", `{"seen":1}`, "read", "f"),
			do("a", "ok", "close", "f"),
			do("b", `{"seen":1}`, "cat", "f.json"),
		}, 1, 0},
		{"a handle that never wrote replaces nothing", []step{
			do("a", "ok", "open", "f", "f.json", "r+"),
			do("a", oldDoc, "read", "f"),
			do("b", "ok", "save", "f.json", newDoc),
			do("a", "ok", "close", "f"),
			do("b", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"appending to a document", []step{
			do("w", "ok", "open", "f", "f.json", "a"),
			do("w", "1", "write", "f", "\n"),
			do("w", "ok", "close", "f"),
			do("r", oldDoc+"\n", "cat", "f.json"),
		}, 1, 0},
		{"emptied, closed, filled later", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "ok", "close", "f"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "ok", "open", "f", "f.json", "a"),
			do("w", "10", "write", "f", newDoc),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"emptied, filled by another save, and only then released", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("b", "ok", "save", "f.json", newDoc),
			do("a", "ok", "close", "f"),
			do("b", "ok", "open", "f", "f.json", "a"),
			do("b", "1", "write", "f", "\n"),
			do("b", "ok", "close", "f"),
			do("b", newDoc+"\n", "cat", "f.json"),
		}, 2, 0},
		{"a draft is no more after a save", []step{
			do("a", "ok", "truncate", "f.json", "0"),
			do("b", "ok", "save", "f.json", newDoc),
			do("b", "ok", "open", "f", "f.json", "r+"),
			do("b", newDoc, "read", "f"),
			do("b", "ok", "close", "f"),
		}, 1, 0},
		{"emptied, closed too early, written after all", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "close", "g"),
			do("a", "10", "write", "f", newDoc),
			do("a", "ok", "close", "f"),
			do("b", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"truncated by path to nothing, filled later", []step{
			do("w", "ok", "truncate", "f.json", "0"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", "2", "write", "f", `[]`),
			do("w", "ok", "close", "f"),
			do("r", `[]`, "cat", "f.json"),
		}, 1, 0},
		{"truncated by path to garbage", []step{
			do("w", "EBADMSG", "truncate", "f.json", "3"),
			do("r", oldDoc, "cat", "f.json"),
		}, 0, 1},
		{"made empty, found by others, filled later", []step{
			do("w", "ok", "open", "f", "n.json", "x"),
			do("w", "ok", "close", "f"),
			do("r", "0", "size", "n.json"),
			do("r", "ok", "chmod", "n.json", "0600"),
			do("w", "ok", "open", "f", "n.json", "r+"),
			do("w", "2", "write", "f", `{}`),
			do("w", "ok", "close", "f"),
			do("r", "{}", "cat", "n.json"),
			do("r", "100600", "mode", "n.json"),
		}, 0, 0},
		{"fsync commits what is whole", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("w", "ok", "fsync", "f"),
			do("r", newDoc, "cat", "f.json"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"fsync of what is not whole arms the truncation", []step{
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", "2", "pwrite", "f", "0", `{}`),
			do("w", "ok", "fsync", "f"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "ok", "ftruncate", "f", "2"),
			do("r", `{}`, "cat", "f.json"),
			do("w", "ok", "close", "f"),
		}, 1, 0},
		{"a quiet handle that stays open commits", []step{
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", "10", "pwrite", "f", "0", newDoc),
			do("r", "~"+newDoc, "cat", "f.json"),
			do("w", "12", "pwrite", "f", "0", `{"again":22}`),
			do("r", `~{"again":22}`, "cat", "f.json"),
			do("w", "ok", "close", "f"),
		}, 2, 0},
		{"a duplicated descriptor is not a close", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "3", "write", "f", `{"a`),
			do("w", "ok", "dup", "f", "g"),
			do("w", "ok", "close", "f"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "4", "write", "g", `":1}`),
			do("w", "ok", "close", "g"),
			do("r", `{"a":1}`, "cat", "f.json"),
		}, 1, 0},
		{"a killed writer leaves the old version", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "3", "write", "f", `{"a`),
			do("w", "", "KILL"),
			do("r", oldDoc, "cat", "f.json"),
		}, 0, -1},
		{"a killed writer of a bare number leaves the old version", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "2", "write", "f", `12`),
			do("w", "", "KILL"),
			do("r", oldDoc, "cat", "f.json"),
		}, 0, -1},
		{"a child is spawned while the file is unfinished", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "3", "write", "f", `{"a`),
			do("w", "ok", "spawn"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "4", "write", "f", `":1}`),
			do("w", "ok", "spawn"),
			do("r", oldDoc, "cat", "f.json"),
			do("w", "ok", "close", "f"),
			do("r", `{"a":1}`, "cat", "f.json"),
		}, 1, 0},
		{"a writer that exits without a close", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("w", "", "EXIT"),
			do("r", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"two writers: the last close wins", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("b", "ok", "open", "f", "f.json", "w"),
			do("a", "5", "write", "f", `["a"]`),
			do("b", "5", "write", "f", `["b"]`),
			do("b", "ok", "close", "f"),
			do("r", `["b"]`, "cat", "f.json"),
			do("a", "ok", "close", "f"),
			do("r", `["a"]`, "cat", "f.json"),
		}, 2, 0},
		{"POSIX of a file that was renamed: still the writer's", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("r", "ok", "rename", "f.json", "f.old"),
			do("r", oldDoc, "cat", "f.old"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.old"),
		}, 0, 0},
		{"an unfinished file is renamed onto the name while open", []step{
			do("w", "ok", "open", "f", "n.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("w", "ok", "rename", "n.json", "f.json"),
			do("r", newDoc, "cat", "f.json"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
			do("r", "ENOENT", "size", "n.json"),
		}, 1, 0},
		{"an empty new file is moved", []step{
			do("w", "ok", "mknod", "n.json"),
			do("w", "0", "size", "n.json"),
			do("w", "ok", "rename", "n.json", "m.json"),
			do("r", "0", "size", "m.json"),
			do("r", "ENOENT", "size", "n.json"),
			do("w", "ok", "rename", "m.json", "m.txt"),
			do("r", "f.json m.txt t.tmp", "ls", "."),
			do("w", "ok", "save", "m.txt", "x"),
			do("r", "x", "cat", "m.txt"),
		}, 0, 0},
		{"a symbolic link takes the name", []step{
			do("w", "ok", "symlink", "t.tmp", "l"),
			do("w", "ok", "rename", "l", "f.json"),
			do("r", newDoc, "cat", "f.json"),
			do("w", "ok", "unlink", "f.json"),
			do("r", newDoc, "cat", "t.tmp"),
		}, 0, 0},
		{"a directory with a protected name", []step{
			do("w", "ok", "mkdir", "d.json"),
			do("w", "ok", "save", "d.json/x", "x"),
			do("r", "x", "ls", "d.json"),
		}, 0, 0},
		{"a protected file takes the place of an unprotected one", []step{
			do("w", "ok", "rename", "f.json", "t.tmp"),
			do("r", oldDoc, "cat", "t.tmp"),
		}, 0, 0},
		{"inode numbers and names survive commits", []step{
			do("w", "ok", "open", "f", "f.json", "r"),
			do("w", "4096", "blksize", "f.json"),
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "1048576", "blksize", "f.json"),
			do("w", "4096", "blksize", "f.json"),
			do("a", "2", "write", "f", "{}"),
			do("a", "ok", "close", "f"),
			do("r", "ok", "save", "f.json", newDoc),
			do("w", "1", "nlink", "f.json"),
		}, 2, 0},
		{"metadata set before close survives", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("w", "ok", "fchmod", "f", "0600"),
			do("w", "ok", "utime", "f.json", "1000000000"),
			do("w", "ok", "setxattr", "f.json", "user.tag", "x"),
			do("w", "ok", "close", "f"),
			do("r", "100600", "mode", "f.json"),
			do("r", "1000000000", "mtime", "f.json"),
			do("r", "x", "getxattr", "f.json", "user.tag"),
			do("r", "user.tag ", "listxattr", "f.json"),
			do("r", "ENODATA", "getxattr", "f.json", "user.intact.ino"),
			do("r", "EPERM", "setxattr", "f.json", "user.intact.ino", "1"),
		}, 1, 0},
		{"metadata set after close, while only the journal has the version", []step{
			do("w", "ok", "save", "n.json", newDoc),
			do("w", "ok", "chmod", "n.json", "0640"),
			do("w", "ok", "chown", "n.json", "12", "13"),
			do("w", "ok", "save", "n.json", oldDoc),
			do("r", "100640", "mode", "n.json"),
			do("r", oldDoc, "cat", "n.json"),
		}, 0, 0},
	} {
		t.Run(tc.name, tc.play)
	}
}
