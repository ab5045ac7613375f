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
		{"two, the other was copied and closed", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "dup", "g", "copy"),
			do("a", "ok", "close", "g"),
			do("a", "2", "write", "f", "[]"),
			do("a", "ok", "close", "f"),
			do("r", "[]", "cat", "f.json"),
			do("a", "2", "write", "copy", "{}"),
			do("a", "ok", "close", "copy"),
			do("r", "{}", "cat", "f.json"),
		}, 2, 0},
		{"two, the first was copied and closed before the second came", []step{
			do("a", "ok", "open", "g", "f.json", "r+"),
			do("a", "ok", "dup", "g", "copy"),
			do("a", "ok", "close", "g"),
			do("a", "ok", "open", "f", "f.json", "r+"),
			do("a", "10", "pwrite", "f", "0", newDoc),
			do("a", "ok", "close", "f"),
			do("r", newDoc, "cat", "f.json"),
			do("a", newDoc, "read", "copy"),
			do("a", "ok", "close", "copy"),
		}, 1, 0},
		{"a copy is closed in the middle beside another", []step{
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "dup", "g", "g2"),
			do("a", "ok", "close", "g"),
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "ok", "dup", "f", "copy"),
			do("a", "1", "write", "f", "["),
			do("a", "ok", "close", "f"),
			do("r", oldDoc, "cat", "f.json"),
			do("a", "1", "write", "copy", "]"),
			do("a", "ok", "close", "copy"),
			do("r", "[]", "cat", "f.json"),
			do("a", "ok", "close", "g2"),
			do("r", "[]", "cat", "f.json"),
		}, 1, 0},
		{"the other is closed first", []step{
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "ok", "dup", "f", "copy"),
			do("a", "ok", "close", "g"),
			do("a", "2", "write", "f", "[]"),
			do("a", "ok", "close", "f"),
			do("r", oldDoc, "cat", "f.json"),
			do("a", "ok", "close", "copy"),
			do("r", "[]", "cat", "f.json"),
		}, 1, 0},
		{"an error is told though a copy of another is open", []step{
			do("a", "ok", "open", "g", "f.json", "w"),
			do("a", "ok", "dup", "g", "copy"),
			do("a", "ok", "close", "g"),
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "1", "write", "f", "["),
			do("a", "EBADMSG", "close", "f"),
			do("r", oldDoc, "cat", "f.json"),
		}, 0, 1},
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
		{"truncating, by exec", `exec 9>f.json; echo '[1]' > f.json; cat f.json; exec 9>&-`},
		{"truncating, by exec, with children", `exec 9>f.json; { true; /bin/echo '[1]'; true; } > f.json; cat f.json; exec 9>&-`},
		{"truncating, by a subshell", `( flock 9; /bin/echo '[1]' > f.json; cat f.json ) 9>f.json`},
		{"truncating, by a group", `{ flock 9; echo '[1]' > f.json; cat f.json; } 9>f.json`},
		{"twice", `exec 8<>f.json 9<>f.json; printf '[1]\n       ' 1<>f.json; cat f.json | head -n 1; exec 9>&- 8>&-`},
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

// TestLeast counts the descriptors of other handles.
func TestLeast(t *testing.T) {
	for _, tc := range []struct {
		name  string
		kin   kin
		table uint64
		want  int
	}{
		{"nothing known", kin{had: 3}, 1, 0},
		{"none closed", kin{known: true, had: 2, opened: 1}, 1, 3},
		{"closed by this table", kin{known: true, had: 2, closed: map[uint64]int{1: 1, 2: 2}}, 1, 1},
		{"closed by others", kin{known: true, had: 2, closed: map[uint64]int{2: 2}}, 1, 2},
		{"of some table", kin{known: true, had: 3, closed: map[uint64]int{1: 1, 2: 2}}, 0, 1},
		{"copies were closed as well", kin{known: true, had: 1, closed: map[uint64]int{1: 5}}, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.kin.least(tc.table); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
	k := kin{known: true}
	k.shut(1)
	if len(k.closed) > 0 {
		t.Error("closes are counted where there is nothing to close")
	}
	k.had = 1
	for table := range uint64(maxTables) {
		k.shut(table)
		k.shut(table)
	}
	if !k.known || len(k.closed) != maxTables || k.closed[3] != 2 {
		t.Errorf("after %d tables: %+v", maxTables, k)
	}
	if k.shut(maxTables); k.known {
		t.Error("too many tables are kept")
	}
}

// TestPosition follows where a handle is.
func TestPosition(t *testing.T) {
	var w writer
	w.moved(0, 5)
	w.moved(5, 2)
	if got := w.next.Load(); got != 7 {
		t.Errorf("got %d, want 7", got)
	}
	w.moved(3, 1)
	if w.moved(4, 1); w.next.Load() != -1 {
		t.Errorf("got %d after a jump, want -1", w.next.Load())
	}
}

// TestHurried closes what is not whole where there is no time to look at other
// processes: no error may be told that one of them could prove wrong.
func TestHurried(t *testing.T) {
	m := mount(t, testRules{}, func(o *Options) { o.scan = 1 })
	m.seed(t, "f.json", oldDoc)
	run(t, m, []step{
		do("a", "ok", "open", "f", "f.json", "w"),
		do("a", "1", "write", "f", "["),
		do("a", "ok", "close", "f"),
		do("r", oldDoc, "cat", "f.json"),
	})
	poll(t, func() string {
		if len(m.store.refused()) != 1 {
			return "nothing was refused"
		}
		return ""
	})
}
