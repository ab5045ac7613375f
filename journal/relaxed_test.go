package journal

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

// TestFiledIsDurable: a round that waits for its path takes what was committed
// meanwhile too. With relaxed durability that is not synced yet, and must be
// before it is filed: a crash would leave a history that is ahead of the
// journal.
func TestFiledIsDurable(t *testing.T) {
	d := disktest.New()
	h := newHistory(d)
	o := small(h)
	o.Durability = Relaxed
	j := mustOpen(t, d, o)
	ctx := context.Background()
	commit := func(content string) Version {
		t.Helper()
		v, err := j.Commit(ctx, put("a.json", content))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	commit("one")

	j.mu.Lock() // another round has the path
	j.claims["a.json"] = &job{path: "a.json", begun: true, round: &round{}}
	j.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := j.round(ctx, []string{"a.json"}, manner{force: true})
		done <- err
	}()
	awaitGoroutine(t, "(*Journal).claim(")
	last := commit("two")

	filed := false
	h.fail = func(string) error {
		filed = true
		after := d.AfterCrash(nil, 0)
		recovered := mustOpen(t, after, small(newHistory(after)))
		if v, ok := recovered.Pending("a.json"); !ok || v.Tx != last.Tx {
			t.Errorf("filed while a crash leaves transaction %d, want %d", v.Tx, last.Tx)
		}
		return nil
	}
	j.mu.Lock()
	delete(j.claims, "a.json")
	j.signalDrained()
	j.mu.Unlock()
	if err := <-done; err != nil || !filed {
		t.Fatalf("round: %v, filed %v", err, filed)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// awaitGoroutine returns when a goroutine waits in a function.
func awaitGoroutine(t *testing.T, function string) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, stack := range bytes.Split(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
			head, _, _ := bytes.Cut(stack, []byte("\n"))
			if bytes.Contains(head, []byte("[select")) && bytes.Contains(stack, []byte(function)) {
				return
			}
		}
	}
	t.Fatalf("no goroutine waits in %s", function)
}
