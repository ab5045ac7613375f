package fs

import "testing"

// TestOtherHandles closes handles while other descriptors on the file are open
// that are none of their copies.
func TestOtherHandles(t *testing.T) {
	for _, tc := range []tableRow{
		{"two of one process, closed in turn", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "2", "write", "f", "[]"),
			do("a", "ok", "close", "f"),
			do("r", "[]", "cat", "f.json"),
			do("a", "2", "write", "g", "{}"),
			do("a", "ok", "close", "g"),
			do("r", "{}", "cat", "f.json"),
		}, 2, 0},
		{"three, one with a copy", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "ok", "dup", "f", "copy"),
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "open", "h", "f.json", "r+"),
			do("a", "2", "write", "f", "[]"),
			do("a", "ok", "close", "f"),
			do("r", oldDoc, "cat", "f.json"),
			do("a", "ok", "close", "copy"),
			do("r", "[]", "cat", "f.json"),
		}, 1, 0},
		{"an error is told though others have it open", []step{
			do("b", "ok", "open", "g", "f.json", "r+"),
			do("b", oldDoc, "read", "g"),
			do("c", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "open", "h", "f.json", "w"),
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "1", "write", "f", "["),
			do("a", "EBADMSG", "close", "f"),
			do("b", "ok", "close", "g"),
			do("r", oldDoc, "cat", "f.json"),
		}, 0, 1},
	} {
		t.Run(tc.name, tc.play)
	}
}

// TestShellHolds is a lock file that is the data file: the shell keeps it open
// for appending, and writes it anew through another descriptor.
func TestShellHolds(t *testing.T) {
	for _, tc := range []struct{ name, script string }{
		{"by exec", `exec 9>>f.json; echo '[1]' > f.json; cat f.json; exec 9>&-`},
		{"by a subshell", `( flock 9; /bin/echo '[1]' > f.json; cat f.json ) 9>>f.json`},
		{"by a group", `{ flock 9; echo '[1]' | cat > f.json; cat f.json; } 9>>f.json`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "f.json", oldDoc)
			if out, err := m.shell(t, tc.script); out != "[1]\n" || err != nil {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

// TestKilledAppender has a writer die while it holds a lock and a line that can
// pass for a whole one. Its close comes before the quiet time is over, the
// release after, since somebody still maps the file.
func TestKilledAppender(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "l.jsonl", "1\n")
	run(t, m, []step{
		do("w", "ok", "open", "f", "l.jsonl", "a"),
		do("w", "ok", "flock", "f", "2"),
		do("w", "2", "write", "f", "23"),
		do("w", "", "KILL"),
		do("r", "ok", "open", "f", "l.jsonl", "r"),
		do("r", "~ok", "flock", "f", "5"), // LOCK_SH | LOCK_NB
		do("r", "1\n", "cat", "l.jsonl"),
	})
	m.quiet(t)
	if got := m.store.committed("l.jsonl"); len(got) > 0 {
		t.Errorf("committed: %+v", got)
	}
	if got := len(m.store.refused()); got != 1 {
		t.Errorf("refusals: got %d, want 1", got)
	}
}
