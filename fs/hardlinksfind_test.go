package fs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// restoredTwins commits to both names of twins past the mount.
func (m *mounted) restoredTwins(content string) {
	m.store.mu.Lock()
	m.store.tx++
	v := Version{Tx: m.store.tx, Size: int64(len(content)), Attr: Attr{Mode: 0644}, Names: []string{"f.json", "d/g.json"}}
	m.store.pending["f.json"] = memVersion{v, []byte(content)}
	m.store.mu.Unlock()
}

// settle publishes everything.
func (m *mounted) settle(t *testing.T) {
	t.Helper()
	if err := m.store.Settle(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
}

// TestHardLinksArePublishedBehind has the inode of a file change while only one
// of its names is known: by the other it is the same file still.
func TestHardLinksArePublishedBehind(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before func(*testing.T, *mounted, *client)
	}{
		{"restored by the name that is known", func(t *testing.T, m *mounted, c *client) {
			c.want(oldDoc, "cat", "f.json")
			m.restoredTwins(newDoc)
			m.server.Changed("f.json")
		}},
		{"restored by the name that is not known", func(t *testing.T, m *mounted, c *client) {
			c.want("ok", "open", "f", "f.json", "r")
			c.want(oldDoc, "mmap", "f", "2", "9")
			m.restoredTwins(newDoc)
			m.server.Changed("d/g.json")
			c.want(newDoc, "mmap", "f", "2", "10")
			c.want("ok", "close", "f")
		}},
		{"told of when it is published", func(t *testing.T, m *mounted, c *client) {
			c.want(oldDoc, "cat", "f.json")
			m.restoredTwins(newDoc)
			m.settle(t)
			m.server.Changed("f.json")
		}},
		{"looked up while it is pending", func(t *testing.T, m *mounted, c *client) {
			m.restoredTwins(newDoc)
			c.want(newDoc, "cat", "f.json")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := twins(t)
			c := m.client(t)
			tc.before(t, m, c)
			m.settle(t)
			c.want(newDoc, "cat", "d/g.json")
			c.want("ok", "save", "f.json", "[3]")
			c.want("[3]", "cat", "d/g.json")
			c.want("ok", "save", "d/g.json", "[4]")
			c.want("[4]", "cat", "f.json")
			for _, commit := range m.store.committed("f.json") {
				if commit.Note != "" {
					t.Errorf("note %q", commit.Note)
				}
			}
		})
	}
}

// TestHardLinksOfAReusedInode has a file get the inode number that another one
// had when it was found.
func TestHardLinksOfAReusedInode(t *testing.T) {
	m := twins(t)
	c := m.client(t)
	c.want(oldDoc, "cat", "f.json") // known by the inode of both
	if err := os.Remove(filepath.Join(m.back, "f.json")); err != nil {
		t.Fatal(err)
	}
	m.seed(t, "f.json", newDoc) // has another
	m.link(t, "d/g.json", "d/h.json")
	c.want(oldDoc, "cat", "d/h.json")
	c.want("ok", "save", "d/h.json", "[3]")
	c.want(newDoc, "cat", "f.json")
	c.want("[3]", "cat", "d/g.json")
}

