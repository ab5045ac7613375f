// Package locks is an advisory lock table: flock and POSIX byte ranges, as the
// kernel would keep them, but in the daemon, so that a file changed under a
// lock is committed before the next owner gets it.
//
// One Table serves one inode space. Owners are the lock owners of FUSE: for
// POSIX locks the descriptor table of a process, for OFD locks and flock the
// open file. The spaces of flock and of byte ranges never conflict. Ranges
// are inclusive: start and end are the first and the last byte.
//
// Unlock is prepare, commit, release: fs asks Holds, commits the file while the
// lock is still held, and calls Unlock only then.
//
// Waiters are served in order of arrival: one waits behind an earlier one that
// it conflicts with, so that readers that come and go never starve a writer.
// Two are let past: a request that does not wait, as fcntl(2) has it, and an
// owner that already holds a lock, because waiting behind somebody who waits
// for that lock would be a deadlock of our making.
package locks

import (
	"errors"
	"slices"
	"sync"
)

// Errors of Lock, one for each errno.
var (
	ErrWouldBlock  = errors.New("lock is held by another owner")  // EAGAIN
	ErrDeadlock    = errors.New("waiting would be a deadlock")    // EDEADLK
	ErrInterrupted = errors.New("waiting for a lock was stopped") // EINTR
)

// Type is the kind of a lock.
type Type int

// The types.
const (
	Shared    Type = iota // F_RDLCK, LOCK_SH
	Exclusive             // F_WRLCK, LOCK_EX
)

// Max is the last byte a range can have; a range to the end of the file ends
// there.
const Max = uint64(1<<63 - 1)

// Space tells which locks conflict with each other.
type Space int

// The spaces.
const (
	Posix Space = iota // fcntl: POSIX and OFD
	Flock              // flock: whole files
)

// Lock is a lock that an owner has or asks for.
type Lock struct {
	Owner uint64
	PID   uint32
	Type  Type
	Start uint64
	End   uint64 // inclusive; for Flock always 0 to Max
}

// conflicts tells whether two locks can't be held at once.
func (l Lock) conflicts(o Lock) bool {
	return l.Owner != o.Owner && l.overlaps(o.Start, o.End) && (l.Type == Exclusive || o.Type == Exclusive)
}

func (l Lock) overlaps(start, end uint64) bool { return l.Start <= end && start <= l.End }

// Table is the locks of all inodes. All methods may be called from several
// goroutines.
type Table struct {
	mu     sync.Mutex // guards everything below, and all files and waiters
	files  map[key]*file
	counts map[holder]int       // locks held, in how many pieces
	waits  map[holder][]*waiter // of owners, in no order
	closed bool
}

type key struct {
	ino uint64
	sp  Space
}

// holder is an owner in its space: the ids of the spaces have nothing to do
// with each other.
type holder struct {
	sp    Space
	owner uint64
}

// file is the locks of one inode in one space.
type file struct {
	key   key
	held  []Lock    // ranges of one owner neither overlap nor, of one type, touch
	queue []*waiter // in order of arrival
}

// waiter is a request that waits.
type waiter struct {
	f    *file
	l    Lock
	done chan error // with room for the one answer
}

// New makes an empty table.
func New() *Table {
	return &Table{files: map[key]*file{}, counts: map[holder]int{}, waits: map[holder][]*waiter{}}
}

// Lock takes l on the inode, replacing what the owner has in the range. If
// others hold a conflicting lock it returns ErrWouldBlock, or with wait waits
// until they gave it up, cancel was closed (ErrInterrupted), or waiting would
// be a deadlock among POSIX owners (ErrDeadlock).
//
// A flock conversion gives up the old lock first, as flock(2) does: it may be
// lost if the new one is not had.
func (t *Table) Lock(cancel <-chan struct{}, ino uint64, sp Space, l Lock, wait bool) error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return ErrInterrupted
	}
	f := t.file(ino, sp)
	w := &waiter{f: f, l: l, done: make(chan error, 1)}
	switch {
	case !f.blocked(l) && (!wait || !t.mustQueue(f, l, len(f.queue))):
		t.place(f, l)
		t.serve(t.affected(f, l.Owner)...)
		t.mu.Unlock()
		return nil
	case sp == Posix && wait && t.deadlocks(w):
		t.drop(f)
		t.mu.Unlock()
		return ErrDeadlock
	}
	if sp == Flock {
		t.clear(f, l.Owner, 0, Max)
	}
	if wait {
		t.enqueue(w)
	}
	t.serve(f) // the old lock may have kept others out
	t.drop(f)
	t.mu.Unlock()
	if !wait {
		return ErrWouldBlock
	}

	select {
	case err := <-w.done:
		return err
	case <-cancel:
		return t.abandon(w)
	}
}

// abandon ends a wait, unless it was answered already.
func (t *Table) abandon(w *waiter) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	default:
	}
	t.dequeue(w)
	t.serve(w.f) // those behind it may go on
	t.drop(w.f)
	return ErrInterrupted
}

// Unlock gives up what the owner has in the range and serves waiters.
func (t *Table) Unlock(ino uint64, sp Space, owner uint64, start, end uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.files[key{ino, sp}]
	if !ok {
		return
	}
	if t.clear(f, owner, start, end) {
		t.serve(f)
	}
	t.drop(f)
}

// ReleaseOwner gives up all locks the owner has on the inode in the space. Its
// waits go on: closing one descriptor does not end a wait through another.
func (t *Table) ReleaseOwner(ino uint64, sp Space, owner uint64) {
	t.Unlock(ino, sp, owner, 0, Max)
}

// Test is F_GETLK: a lock that conflicts with l, the one with the lowest
// start, or false.
func (t *Table) Test(ino uint64, sp Space, l Lock) (Lock, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found Lock
	ok := false
	if f := t.files[key{ino, sp}]; f != nil {
		for _, h := range f.held {
			if h.conflicts(l) && (!ok || h.Start < found.Start) {
				found, ok = h, true
			}
		}
	}
	return found, ok
}

// Holds tells whether the owner has a lock in the range, exclusive or, with
// any, of either type. It is the question before a commit at unlock.
func (t *Table) Holds(ino uint64, sp Space, owner uint64, start, end uint64, any bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[key{ino, sp}]
	return f != nil && slices.ContainsFunc(f.held, func(h Lock) bool {
		return h.Owner == owner && h.overlaps(start, end) && (any || h.Type == Exclusive)
	})
}

// Close ends all waits, and those to come, with ErrInterrupted: the mount is
// going away.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, ws := range t.waits {
		for _, w := range slices.Clone(ws) {
			t.dequeue(w)
			w.done <- ErrInterrupted
		}
	}
	for _, f := range t.files {
		t.drop(f)
	}
}
