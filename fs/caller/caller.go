// Package caller finds out who made a request and what became of them, from
// /proc, without ever blocking.
//
// A FUSE server that looks at a client in the middle of execve must not read
// /proc/PID/stat, maps, exe, cwd or a link in fd/: those wait for a lock that
// is held until the server has answered, and then everything hangs. This
// package reads only status, comm, the listing of fd/ with the modes of the
// links in it, fdinfo/N and mountinfo of live processes; stat only of a task
// that has no descriptor table any more, which is past any execve, and even
// that under a timeout.
//
// Process ids are of the pid namespace of the mount; 0 is a process that is
// not visible in it. All methods may be called from several goroutines.
package caller

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

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
	// ScanTimeout bounds CopyHolders; 0 means ten seconds. It takes some
	// microseconds for each descriptor of the machine, and more where many
	// want to run.
	ScanTimeout time.Duration
	// StatTimeout bounds reading the stat of an exiting task; 0 means ten
	// seconds. On a machine that is busy it may take a good part of one, and
	// what became of a writer decides about what it wrote.
	StatTimeout time.Duration
}

// Table answers questions about processes.
type Table struct {
	o     Options
	euid  uint32
	self  uint32        // this process in o.Proc; 0: not there
	stats chan struct{} // a place for each reader of stat under way

	mu      sync.Mutex // guards threads
	threads map[uint32]thread

	looks group
}

// thread is a cached answer of TGID. The descriptor of its /proc directory
// pins the identity of the thread, not its number: once the thread is gone
// nothing is found below it, whoever has the number then.
type thread struct {
	dir  int
	who  Process
	seen time.Time // when who was read
}

const (
	maxThreads = 256                    // cached at a time, each with a descriptor
	maxAge     = 250 * time.Millisecond // of a program's name and user in Who
	maxStats   = 8                      // readers of stat at a time; more would be stuck ones
)

// New makes a table. Close releases what it caches.
func New(o Options) *Table {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.ScanTimeout == 0 {
		o.ScanTimeout = 10 * time.Second
	}
	if o.StatTimeout == 0 {
		o.StatTimeout = 10 * time.Second
	}
	self := uint32(0)
	if o.Proc == "/proc" {
		self = uint32(os.Getpid())
	}
	return &Table{
		o:       o,
		euid:    uint32(os.Geteuid()),
		self:    self,
		stats:   make(chan struct{}, maxStats),
		threads: map[uint32]thread{},
	}
}

// Close releases the cache; the table must not be used afterwards.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(0)
}

// Process is who made a request.
type Process struct {
	TGID    uint32 // process id
	UID     uint32 // effective
	Program string // comm: at most 15 bytes
}

// TGID is the process the thread belongs to; false if it is gone or not
// visible. Answers for live threads are cached and checked against reuse of
// the thread id.
func (t *Table) TGID(tid uint32) (uint32, bool) {
	p, ok := t.cached(tid, 0)
	return p.TGID, ok
}

// Who tells all about the process of a thread; false if it is gone or not
// visible. Program is the name of the thread. After an exec or a change of
// user the name and the user may be those of a quarter second before.
func (t *Table) Who(tid uint32) (Process, bool) { return t.cached(tid, maxAge) }

// cached is the process of a thread as last read, at most maxAge ago unless
// that is 0. It is never that of another thread with the same number.
func (t *Table) cached(tid uint32, maxAge time.Duration) (Process, bool) {
	if tid == 0 {
		return Process{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if th, ok := t.threads[tid]; ok {
		fresh := maxAge == 0 || time.Since(th.seen) < maxAge
		if fresh && unix.Faccessat(th.dir, "comm", unix.F_OK, 0) == nil {
			return th.who, true
		}
		_ = unix.Close(th.dir)
		delete(t.threads, tid)
	}
	dir, err := unix.Open(t.path(tid, ""), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Process{}, false
	}
	st, err := readStatus(dir, "status")
	if err != nil {
		_ = unix.Close(dir)
		return Process{}, false
	}
	if len(t.threads) >= maxThreads {
		t.forget(maxThreads / 2)
	}
	who := Process{TGID: st.tgid, UID: st.uid, Program: st.name}
	t.threads[tid] = thread{dir, who, time.Now()}
	return who, true
}

// forget closes cached threads, any, until keep are left.
func (t *Table) forget(keep int) {
	for tid, th := range t.threads {
		if len(t.threads) <= keep {
			return
		}
		_ = unix.Close(th.dir)
		delete(t.threads, tid)
	}
}

func (t *Table) status(tid uint32) (status, error) {
	if tid == 0 {
		return status{}, unix.ESRCH
	}
	return readStatus(unix.AT_FDCWD, t.path(tid, "status"))
}

func (t *Table) path(pid uint32, name string) string {
	return fmt.Sprintf("%s/%d/%s", t.o.Proc, pid, name)
}