// TestHardLinksOfAStage saves while what was published has one more name in the
// staging directory, for a moment: nothing parts, and nothing is looked for.
func TestHardLinksOfAStage(t *testing.T) {
	log := &syncBuffer{}
	m := twins(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	c := m.client(t)
	c.want("ok", "save", "f.json", newDoc)
	m.settle(t)
	looked := m.store.walked()
	m.link(t, "f.json", ".intact/staging/s-1")
	c.want("ok", "save", "f.json", "[3]")
	if got := m.store.walked() - looked; got != 0 {
		t.Errorf("walked through the directory %d times", got)
	}
	if got := log.count("hard links that can't follow"); got != 0 {
		t.Errorf("reports: got %d", got)
	}
	c.want("[3]", "cat", "d/g.json")
}

// TestHardLinksThatPartSay refuses a commit to a file that has a name which can't
// follow: the next one says so all the same.
func TestHardLinksThatPartSay(t *testing.T) {
	m := twins(t)
	m.link(t, "f.json", "plain")
	c := m.client(t)
	m.store.failWith(errInvalid)
	c.want("EBADMSG", "save", "f.json", newDoc)
	m.store.failWith(nil)
	c.want("ok", "save", "f.json", newDoc)
	if commits := m.store.committed("f.json"); len(commits) != 1 || commits[0].Note != noteParted {
		t.Errorf("commits: %+v", commits)
	}
}

// TestTooManyHardLinks commits to a file with more names than a version can be
// for: those that are too many part, and link makes none.
func TestTooManyHardLinks(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	long := strings.Repeat("x", 200)
	const n = 400
	for i := range n {
		m.link(t, "f.json", fmt.Sprintf("%s%d.json", long, i))
	}
	c := m.client(t)
	c.want("ok", "save", "f.json", newDoc)
	c.want(newDoc, "cat", "f.json")
	c.want("EMLINK", "link", "f.json", long+long[:40]+".json")
	commits := m.store.committed("f.json")
	if len(commits) != 1 || commits[0].Note != noteParted || len(commits[0].Links) < n/2 || len(commits[0].Links) >= n {
		t.Fatalf("%d commits, %d names, note %q", len(commits), len(commits[0].Links), commits[0].Note)
	}
	followed := map[string]bool{}
	for _, name := range commits[0].Links {
		followed[name] = true
	}
	for i := range n {
		name := fmt.Sprintf("%s%d.json", long, i)
		want := oldDoc
		if followed[name] {
			want = newDoc
		}
		c.want(want, "cat", name)
	}
}

// TestTooManyHardLinksKnown is the same for names that were looked up.
func TestTooManyHardLinksKnown(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	long := strings.Repeat("x", 200)
	const n = 400
	c := m.client(t)
	for i := range n {
		name := fmt.Sprintf("%s%d.json", long, i)
		m.link(t, "f.json", name)
		c.want(oldDoc, "cat", name)
	}
	c.want(oldDoc, "cat", "f.json")
	c.want("ok", "save", long+"0.json", newDoc)
	c.want("ok", "save", long+"0.json", "[3]")
	c.want("[3]", "cat", long+"0.json")
	if got := fmt.Sprint(len(m.store.committed(long + "0.json"))); got != "2" {
		t.Errorf("%s commits", got)
	}
}

// outside protects what testRules does, but nothing below out.
type outside struct{ testRules }

func (r outside) For(p string) *Rule {
	if strings.HasPrefix(p, "out/") {
		return nil
	}
	return r.testRules.For(p)
}

// TestHardLinksUnderOtherRules gives one of the names of a file to another rule,
// or to none.
func TestHardLinksUnderOtherRules(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"renamed", []step{
			do("a", "ok", "rename", "d/g.json", "n.jsonl"), do("a", "~1", "nlink", "n.jsonl"), do("a", "ok", "save", "n.jsonl", "1\n2\n"),
			do("a", oldDoc, "cat", "f.json"), do("a", "ok", "save", "f.json", newDoc), do("b", "1\n2\n", "cat", "n.jsonl"),
			do("b", "", "ls", "d")}},
		{"renamed over a file", []step{
			do("a", "ok", "save", "n.jsonl", "0\n"), do("a", "ok", "rename", "d/g.json", "n.jsonl"), do("a", "~"+oldDoc, "cat", "n.jsonl"),
			do("a", "ok", "save", "f.json", newDoc), do("b", oldDoc, "cat", "n.jsonl"), do("b", "", "ls", "d")}},
		{"exchanged", []step{
			do("a", "ok", "save", "n.jsonl", "0\n"), do("a", "EINVAL", "rename", "d/g.json", "n.jsonl", "2"),
			do("a", "ok", "save", "plain", "[0]"), do("a", "EINVAL", "rename", "plain", "f.json", "2"),
			do("a", "ok", "save", "d/g.json", newDoc), do("b", newDoc, "cat", "f.json"), do("b", "0\n", "cat", "n.jsonl")}},
		{"with its directory", []step{
			do("a", oldDoc, "cat", "d/g.json"), do("a", oldDoc, "cat", "f.json"), do("a", "ok", "rename", "d", "out"),
			do("a", "ok", "save", "f.json", newDoc), do("a", "~"+oldDoc, "cat", "out/g.json"), do("a", "ok", "save", "out/g.json", "x"),
			do("a", newDoc, "cat", "f.json"), do("a", "ok", "unlink", "f.json"), do("a", "x", "cat", "out/g.json")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, outside{})
			m.seed(t, "d/g.json", oldDoc)
			m.link(t, "d/g.json", "f.json")
			run(t, m, tc.steps)
		})
	}
}
