package fs

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// mountView serves a mount with a view of the given past.
func mountView(t *testing.T, past *memPast) *mounted {
	t.Helper()
	return mount(t, testRules{}, func(o *Options) { o.Past, o.PastTime = past, pastSeconds })
}

func TestViewThroughTheKernel(t *testing.T) {
	past := newMemPast()
	past.keep("a.json", 1, "[1]", worldly)
	past.keep("a.json", 2, "[2]", worldly)
	past.keep("dir/b.json", 1, "[\"b\"]", worldly)
	past.keep("big.json", 1, strings.Repeat("0123456789abcdef", 1<<17), worldly)
	past.refuse("a.json", 3, "[tor")
	m := mountView(t, past)
	m.seed(t, "a.json", "[2]")
	for _, c := range []struct{ name, script, want string }{
		{"it is not listed", "ls -A", "a.json"},
		{"but there", "ls .intact", "at\nhistory\nrejected"},
		{"find", "find .intact/history/dir -type f | wc -l", "1"},
		{"cat", "cat .intact/history/a.json/*", "[1][2]"},
		{"a tree at a time", "cd .intact/at/s1 && find . -name '*.json' | sort | tr '\\n' ' '", "./a.json ./big.json ./dir/b.json"},
		{"grep -r", "grep -rlc '\"b\"' .intact/history", ".intact/history/dir/b.json/2026-11-22T18:00:01.000Z-3.json"},
		{"diff -r", "diff -rq .intact/at/s1 .intact/at/s2 || true", "Files .intact/at/s1/a.json and .intact/at/s2/a.json differ"},
		{"cp -a", "d=$(mktemp -d) && cp -a .intact/at/s1/. $d && cat $d/a.json $d/dir/b.json; rm -rf $d", "[1][\"b\"]"},
		{"cp to the mount restores", "cp .intact/at/s1/a.json a.json && cat a.json", "[1]"},
		{"cp of a large one", "cp .intact/at/s1/big.json big.txt && cmp big.txt .intact/at/s1/big.json && wc -c < big.txt", "2097152"},
		{"mmap and seek", "tail -c 6 .intact/at/s1/big.json", "abcdef"},
		{"dd beyond the end", "dd if=.intact/at/s1/a.json bs=1 skip=100 2>/dev/null | wc -c", "0"},
		{"a lock", "flock -s .intact/at/s1/a.json echo held", "held"},
		{"a lock once more", "flock -xn .intact/at/s1/a.json flock -sn .intact/at/s1/a.json echo both || echo one", "one"},
		{"refused", "cat .intact/rejected/a.json/*0001.json", "[tor"},
		{"dot dot", "cd .intact/history/dir/../../.. && pwd -P", m.dir},
	} {
		out, err := m.shell(t, c.script)
		if got := strings.TrimSpace(out); got != c.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestViewRefusesChanges(t *testing.T) {
	past := newMemPast()
	past.keep("a.json", 1, "[1]", worldly)
	m := mountView(t, past)
	m.seed(t, "a.json", "[2]")
	const file = ".intact/history/a.json/2026-11-22T18:00:01.000Z-1.json"
	run(t, m, []step{
		do("r", "EROFS", "save", file, "[3]"),
		do("r", "EROFS", "open", "f", file, "r+"),
		do("r", "EROFS", "open", "f", file, "a"),
		do("r", "EROFS", "open", "f", file, "rt"),
		do("r", "EROFS", "save", ".intact/new", "x"),
		do("r", "EROFS", "save", ".intact/history/new.json", "x"),
		do("r", "EROFS", "truncate", file, "0"),
		do("r", "EROFS", "unlink", file),
		do("r", "EROFS", "rmdir", ".intact"),
		do("r", "EROFS", "rmdir", ".intact/history/a.json"),
		do("r", "EROFS", "mkdir", ".intact/x"),
		do("r", "EEXIST", "mkdir", ".intact"),
		do("r", "EROFS", "mknod", ".intact/x"),
		do("r", "EROFS", "symlink", "a.json", ".intact/x"),
		do("r", "EROFS", "link", "a.json", ".intact/x"),
		do("r", "EROFS", "link", file, "x.json"),
		do("r", "EROFS", "rename", "a.json", ".intact/x"),
		do("r", "EROFS", "rename", file, "x.json"),
		do("r", "EROFS", "rename", ".intact", "x"),
		do("r", "EROFS", "chmod", file, "0666"),
		do("r", "EROFS", "chown", file, "1", "1"),
		do("r", "EROFS", "utime", file, "5"),
		do("r", "EROFS", "setxattr", file, "user.x", "y"),
		do("r", "[1]", "cat", file),
		do("r", "[2]", "cat", "a.json"),
		do("r", "a.json", "ls", "."),
	})
}

// TestViewOfManyVersions reads more versions than are remembered anywhere, and
// looks what is left of them in the daemon.
func TestViewOfManyVersions(t *testing.T) {
	past := newMemPast()
	for i := range 2000 {
		past.keep("a.json", i, fmt.Sprintf("[%d]", i), worldly)
	}
	m := mountView(t, past)
	out, err := m.shell(t, "grep -r '\\[1999\\]' .intact/history | wc -l; find .intact/history -type f | wc -l")
	if got := strings.Fields(out); err != nil || len(got) != 2 || got[0] != "1" || got[1] != "2000" {
		t.Errorf("got %q, %v", out, err)
	}
	poll(t, func() string {
		if _, open, _ := past.counts(); open != 0 {
			return fmt.Sprintf("%d contents are still open", open)
		}
		return ""
	})
	if reads, _, _ := past.counts(); reads > 500 {
		t.Errorf("%d lists were read for 2000 files", reads)
	}
}

// TestViewForOthers looks as somebody without rights.
func TestViewForOthers(t *testing.T) {
	past := newMemPast()
	past.keep("open.json", 1, "[1]", worldly)
	past.keep("secret.json", 1, "[2]", Attr{Mode: 0600})
	past.keep("closed.json", 1, "[3]", worldly)
	past.keep("private/a.json", 1, "[4]", worldly)
	past.keep("removed.json", 1, "[5]", worldly)
	past.keep("lost/a.json", 1, "[6]", worldly)
	past.refuse("open.json", 2, "[tor")
	m := mountView(t, past)
	for _, name := range []string{"open.json", "secret.json", "closed.json"} {
		m.seed(t, name, "[]")
	}
	if err := os.Mkdir(m.back+"/private", 0700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.back+"/closed.json", 0600); err != nil {
		t.Fatal(err)
	}
	// The test's directory is not for others, the working directory is.
	others := func(script string) string {
		out, _ := m.shell(t, "setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '"+script+"'")
		return strings.TrimSpace(out)
	}
	for _, c := range []struct{ script, want string }{
		{"cat .intact/at/s1/open.json", "[1]"},
		{"cat .intact/history/open.json/*", "[1]"},
		{"cat .intact/at/s1/secret.json", "denied"},
		{"cat .intact/history/secret.json/*", "denied"},
		{"cat .intact/at/s1/closed.json", "denied"},
		{"ls .intact/at/s1/private", "denied"},
		{"cat .intact/history/private/a.json/2026-11-22T18:00:01.000Z-4.json", "denied"},
		{"cat .intact/at/s1/removed.json", "denied"},
		{"ls .intact/history/lost", "denied"},
		{"cat .intact/rejected/open.json/*", "denied"},
		{"touch .intact/x", "denied"},
	} {
		got := others(c.script)
		if c.want == "denied" && strings.Contains(got, "Permission denied") {
			continue
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.script, got, c.want)
		}
	}
}
