package locks

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

func TestConflicts(t *testing.T) {
	tests := []struct {
		name   string
		a, b   Lock
		sa, sb Space
		ia, ib uint64
		want   error
	}{
		{"shared and shared", lock(1, Shared, 0, 9), lock(2, Shared, 0, 9), Posix, Posix, 1, 1, nil},
		{"shared and exclusive", lock(1, Shared, 0, 9), lock(2, Exclusive, 0, 9), Posix, Posix, 1, 1, ErrWouldBlock},
		{"exclusive and shared", lock(1, Exclusive, 0, 9), lock(2, Shared, 9, 9), Posix, Posix, 1, 1, ErrWouldBlock},
		{"beside each other", lock(1, Exclusive, 0, 9), lock(2, Exclusive, 10, Max), Posix, Posix, 1, 1, nil},
		{"to the end", lock(1, Exclusive, 5, Max), lock(2, Exclusive, Max, Max), Posix, Posix, 1, 1, ErrWouldBlock},
		{"same owner", lock(1, Exclusive, 0, 9), lock(1, Exclusive, 5, 20), Posix, Posix, 1, 1, nil},
		{"other inode", lock(1, Exclusive, 0, Max), lock(2, Exclusive, 0, Max), Posix, Posix, 1, 2, nil},
		{"flock and fcntl", lock(1, Exclusive, 0, Max), lock(2, Exclusive, 0, Max), Flock, Posix, 1, 1, nil},
		{"fcntl and flock", lock(1, Exclusive, 0, Max), lock(2, Exclusive, 0, Max), Posix, Flock, 1, 1, nil},
		{"flock and flock", lock(1, Exclusive, 0, Max), lock(2, Shared, 0, Max), Flock, Flock, 1, 1, ErrWouldBlock},
		{"flock shared", lock(1, Shared, 0, Max), lock(2, Shared, 0, Max), Flock, Flock, 1, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := New()
			must(t, tab, tt.ia, tt.sa, tt.a)
			if _, ok := tab.Test(tt.ib, tt.sb, tt.b); ok != (tt.want != nil) {
				t.Errorf("Test = %v", ok)
			}
			if err := tab.Lock(nil, tt.ib, tt.sb, tt.b, false); !errors.Is(err, tt.want) {
				t.Errorf("Lock = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSplitAndMerge(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Exclusive, 0, Max))
	tab.Unlock(1, Posix, 1, 10, 19)
	must(t, tab, 1, Posix, lock(2, Exclusive, 10, 19))
	got, ok := tab.Test(1, Posix, lock(3, Shared, 5, 30))
	if !ok || got != lock(1, Exclusive, 0, 9) {
		t.Errorf("Test = %+v, want the left part", got)
	}
	tab.ReleaseOwner(1, Posix, 2)
	must(t, tab, 1, Posix, lock(1, Exclusive, 10, 19))
	if n := len(tab.files[key{1, Posix}].held); n != 1 {
		t.Errorf("%d pieces after the gap was closed, want 1", n)
	}
	must(t, tab, 1, Posix, lock(1, Shared, 10, 19))
	if n := len(tab.files[key{1, Posix}].held); n != 3 {
		t.Errorf("%d pieces after a part became shared, want 3", n)
	}
}

func TestWaitsInOrder(t *testing.T) {
	for _, sp := range []Space{Posix, Flock} {
		tab := New()
		must(t, tab, 1, sp, lock(1, Shared, 0, Max))
		writer := wait(t, tab, 1, sp, lock(2, Exclusive, 0, Max))
		reader := wait(t, tab, 1, sp, lock(3, Shared, 0, Max)) // would starve the writer
		second := wait(t, tab, 1, sp, lock(4, Shared, 0, Max))
		tab.ReleaseOwner(1, sp, 1)
		writer.want(t, nil)
		reader.waits(t, tab, 2)
		tab.ReleaseOwner(1, sp, 2)
		reader.want(t, nil)
		second.want(t, nil)
		tab.ReleaseOwner(1, sp, 3)
		tab.ReleaseOwner(1, sp, 4)
		if len(tab.files)+len(tab.counts)+len(tab.waits) != 0 {
			t.Errorf("left: %d files, %d counts, %d waits", len(tab.files), len(tab.counts), len(tab.waits))
		}
	}
}

func TestTryLockPassesWaiters(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Shared, 0, Max))
	writer := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, Max))
	must(t, tab, 1, Posix, lock(3, Shared, 0, Max))
	tab.ReleaseOwner(1, Posix, 1)
	writer.waits(t, tab, 1)
	tab.ReleaseOwner(1, Posix, 3)
	writer.want(t, nil)
}

