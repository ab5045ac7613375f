package fs

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// twins is a mount over a file that has the names f.json and d/g.json, neither of
// which anybody looked up.
func twins(t *testing.T, options ...func(*Options)) *mounted {
	t.Helper()
	m := mount(t, testRules{}, options...)
	m.seed(t, "f.json", oldDoc)
	if err := os.Mkdir(filepath.Join(m.back, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.link(t, "f.json", "d/g.json")
	return m
}

// link makes a hard link beneath.
func (m *mounted) link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(filepath.Join(m.back, from), filepath.Join(m.back, to)); err != nil {
		t.Fatal(err)
	}
}

// TestHardLinks has files with several names, that were there before or are made
// through the mount, and does to one of them what is done to files.
func TestHardLinks(t *testing.T) {
	save := func(name, content string) step { return do("a", "ok", "save", name, content) }
	cat := func(name, want string) step { return do("b", want, "cat", name) }
	settle := do("a", "ok", "chmod", "f.json", "0600") // publishes
	cases := []struct {
		name  string
		steps []step
	}{
		{"a save by the one is seen by the other", []step{
			save("f.json", newDoc), cat("d/g.json", newDoc), do("b", "2", "nlink", "d/g.json")}},
		{"a save by each", []step{
			save("f.json", newDoc), save("d/g.json", "[2]"), cat("f.json", "[2]"), save("f.json", "[3]"), cat("d/g.json", "[3]")}},
		{"a save after both were looked at", []step{
			cat("d/g.json", oldDoc), cat("f.json", oldDoc), save("d/g.json", newDoc), cat("f.json", newDoc)}},
		{"still one file when it is published", []step{
			save("f.json", newDoc), settle, cat("d/g.json", newDoc), do("b", "2", "nlink", "f.json"),
			save("d/g.json", "[2]"), cat("f.json", "[2]"), do("b", "2", "nlink", "f.json")}},
		{"metadata", []step{
			do("a", "ok", "chmod", "f.json", "0600"), do("b", "100600", "mode", "d/g.json"), save("d/g.json", newDoc), do("b", "100600", "mode", "f.json")}},
		{"an open handle by the one, a save by the other", []step{
			do("b", "ok", "open", "h", "f.json", "r"), do("b", oldDoc, "read", "h"), save("d/g.json", newDoc),
			do("b", oldDoc[1:5], "pread", "h", "1", "4"), do("b", "ok", "close", "h"), cat("f.json", newDoc)}},
		{"removed: the other stays", []step{
			save("f.json", newDoc), do("a", "ok", "unlink", "f.json"), do("b", "ENOENT", "cat", "f.json"), cat("d/g.json", newDoc),
			do("b", "1", "nlink", "d/g.json"), save("d/g.json", "[2]"), cat("d/g.json", "[2]"), do("b", "d", "ls", ".")}},
		{"removed before anybody looked at the other", []step{
			do("a", "ok", "unlink", "f.json"), cat("d/g.json", oldDoc), save("d/g.json", newDoc), do("b", "d", "ls", ".")}},
		{"removed while it is open for writing: the save goes on", []step{
			do("a", "ok", "open", "h", "f.json", "w"), do("a", "3", "write", "h", "[2]"), do("b", "ok", "unlink", "f.json"),
			do("a", "ok", "close", "h"), cat("d/g.json", "[2]"), do("b", "ENOENT", "cat", "f.json")}},
		{"both removed", []step{
			save("f.json", newDoc), do("a", "ok", "unlink", "f.json"), do("a", "ok", "unlink", "d/g.json"), do("a", "ok", "rmdir", "d"), do("b", "", "ls", ".")}},
		{"a file renamed over one name", []step{
			save("t", newDoc), do("a", "ok", "rename", "t", "f.json"), cat("f.json", newDoc), cat("d/g.json", oldDoc),
			save("d/g.json", "[2]"), save("f.json", "[3]"), cat("d/g.json", "[2]"), cat("f.json", "[3]")}},
		{"a file renamed over one name is one less", []step{
			do("b", "ok", "open", "h", "d/g.json", "r"), save("t", newDoc), do("a", "ok", "rename", "t", "f.json"), do("a", "1", "nlink", "d/g.json"), do("a", "1", "nlink", "f.json")}},
		{"a file renamed over a name of what is pending", []step{
			save("f.json", "[1]"), save("t", newDoc), do("a", "ok", "rename", "t", "f.json"), cat("f.json", newDoc), cat("d/g.json", "[1]"),
			settle, cat("d/g.json", "[1]")}},
		{"a protected file renamed over one name", []step{
			save("n.json", newDoc), do("a", "ok", "rename", "n.json", "d/g.json"), cat("d/g.json", newDoc), cat("f.json", oldDoc)}},
		{"one renamed", []step{
			save("f.json", "[1]"), do("a", "ok", "rename", "f.json", "n.json"), cat("d/g.json", "[1]"), save("d/g.json", "[2]"),
			cat("n.json", "[2]"), save("n.json", "[3]"), cat("d/g.json", "[3]")}},
		{"one renamed over another file", []step{
			save("n.json", "[0]"), save("f.json", "[1]"), do("a", "ok", "rename", "f.json", "n.json"), cat("n.json", "[1]"),
			save("n.json", "[2]"), cat("d/g.json", "[2]"), do("b", "2", "nlink", "d/g.json"), do("b", "d n.json", "ls", ".")}},
		{"one renamed over the other", []step{
			save("f.json", "[1]"), do("a", "ok", "rename", "f.json", "d/g.json"), cat("f.json", "[1]"), cat("d/g.json", "[1]")}},
		{"one renamed out of protection", []step{
			save("f.json", "[1]"), do("a", "ok", "rename", "f.json", "plain"), cat("d/g.json", "[1]"), do("b", "[1]", "cat", "plain"),
			do("b", "d plain", "ls", "."), save("d/g.json", "[2]"), do("b", "[1]", "cat", "plain")}},
		{"one renamed out of protection, over a file", []step{
			save("plain", "x"), do("a", "ok", "rename", "f.json", "plain"), do("b", oldDoc, "cat", "plain"), cat("d/g.json", oldDoc),
			do("b", "d plain", "ls", ".")}},
		{"the directory renamed", []step{
			save("f.json", "[1]"), do("a", "ok", "rename", "d", "e"), cat("e/g.json", "[1]"), save("e/g.json", "[2]"), cat("f.json", "[2]")}},
		{"exchanged with another file", []step{
			save("n.json", "[0]"), save("f.json", "[1]"), do("a", "ok", "rename", "f.json", "n.json", "2"), cat("f.json", "[0]"), cat("n.json", "[1]"),
			save("n.json", "[2]"), cat("d/g.json", "[2]"), cat("f.json", "[0]")}},
		{"a third name", []step{
			save("f.json", "[1]"), do("a", "ok", "link", "f.json", "n.json"), do("b", "3", "nlink", "d/g.json"), save("n.json", "[2]"),
			cat("f.json", "[2]"), cat("d/g.json", "[2]"), do("b", "3", "nlink", "n.json"), do("a", "EEXIST", "link", "f.json", "n.json")}},
		{"a name that no rule protects is a copy", []step{
			save("f.json", "[1]"), do("a", "ok", "link", "f.json", "bak"), save("f.json", "[2]"), do("b", "[1]", "cat", "bak"), do("b", "1", "nlink", "bak")}},
		{"a name under another rule is a version of its own", []step{
			save("f.json", "[1]"), do("a", "ok", "link", "f.json", "n.jsonl"), save("f.json", "[2]"), do("b", "[1]", "cat", "n.jsonl")}},
		{"a link of what is being written", []step{
			do("a", "ok", "open", "h", "f.json", "w"), do("a", "3", "write", "h", "[2]"), do("b", "ok", "link", "f.json", "n.json"),
			cat("n.json", oldDoc), do("a", "ok", "close", "h"), cat("n.json", "[2]"), cat("d/g.json", "[2]")}},
		{"refused by all names", []step{
			do("a", "EBADMSG", "save", "f.json", "[1"), cat("f.json", oldDoc), cat("d/g.json", oldDoc)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := twins(t)
			run(t, m, c.steps)
		})
	}
}

// TestHardLinksOfLines appends by one name and reads by the other.
func TestHardLinksOfLines(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.jsonl", "1\n")
	m.link(t, "f.jsonl", "g.jsonl")
	run(t, m, []step{
		do("a", "ok", "open", "h", "g.jsonl", "a"),
		do("a", "2", "write", "h", "2\n"),
		do("a", "ok", "close", "h"),
		do("b", "1\n2\n", "cat", "f.jsonl"),
		do("b", "2", "nlink", "f.jsonl"),
	})
}

// TestHardLinksAreOneInode compares what the names tell, before and after.
func TestHardLinksAreOneInode(t *testing.T) {
	m := twins(t)
	c := m.client(t)
	before := c.do("ino", "f.json")
	if got := c.do("ino", "d/g.json"); got != before {
		t.Errorf("inode numbers %s and %s", before, got)
	}
	c.want("ok", "save", "f.json", newDoc)
	c.want("ok", "link", "d/g.json", "n.json")
	for _, name := range []string{"f.json", "d/g.json", "n.json"} {
		c.want(before, "ino", name)
	}
	want := []string{"f.json", "d/g.json", "n.json"}
	c.want("ok", "save", "n.json", "[2]")
	commits := m.store.committed("f.json")
	last := commits[len(commits)-1]
	if names := append([]string{last.Path}, last.Links...); !slices.Equal(names, want) || last.Note != "" {
		t.Errorf("committed to %v, note %q; want %v", names, last.Note, want)
	}
}

// TestHardLinksThatPart commits to a file with a name that no rule protects and
// one that another does: they keep what they have, and the log says so once.
func TestHardLinksThatPart(t *testing.T) {
	log := &syncBuffer{}
	m := twins(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	m.link(t, "f.json", "plain")
	m.link(t, "f.json", "n.jsonl")
	run(t, m, []step{
		do("a", "4", "nlink", "f.json"),
		do("a", "ok", "save", "f.json", newDoc),
		do("a", "ok", "save", "f.json", "[]"),
		do("a", "[]", "cat", "f.json"),
		do("a", "[]", "cat", "d/g.json"),
		do("a", oldDoc, "cat", "n.jsonl"),
		do("a", oldDoc, "cat", "plain"),
		do("a", "2", "nlink", "f.json"),
	})
	if got := log.count("hard links that can't follow"); got != 1 {
		t.Errorf("reports: got %d, want 1", got)
	}
	commits := m.store.committed("f.json")
	if len(commits) != 2 || commits[0].Note != noteParted || commits[1].Note != "" {
		t.Errorf("commits: %+v", commits)
	}
}
