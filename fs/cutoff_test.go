package fs

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// begin has the client begin something that it will not live to answer.
func (c *client) begin(words ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, encodeWords(words)); err != nil {
		c.t.Fatal(err)
	}
}

// inKernel waits until the kernel has so many requests of the mount unanswered.
func (m *mounted) inKernel(t *testing.T, n int) {
	t.Helper()
	ctl, err := openFusectl()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(ctl) }()
	_, minor, _ := strings.Cut(m.server.mount.Dev, ":")
	poll(t, func() string {
		fd, err := openat(ctl, minor+"/waiting", unix.O_RDONLY, 0)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = unix.Close(fd) }()
		buf := make([]byte, 20)
		k, err := unix.Read(fd, buf)
		if err != nil {
			return err.Error()
		}
		if got, _ := strconv.Atoi(strings.TrimSpace(string(buf[:k]))); got < n {
			return "no request is under way"
		}
		return ""
	})
}

// released waits until no handle is left open.
func (m *mounted) released(t *testing.T) {
	t.Helper()
	poll(t, func() string {
		if n := m.server.fs.handles.len(); n > 0 {
			return strconv.Itoa(n) + " handles are open"
		}
		return ""
	})
}

// TestKilledInCreate kills a process inside the open that makes a new name: its
// handle is released, and no descriptor of it was ever there to be closed.
func TestKilledInCreate(t *testing.T) {
	for _, how := range []string{"x", "w", "c", "a"} {
		t.Run(how, func(t *testing.T) {
			m := mount(t, testRules{})
			reached, goOn := make(chan struct{}), make(chan struct{})
			var calls atomic.Int32
			m.store.mu.Lock()
			m.store.beforePending = func(path string) {
				if path == "n.json" && calls.Add(1) == 2 { // the first is of the lookup
					close(reached)
					<-goOn
				}
			}
			m.store.mu.Unlock()
			w, r := m.client(t), m.client(t)
			w.begin("open", "f", "n.json", how)
			<-reached
			if err := w.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			close(goOn)
			w.kill()
			m.released(t)
			r.want("ENOENT", "size", "n.json")
			r.want("", "ls", ".")
			if got := m.store.committed("n.json"); len(got) > 0 {
				t.Errorf("committed: %+v", got)
			}
			r.want("ok", "save", "n.json", newDoc)
			r.want(newDoc, "cat", "n.json")
		})
	}
}

// TestKilledInTruncatingOpen kills a process inside an open with O_TRUNC: what
// comes next starts from the committed version, not from nothing.
func TestKilledInTruncatingOpen(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	w, r := m.client(t), m.client(t)
	r.want("ok", "open", "g", "f.json", "r+")
	w.want("9", "size", "f.json")
	_, n, _ := m.server.fs.tree.walk("f.json")
	d := n.doc.Load()
	d.mu.Lock()
	w.begin("open", "f", "f.json", "w")
	m.inKernel(t, 1)
	err := w.cmd.Process.Kill()
	d.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	w.kill()
	poll(t, func() string {
		if n := m.server.fs.handles.len(); n != 1 {
			return strconv.Itoa(n) + " handles are open"
		}
		return ""
	})
	r.want(oldDoc, "read", "g")
	r.want("ok", "close", "g")
	if _, err := os.Stat(filepath.Join(m.back, "f.json")); err != nil {
		t.Error(err)
	}
}

// TestUnseenWriters is a mount whose callers can't be seen, as in another pid
// namespace: what they write is committed at the last release, a name that they
// leave empty is not.
func TestUnseenWriters(t *testing.T) {
	m := mount(t, testRules{}, func(o *Options) { o.proc = t.TempDir() })
	m.seed(t, "f.json", oldDoc)
	run(t, m, []step{
		do("a", "ok", "save", "n.json", ""),
		do("a", "ok", "save", "f.json", ""),
		do("b", "ok", "save", "f.json", newDoc),
		do("b", "~"+newDoc, "cat", "f.json"),
	})
	m.released(t)
	m.client(t).want("ENOENT", "size", "n.json")
	if got := m.store.committed("n.json"); len(got) > 0 {
		t.Errorf("committed: %+v", got)
	}
}