// An owner that a waiter waits for must not queue behind that waiter.
func TestOwnerWithLocksPassesWaiters(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Shared, 0, 9))
	writer := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, Max))
	if err := tab.Lock(nil, 1, Posix, lock(1, Shared, 50, 60), true); err != nil {
		t.Fatalf("Lock = %v", err)
	}
	tab.ReleaseOwner(1, Posix, 1)
	writer.want(t, nil)
}

// An owner that queues without any lock is let past once it has one: another
// of its threads got it elsewhere.
func TestQueuedOwnerGetsALock(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Shared, 0, Max))
	writer := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, Max))
	reader := wait(t, tab, 1, Posix, lock(3, Shared, 0, Max))
	must(t, tab, 2, Posix, lock(3, Exclusive, 0, Max))
	reader.want(t, nil)
	writer.waits(t, tab, 1)
	tab.ReleaseOwner(1, Posix, 1)
	tab.ReleaseOwner(1, Posix, 3)
	writer.want(t, nil)
}

func TestPartsAreServed(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Exclusive, 0, 99))
	low := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, 9))
	high := wait(t, tab, 1, Posix, lock(3, Exclusive, 90, 99))
	tab.Unlock(1, Posix, 1, 80, 99)
	high.want(t, nil)
	low.waits(t, tab, 1)
	must(t, tab, 1, Posix, lock(1, Shared, 0, 79))
	reader := lock(4, Shared, 20, 30)
	must(t, tab, 1, Posix, reader)
	tab.Unlock(1, Posix, 1, 0, 9)
	low.want(t, nil)
}

func TestDowngradeServesReaders(t *testing.T) {
	for _, sp := range []Space{Posix, Flock} {
		tab := New()
		must(t, tab, 1, sp, lock(1, Exclusive, 0, Max))
		reader := wait(t, tab, 1, sp, lock(2, Shared, 0, Max))
		must(t, tab, 1, sp, lock(1, Shared, 0, Max))
		reader.want(t, nil)
	}
}

func TestFlockUpgrade(t *testing.T) {
	tab := New()
	must(t, tab, 1, Flock, lock(1, Shared, 0, Max))
	must(t, tab, 1, Flock, lock(2, Shared, 0, Max))
	first := wait(t, tab, 1, Flock, lock(1, Exclusive, 0, Max))
	// Both upgrade: the first gave up its shared lock, so the second gets in.
	must(t, tab, 1, Flock, lock(2, Exclusive, 0, Max))
	first.waits(t, tab, 1)
	tab.Unlock(1, Flock, 2, 0, Max)
	first.want(t, nil)

	must(t, tab, 2, Flock, lock(1, Shared, 0, Max))
	must(t, tab, 2, Flock, lock(2, Shared, 0, Max))
	if err := tab.Lock(nil, 2, Flock, lock(1, Exclusive, 0, Max), false); !errors.Is(err, ErrWouldBlock) {
		t.Errorf("upgrade = %v", err)
	}
	if tab.Holds(2, Flock, 1, 0, Max, true) {
		t.Error("a failed upgrade kept the old lock")
	}
}

func TestCancel(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Shared, 0, Max))
	writer := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, Max))
	reader := wait(t, tab, 1, Posix, lock(3, Shared, 0, Max))
	close(writer.cancel)
	writer.want(t, ErrInterrupted)
	reader.want(t, nil) // nobody is left that it must wait behind
	if queued(tab) != 0 {
		t.Error("requests are left")
	}
	closed := make(chan struct{})
	close(closed)
	if err := tab.Lock(closed, 1, Posix, lock(2, Exclusive, 0, Max), true); !errors.Is(err, ErrInterrupted) {
		t.Errorf("Lock that is cancelled before = %v", err)
	}
}

func TestReleaseOwnerKeepsItsWaits(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Exclusive, 0, 9))
	must(t, tab, 1, Posix, lock(2, Exclusive, 10, 19))
	w := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, 9))
	tab.ReleaseOwner(1, Posix, 2)
	w.waits(t, tab, 1)
	if tab.Holds(1, Posix, 2, 0, Max, true) {
		t.Error("still held")
	}
	tab.ReleaseOwner(1, Posix, 1)
	w.want(t, nil)
}

