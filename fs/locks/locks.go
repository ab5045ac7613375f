// Package locks is an advisory lock table: flock and POSIX byte ranges, as the
// kernel would keep them, but in the daemon, so that a file changed under a
// lock is committed before the next owner gets it.
//
// One Table serves one inode space. Owners are the lock owners of FUSE: for
// POSIX locks the descriptor table of a process, for OFD locks and flock the
// open file. The spaces of flock and of byte ranges never conflict. Ranges
// are inclusive: start and end are the first and the last byte.
//
// Unlock is prepare, commit, release: fs commits the file while the lock is
// still held and calls Unlock only then.
package locks

import "errors"

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

// Table is the locks of all inodes.
type Table struct{}

// New makes an empty table.
func New() *Table { return &Table{} }

// Lock takes l on the inode, replacing what the owner has in the range. If
// others hold a conflicting lock it returns ErrWouldBlock, or with wait waits
// until they gave it up, cancel was closed (ErrInterrupted), or waiting would
// be a deadlock among POSIX owners (ErrDeadlock). Waiters are served in order
// of arrival as far as their ranges conflict.
//
// A flock conversion gives up the old lock first, as flock(2) does: it may be
// lost if the new one is not had.
func (t *Table) Lock(cancel <-chan struct{}, ino uint64, sp Space, l Lock, wait bool) error {
	return nil
}

// Unlock gives up what the owner has in the range and serves waiters.
func (t *Table) Unlock(ino uint64, sp Space, owner uint64, start, end uint64) {}

// Test is F_GETLK: a lock that conflicts with l, the one with the lowest
// start, or false.
func (t *Table) Test(ino uint64, sp Space, l Lock) (Lock, bool) { return Lock{}, false }

// Holds tells whether the owner has a lock in the range, exclusive or, with
// any, of either type. It is the question before a commit at unlock.
func (t *Table) Holds(ino uint64, sp Space, owner uint64, start, end uint64, any bool) bool {
	return false
}

// ReleaseOwner gives up all locks the owner has on the inode in the space, and
// stops its waits there with ErrInterrupted.
func (t *Table) ReleaseOwner(ino uint64, sp Space, owner uint64) {}
