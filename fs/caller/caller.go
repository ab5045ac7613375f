// Package caller finds out who made a request and what became of them, from
// /proc, without ever blocking.
//
// A FUSE server that looks at a client in the middle of execve must not read
// /proc/PID/stat, maps, exe, cwd or a link in fd/: those wait for a lock that
// is held until the server has answered, and then everything hangs. This
// package reads only status, comm, the listing of fd/ and fdinfo/N, and
// mountinfo of live processes; stat only of a task that has no descriptor
// table any more, which is past any execve, and even that under a timeout.
//
// Process ids are of the pid namespace of the mount; 0 is a process that is
// not visible in it. All methods may be called from several goroutines.
package caller

import "time"

// Mount identifies a mounted file system.
type Mount struct {
	ID  int    // mount id in the daemon's mount namespace
	Dev string // "major:minor" as in mountinfo, the same in every namespace
}

// Options configures a Table. The zero value is fit for use except for Mount.
type Options struct {
	Mount Mount
	// Proc is where procfs is mounted; "" means /proc.
	Proc string
	// ScanTimeout bounds AnyHolder; 0 means one second.
	ScanTimeout time.Duration
	// StatTimeout bounds reading the stat of an exiting task; 0 means 200 ms.
	StatTimeout time.Duration
}

// Table answers questions about processes.
type Table struct{}

// New makes a table. Close releases what it caches.
func New(o Options) *Table { return &Table{} }

// Close releases the cache; the table must not be used afterwards.
func (t *Table) Close() {}

// FindMount looks the mount at an absolute path up in /proc/self/mountinfo,
// without touching the path. Of several mounts on top of each other it is the
// last one.
func FindMount(path string) (Mount, error) { return Mount{}, nil }

// Process is who made a request.
type Process struct {
	TGID    uint32 // process id
	UID     uint32 // effective
	Program string // comm: at most 15 bytes
}

// TGID is the process the thread belongs to; false if it is gone or not
// visible. Answers for live threads are cached and checked against reuse of
// the thread id.
func (t *Table) TGID(tid uint32) (uint32, bool) { return 0, false }

// Who tells all about the process of a thread, uncached; false if it is gone
// or not visible.
func (t *Table) Who(tid uint32) (Process, bool) { return Process{}, false }

// IsThreadOf tells whether the thread belongs to the process now. It costs a
// fraction of TGID.
func (t *Table) IsThreadOf(tid, tgid uint32) bool { return false }

// Holds tells whether the process has a descriptor open on the inode of the
// mount; with writeOnly only those count that can write. known is false if
// /proc does not say. A process that is gone or exiting holds nothing.
// Calls that come together share one look; the look never began before the
// call.
func (t *Table) Holds(tgid uint32, ino uint64, writeOnly bool) (holds, known bool) {
	return false, false
}

// AnyHolder tells whether any process of the machine has a descriptor open on
// the inode that can write. known is false if some process could not be looked
// at, or time ran out, and no holder was found before. Calls that come
// together share one scan; it never began before the call. Descriptors in
// flight in a socket, and mappings, are not seen.
func (t *Table) AnyHolder(ino uint64) (holds, known bool) { return false, false }

// State is what became of a thread.
type State int

// The states.
const (
	Unknown State = iota // not visible, or /proc did not answer in time
	Alive                // it has its descriptor table
	Exited               // exiting or gone with a status: Code
	Killed               // exiting because of a signal: Code
)

// Fate is what became of a thread, as far as can be seen now.
type Fate struct {
	State State
	Code  int // exit status or signal number
}

// Fate looks at a thread that is inside a FLUSH. A thread that is gone is
// Unknown.
func (t *Table) Fate(tid uint32) Fate { return Fate{} }
