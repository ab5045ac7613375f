package locks

import (
	"errors"
	"testing"
	"time"
)

func lock(owner uint64, typ Type, start, end uint64) Lock {
	return Lock{Owner: owner, PID: uint32(owner), Type: typ, Start: start, End: end}
}

func must(t *testing.T, tab *Table, ino uint64, sp Space, l Lock) {
	t.Helper()
	if err := tab.Lock(nil, ino, sp, l, false); err != nil {
		t.Fatalf("Lock(%+v) = %v", l, err)
	}
}

// request is a Lock that waits in a goroutine of its own.
type request struct {
	cancel chan struct{}
	got    chan error
}

// wait asks for the lock and returns when the request is in the queue.
func wait(t *testing.T, tab *Table, ino uint64, sp Space, l Lock) *request {
	t.Helper()
	r := &request{make(chan struct{}), make(chan error, 1)}
	before := queued(tab)
	go func() { r.got <- tab.Lock(r.cancel, ino, sp, l, true) }()
	for end := time.Now().Add(60 * time.Second); queued(tab) == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v never waits", l)
		}
	}
	return r
}

func queued(tab *Table) int {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	n := 0
	for _, f := range tab.files {
		n += len(f.queue)
	}
	return n
}

func (r *request) want(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-r.got:
		if !errors.Is(err, want) {
			t.Fatalf("Lock = %v, want %v", err, want)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("Lock never returned, want %v", want)
	}
}

// waits fails if the request was answered. An answer is given before the call
// that causes it returns, so there is nothing to wait for.
func (r *request) waits(t *testing.T, tab *Table, n int) {
	t.Helper()
	if got := queued(tab); got != n {
		t.Fatalf("%d requests wait, want %d", got, n)
	}
}