func TestDeadlock(t *testing.T) {
	tab := New()
	const n = 5
	for i := range uint64(n) {
		must(t, tab, i, Posix, lock(i+1, Exclusive, 0, 9))
	}
	var rs []*request
	for i := range uint64(n - 1) {
		rs = append(rs, wait(t, tab, i+1, Posix, lock(i+1, Exclusive, 0, 9)))
	}
	last := lock(n, Exclusive, 0, 9)
	if err := tab.Lock(nil, 0, Posix, last, true); !errors.Is(err, ErrDeadlock) {
		t.Fatalf("the lock that closes the ring = %v, want ErrDeadlock", err)
	}
	if err := tab.Lock(nil, 0, Posix, last, false); !errors.Is(err, ErrWouldBlock) {
		t.Fatalf("the same without waiting = %v, want ErrWouldBlock", err)
	}
	tab.ReleaseOwner(n-1, Posix, n)
	rs[n-2].want(t, nil)
	for _, r := range rs[:n-2] {
		close(r.cancel)
		r.want(t, ErrInterrupted)
	}
}

func TestUpgradeDeadlock(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Shared, 0, 9))
	must(t, tab, 1, Posix, lock(2, Shared, 0, 9))
	first := wait(t, tab, 1, Posix, lock(1, Exclusive, 0, 9))
	if err := tab.Lock(nil, 1, Posix, lock(2, Exclusive, 0, 9), true); !errors.Is(err, ErrDeadlock) {
		t.Errorf("second upgrade = %v, want ErrDeadlock", err)
	}
	tab.ReleaseOwner(1, Posix, 2)
	first.want(t, nil)
}

func TestClose(t *testing.T) {
	tab := New()
	must(t, tab, 1, Posix, lock(1, Exclusive, 0, 9))
	a := wait(t, tab, 1, Posix, lock(2, Exclusive, 0, 9))
	b := wait(t, tab, 1, Posix, lock(2, Shared, 5, 9))
	tab.Close()
	a.want(t, ErrInterrupted)
	b.want(t, ErrInterrupted)
	if err := tab.Lock(nil, 1, Posix, lock(3, Shared, 50, 60), true); !errors.Is(err, ErrInterrupted) {
		t.Errorf("Lock after Close = %v", err)
	}
	tab.ReleaseOwner(1, Posix, 1)
	tab.Unlock(9, Posix, 1, 0, Max)
}

// The next owner gets the lock only after what was done before Unlock: fs
// commits there.
func TestCommitBeforeTheNextOwner(t *testing.T) {
	tab := New()
	must(t, tab, 1, Flock, lock(1, Exclusive, 0, Max))
	committed := false
	var seen bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := tab.Lock(nil, 1, Flock, lock(2, Exclusive, 0, Max), true); err != nil {
			t.Errorf("Lock = %v", err)
		}
		seen = committed
	})
	if !tab.Holds(1, Flock, 1, 0, Max, false) {
		t.Error("the lock is not held before the commit")
	}
	committed = true
	tab.Unlock(1, Flock, 1, 0, Max)
	wg.Wait()
	if !seen {
		t.Error("the next owner came before the commit")
	}
}

// Many owners on few ranges, cancelled at random: never two in conflict, and
// in the end nothing is left.
func TestConcurrent(t *testing.T) {
	tab := New()
	var users [4]struct{ shared, exclusive atomic.Int64 }
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			for range 300 {
				i := r.IntN(len(users))
				l := lock(g+1, Type(r.IntN(2)), uint64(i)*10, uint64(i)*10+9)
				var cancel chan struct{}
				if r.IntN(8) == 0 {
					cancel = make(chan struct{})
					go close(cancel)
				}
				if tab.Lock(cancel, 1, Posix, l, r.IntN(4) > 0) != nil {
					continue
				}
				u := &users[i]
				if l.Type == Exclusive {
					if u.exclusive.Add(1) != 1 || u.shared.Load() != 0 {
						t.Error("an exclusive lock is not alone")
					}
					u.exclusive.Add(-1)
				} else {
					u.shared.Add(1)
					if u.exclusive.Load() != 0 {
						t.Error("a shared lock beside an exclusive one")
					}
					u.shared.Add(-1)
				}
				tab.Unlock(1, Posix, l.Owner, l.Start, l.End)
			}
		})
	}
	wg.Wait()
	if len(tab.files)+len(tab.counts)+len(tab.waits) != 0 {
		t.Errorf("left: %d files, %d counts, %d waits", len(tab.files), len(tab.counts), len(tab.waits))
	}
}

// A writer gets in between readers that never leave the file alone.
func TestWriterIsNotStarved(t *testing.T) {
	tab := New()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for !stop.Load() {
				if tab.Lock(nil, 1, Flock, lock(g+1, Shared, 0, Max), true) == nil {
					tab.Unlock(1, Flock, g+1, 0, Max)
				}
			}
		})
	}
	for range 50 {
		if err := tab.Lock(nil, 1, Flock, lock(99, Exclusive, 0, Max), true); err != nil {
			t.Errorf("Lock = %v", err)
		}
		tab.Unlock(1, Flock, 99, 0, Max)
	}
	stop.Store(true)
	wg.Wait()
}
