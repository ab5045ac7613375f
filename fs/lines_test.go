package fs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oldLines = "{\"n\":0}\n{\"n\":1}\n"

// TestAppends plays what programs do with O_APPEND on a file of lines. Before
// each case l.jsonl holds oldLines.
func TestAppends(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
		// appended is what must have been handed to Store.Append, and want
		// what l.jsonl holds in the end.
		appended []string
		want     string
	}{
		{"a record", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "2\n"),
			do("r", oldLines, "cat", "l.jsonl"),
			do("a", "18", "fsize", "f"),
			do("a", "ok", "close", "f"),
		}, []string{"2\n"}, oldLines + "2\n"},
		{"two at once", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("b", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "2\n"),
			do("b", "2", "write", "f", "3\n"),
			do("a", "2", "write", "f", "4\n"),
			do("b", "ok", "close", "f"),
			do("a", "ok", "close", "f"),
		}, []string{"3\n", "2\n4\n"}, oldLines + "3\n2\n4\n"},
		{"after a line without its end", []step{
			do("a", "ok", "save", "l.jsonl", "1"),
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "1", "write", "f", "2"),
			do("a", "ok", "close", "f"),
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "3", "write", "f", "\n3\n"),
			do("a", "ok", "close", "f"),
		}, []string{"\n2", "\n3\n"}, "1\n2\n3\n"},
		{"a line feed by itself", []step{
			do("a", "ok", "save", "l.jsonl", "1"),
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "1", "write", "f", "\n"),
			do("a", "ok", "close", "f"),
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "2\n"),
			do("a", "ok", "close", "f"),
		}, []string{"\n", "2\n"}, "1\n2\n"},
		{"to a new name", []step{
			do("a", "ok", "open", "f", "n.jsonl", "a"),
			do("a", "2", "write", "f", "1\n"),
			do("a", "ok", "close", "f"),
			do("a", "1\n", "cat", "n.jsonl"),
		}, []string{"1\n"}, oldLines},
		{"reading what it appends to", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a+"),
			do("a", "2", "write", "f", "2\n"),
			do("b", "ok", "open", "f", "l.jsonl", "a"),
			do("b", "2", "write", "f", "9\n"),
			do("b", "ok", "close", "f"),
			do("a", oldLines+"9\n2\n", "pread", "f", "0", "100"),
			do("a", "9\n2", "pread", "f", "16", "3"),
			do("a", "20", "fsize", "f"),
			do("a", "ok", "close", "f"),
		}, []string{"9\n", "2\n"}, oldLines + "9\n2\n"},
		{"synced and gone on with", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "2\n"),
			do("a", "ok", "fsync", "f"),
			do("r", oldLines+"2\n", "cat", "l.jsonl"),
			do("a", "2", "write", "f", "3\n"),
			do("a", "ok", "close", "f"),
		}, []string{"2\n", "3\n"}, oldLines + "2\n3\n"},
		{"cut through the handle", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a+"),
			do("a", "2", "write", "f", "2\n"),
			do("a", "ok", "ftruncate", "f", "8"),
			do("a", "2", "write", "f", "3\n"),
			do("a", "{\"n\":0}\n3\n", "pread", "f", "0", "100"),
			do("a", "ok", "close", "f"),
		}, nil, "{\"n\":0}\n3\n"},
		{"cut, committed and appended to", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "ok", "ftruncate", "f", "8"),
			do("a", "ok", "fsync", "f"),
			do("b", "ok", "open", "f", "l.jsonl", "a"),
			do("b", "2", "write", "f", "9\n"),
			do("b", "ok", "close", "f"),
			do("a", "2", "write", "f", "3\n"),
			do("a", "ok", "close", "f"),
		}, []string{"9\n", "3\n"}, "{\"n\":0}\n9\n3\n"},
		{"a file that was emptied", []step{
			do("a", "ok", "truncate", "l.jsonl", "0"),
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "5\n"),
			do("a", "ok", "close", "f"),
		}, nil, "5\n"},
		{"more than an append carries", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "14", "write", "f", "\"0123456789a\"\n"),
			do("a", "ok", "close", "f"),
		}, nil, oldLines + "\"0123456789a\"\n"},
		{"renamed out of protection", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "2\n"),
			do("b", "ok", "rename", "l.jsonl", "plain"),
			do("a", "ok", "close", "f"),
			do("b", oldLines+"2\n", "cat", "plain"),
			do("b", "ok", "rename", "plain", "l.jsonl"),
		}, nil, oldLines + "2\n"},
		{"a bad line", []step{
			do("a", "ok", "open", "f", "l.jsonl", "a"),
			do("a", "2", "write", "f", "{\n"),
			do("a", "EBADMSG", "close", "f"),
		}, nil, oldLines},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "l.jsonl", oldLines)
			m.store.maxAppend = 10
			run(t, m, tc.steps)
			m.quiet(t)
			if diff := cmp.Diff(tc.appended, m.store.appended); diff != "" {
				t.Errorf("appended (-want +got):\n%s", diff)
			}
			m.client(t).want(tc.want, "cat", "l.jsonl")
		})
	}
}

