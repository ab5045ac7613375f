package fs

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// together has clients do something each at the same time.
func together(t *testing.T, m *mounted, jobs [][]string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, job := range jobs {
		c := m.client(t)
		wg.Go(func() {
			if got := c.do(job...); got != "ok" {
				t.Errorf("%s: %s", strings.Join(job, " "), got)
			}
			c.end()
		})
	}
	wg.Wait()
}

// quiet waits until all handles are released.
func (m *mounted) quiet(t *testing.T) {
	t.Helper()
	poll(t, func() string {
		if n := m.server.fs.handles.len(); n > 0 {
			return fmt.Sprintf("%d handles are left open", n)
		}
		return ""
	})
}

func TestIncrementsUnderALock(t *testing.T) {
	for _, how := range []string{"flock", "flock given up by close", "lockf"} {
		t.Run(how, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "n.json", "[0]")
			job := []string{"increments", "n.json", "40", how}
			together(t, m, [][]string{job, job, job, job})
			m.client(t).want("[160]", "cat", "n.json")
		})
	}
}

func TestAppendersKeepAllLines(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "l.jsonl", "{\"who\":\"seed\"}\n")
	var jobs [][]string
	for i := range 4 {
		jobs = append(jobs, []string{"appends", "l.jsonl", "25", fmt.Sprint(i)})
		jobs = append(jobs, []string{"appends", "new.jsonl", "10", fmt.Sprint(i)})
	}
	together(t, m, jobs)
	m.quiet(t)
	c := m.client(t)
	for name, want := range map[string]int{"l.jsonl": 101, "new.jsonl": 40} {
		got := c.do("cat", name)
		if n := strings.Count(got, "\n"); n != want {
			t.Errorf("%s has %d lines, want %d", name, n, want)
		}
		for line := range strings.Lines(got) {
			if v := (&testValidator{all: []byte(line)}); v.Verdict() != Whole {
				t.Errorf("%s: broken line %q", name, line)
			}
		}
	}
}

// TestReadersSeeWholeVersions has readers check a document that is saved in
// place, and one that is replaced by renames, without a pause.
func TestReadersSeeWholeVersions(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "s.json", `"a"`)
	m.seed(t, "r.json", `"a"`)
	together(t, m, [][]string{
		{"saves", "s.json", "150"}, {"saves", "s.json", "150"},
		{"replaces", "r.json", "150"}, {"replaces", "r.json", "150"},
		{"checks", "s.json", "500"}, {"checks", "s.json", "500"},
		{"checks", "r.json", "500"}, {"checks", "r.json", "500"},
	})
}

// TestSettlingBehindReaders publishes again and again while readers check.
func TestSettlingBehindReaders(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "s.json", `"a"`)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := m.store.Settle(t.Context(), ""); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	together(t, m, [][]string{
		{"saves", "s.json", "200"}, {"checks", "s.json", "500"}, {"checks", "s.json", "500"},
	})
	close(stop)
	wg.Wait()
}

func TestCollisionIsTold(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	run(t, m, []step{
		do("a", "ok", "open", "f", "f.json", "r+"),
		do("a", oldDoc, "read", "f"),
		do("b", "ok", "save", "f.json", newDoc),
		do("a", "9", "pwrite", "f", "0", `{"mod":1}`),
		do("a", "ok", "close", "f"),
		do("b", `{"mod":1}`, "cat", "f.json"),
	})
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if len(m.store.collided) != 1 {
		t.Errorf("collisions: got %v, want one", m.store.collided)
	}
}

func TestConflictIsRefusedWhereTheRuleSaysSo(t *testing.T) {
	m := mount(t, testRules{conflict: true})
	m.seed(t, "f.json", oldDoc)
	run(t, m, []step{
		do("a", "ok", "open", "f", "f.json", "r+"),
		do("a", oldDoc, "read", "f"),
		do("b", "ok", "save", "f.json", newDoc),
		do("a", "9", "pwrite", "f", "0", `{"mod":1}`),
		do("a", "ESTALE", "close", "f"),
		do("b", newDoc, "cat", "f.json"),
	})
	m.quiet(t)
	if got := m.store.refused(); len(got) != 1 {
		t.Errorf("refusals: got %+v, want one", got)
	}
}

// TestCommitThatFails has the store run out of space: close says so, and the
// content is not committed by a later release.
func TestCommitThatFails(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	m.store.mu.Lock()
	m.store.fail = fmt.Errorf("append: %w", syscall.ENOSPC)
	m.store.mu.Unlock()
	run(t, m, []step{
		do("w", "ok", "open", "f", "f.json", "w"),
		do("w", "10", "write", "f", newDoc),
		do("w", "ENOSPC", "close", "f"),
		do("w", oldDoc, "cat", "f.json"),
	})
	m.quiet(t)
	if got := len(m.store.committed("f.json")); got != 0 {
		t.Errorf("commits: got %d, want 0", got)
	}
	if got := m.store.refused(); len(got) != 1 || string(got[0].Inline) != newDoc {
		t.Errorf("quarantine: got %+v, want the content once", got)
	}
}

// TestUnmountTellsWhoHolds tries to unmount under an open file.
func TestUnmountTellsWhoHolds(t *testing.T) {
	m := mount(t, testRules{})
	c := m.client(t)
	c.want("ok", "open", "f", "f.json", "w")
	err := m.server.Unmount()
	if !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "f.json") {
		t.Errorf("got %v, want EBUSY with f.json", err)
	}
	stats := m.server.Stats()
	if len(stats.Stages) != 1 || stats.Stages[0].Path != "f.json" || stats.Stages[0].Holder.PID == 0 {
		t.Errorf("stages: got %+v", stats.Stages)
	}
	c.want("2", "write", "f", "{}")
	c.want("ok", "close", "f")
}
