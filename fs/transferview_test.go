package fs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestOwnSizeIsNobodyElses plays on a document that somebody reads through pages:
// a writer is told of its own size, and others read up to what is committed.
func TestOwnSizeIsNobodyElses(t *testing.T) {
	long := `{"new":"` + strings.Repeat("x", 2000) + `"}`
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"emptied", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "0", "fsize", "f"),
			do("r", oldDoc, "sendfile", "r"),
			do("w", "10", "write", "f", newDoc),
			do("w", "10", "fsize", "f"),
			do("r", oldDoc, "sendfile", "r"),
			do("w", "ok", "close", "f"),
			do("r", newDoc, "sendfile", "r"),
		}},
		{"emptied and written without a look", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", fmt.Sprint(len(long)), "write", "f", long),
			do("r", oldDoc, "sendfile", "r"),
			do("w", fmt.Sprint(len(long)), "fsize", "f"),
			do("w", fmt.Sprint(len(long)), "seek", "f", "0", "2"),
			do("r", oldDoc, "sendfile", "r"),
			do("w", "ok", "close", "f"),
			do("r", long, "sendfile", "r"),
			do("r", long, "cat", "f.json"),
		}},
		{"in place and cut off", []step{
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", "2", "pwrite", "f", "0", `{}`),
			do("w", "ok", "ftruncate", "f", "2"),
			do("r", oldDoc, "sendfile", "r"),
			do("w", "2", "fsize", "f"),
			do("w", "2", "seek", "f", "0", "2"),
			do("w", "2", "size", "f.json"),
			do("r", "9", "size", "f.json"),
			do("r", oldDoc, "mmap", "r", "2", "9"),
			do("w", "ok", "close", "f"),
			do("r", `{}`, "sendfile", "r"),
		}},
		{"longer and shorter", []step{
			do("w", "ok", "save", "f.json", long),
			do("r", long, "sendfile", "r"),
			do("w", "ok", "save", "f.json", oldDoc),
			do("r", oldDoc, "sendfile", "r"),
			do("w", "ok", "save", "f.json", long),
			do("r", long, "sendfile", "r"),
			do("r", long, "mmap", "r", "2", fmt.Sprint(len(long))),
		}},
		{"a refused save", []step{
			do("w", "EBADMSG", "save", "f.json", `{"torn":`),
			do("r", oldDoc, "sendfile", "r"),
			do("w", "ok", "save", "f.json", newDoc),
			do("r", newDoc, "sendfile", "r"),
		}},
		{"a save by a name", []step{
			do("w", "ok", "save", "t.tmp", newDoc),
			do("w", "ok", "rename", "t.tmp", "f.json"),
			do("r", oldDoc, "sendfile", "r"),
			do("r", newDoc, "cat", "f.json"),
		}},
		{"by the reader itself, which keeps its handle", []step{
			do("r", "ok", "save", "f.json", newDoc),
			do("r", newDoc, "sendfile", "r"),
			do("r", "ok", "open", "f", "f.json", "r+"),
			do("r", newDoc, "sendfile", "f"),
			do("r", "8", "pwrite", "f", "0", `{"a":11}`),
			do("r", newDoc, "sendfile", "f"),
			do("r", "ok", "ftruncate", "f", "8"),
			do("r", newDoc, "sendfile", "r"),
			do("r", "ok", "close", "f"),
			do("r", `{"a":11}`, "sendfile", "r"),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "f.json", oldDoc)
			run(t, m, append([]step{
				do("r", "ok", "open", "r", "f.json", "r"),
				do("r", oldDoc, "sendfile", "r"),
			}, tc.steps...))
		})
	}
}

// TestSaveGoesOnInTheMiddle has a request for pages that is never answered: a save
// waits no longer than it may, and says so.
func TestSaveGoesOnInTheMiddle(t *testing.T) {
	hasty := defaultPace
	hasty.most = 20 * time.Millisecond
	m := mount(t, testRules{}, func(o *Options) { o.pace = &hasty })
	m.seed(t, "f.json", oldDoc)
	r, w := m.client(t), m.client(t)
	r.want("ok", "open", "r", "f.json", "r")
	r.want(oldDoc, "sendfile", "r")
	var stuck transfer
	d := m.document(t, "f.json")
	d.transfers.begin(&stuck, 0, &hasty)
	w.want("ok", "save", "f.json", newDoc)
	if got := m.server.fs.counts.unwaited.Load(); got != 1 {
		t.Errorf("%d commits did not wait, want 1", got)
	}
	r.want(newDoc, "sendfile", "r")
	d.transfers.end(&stuck)
	d.transfers.leave(&stuck)
	w.want("ok", "save", "f.json", oldDoc)
	r.want(oldDoc, "sendfile", "r")
	r.want("ok", "close", "r")
	m.quiet(t)
	poll(t, func() string {
		d.transfers.mu.Lock()
		defer d.transfers.mu.Unlock()
		if x := &d.transfers; len(x.all)+x.fillers+x.openers > 0 {
			return fmt.Sprintf("left: %d handles, %d and %d that keep off others", len(x.all), x.fillers, x.openers)
		}
		return ""
	})
}

func (m *mounted) document(t *testing.T, path string) *document {
	t.Helper()
	_, n, _ := m.server.fs.tree.walk(path)
	if n == nil || n.doc.Load() == nil {
		t.Fatalf("%s is not known", path)
	}
	return n.doc.Load()
}

// TestNobodyWaitsWithoutTransfers looks at a document that is only read directly.
func TestNobodyWaitsWithoutTransfers(t *testing.T) {
	never := defaultPace
	never.quiet, never.most = time.Hour, time.Hour
	m := mount(t, testRules{}, func(o *Options) { o.pace = &never })
	m.seed(t, "f.json", oldDoc)
	run(t, m, []step{
		do("r", "ok", "open", "a", "f.json", "r"),
		do("r", "ok", "open", "b", "f.json", "r"),
		do("r", oldDoc, "read", "b"),
		do("w", "ok", "save", "f.json", newDoc),
		do("r", newDoc, "pread", "b", "0", "99"),
		do("r", newDoc, "pread", "a", "0", "99"),
	})
	if d := m.document(t, "f.json"); d.transfers.used.Load() {
		t.Error("pages were asked for")
	}
}