// TestAppendMoved commits past the document between its look and its append.
func TestAppendMoved(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "l.jsonl", oldLines)
	m.store.moveOnce = func() {
		m.store.tx++
		v := Version{Tx: m.store.tx, Size: 1, Attr: Attr{Mode: 0644}}
		m.store.pending["l.jsonl"] = memVersion{v, []byte("7")}
	}
	run(t, m, []step{
		do("a", "ok", "open", "f", "l.jsonl", "a"),
		do("a", "2", "write", "f", "2\n"),
		do("a", "ok", "close", "f"),
		do("a", "7\n2\n", "cat", "l.jsonl"),
	})
}

// TestAppendersKeepAll lets processes append at the same time, some through a
// handle that stays open and is settled by its quiet time.
func TestAppendersKeepAll(t *testing.T) {
	const each, clients = 30, 3
	m := mount(t, testRules{})
	m.seed(t, "l.jsonl", "{}") // without a line feed
	done := make(chan string, clients)
	for i := range clients {
		c := m.client(t)
		go func() { done <- c.do("appends", "l.jsonl", fmt.Sprint(each), fmt.Sprint(i)) }()
	}
	held := m.client(t)
	held.want("ok", "open", "f", "l.jsonl", "a")
	for i := range each {
		held.want("2", "write", "f", fmt.Sprintf("%d\n", i%10))
	}
	for range clients {
		if got := <-done; got != "ok" {
			t.Fatal(got)
		}
	}
	held.want("ok", "close", "f")
	lines := strings.Split(strings.TrimSpace(held.do("cat", "l.jsonl")), "\n")
	if got, want := len(lines), 1+each*(clients+1); got != want {
		t.Errorf("lines: got %d, want %d", got, want)
	}
	slices.Sort(lines)
	for i := range clients {
		for n := range each {
			if want := fmt.Sprintf("{\"who\":\"%d\",\"n\":%d}", i, n); !slices.Contains(lines, want) {
				t.Errorf("%s is missing", want)
			}
		}
	}
}

// TestAppendToALostName begins to write through handles that append to a file
// whose name was given to another one meanwhile, or is gone.
func TestAppendToALostName(t *testing.T) {
	for name, lose := range map[string][]step{
		"removed":  {do("b", "ok", "unlink", "f.jsonl")},
		"replaced": {do("b", "ok", "save", "t", "[0]\n"), do("b", "ok", "rename", "t", "f.jsonl")},
	} {
		t.Run(name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "f.jsonl", "1\n")
			steps := append([]step{do("a", "ok", "open", "h", "f.jsonl", "a"), do("a", "ok", "open", "g", "f.jsonl", "a")}, lose...)
			run(t, m, append(steps,
				do("a", "ok", "ftruncate", "h", "0"), do("a", "2", "write", "h", "2\n"), do("a", "2", "fsize", "h"),
				do("a", "2", "write", "g", "3\n"), do("a", "ok", "close", "g"), do("a", "ok", "close", "h")))
		})
	}
}
