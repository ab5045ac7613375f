package fs

import (
	"slices"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/caller"
	"intactfs/fs/decide"
)

// A close is the last one of a handle if no copy of its descriptor is left.
// /proc tells descriptors of a file, not of a handle: what was opened in another
// way is none of its copies, and neither are as many as the process has of
// other handles.

// closing is who closes a descriptor.
type closing struct {
	tid   uint32 // the thread; 0: none
	table uint64 // its descriptor table, as the kernel names the owner of locks
}

// kin is what is known of the descriptors that the opener of a handle has of
// other handles of the same file that can't be told apart from it: how many
// there were, as the new handle had none yet; and what became of them since.
// They may be more by now, by dup, but no fewer. Guarded by document.mu.
type kin struct {
	known  bool
	had    int            // when the handle was opened
	opened int            // since, by the same process
	closed map[uint64]int // since, by descriptor table
}

// maxTables bounds kin.closed. A handle that sees more come and go knows nothing
// of its kin any more.
const maxTables = 64

// least is how many the process with the descriptor table has of other handles
// at least. Of another table than that of who closes it is not known which it
// is, so that the one counts that closed most.
func (k *kin) least(table uint64) int {
	if !k.known {
		return 0
	}
	closed := k.closed[table]
	if table == 0 {
		for _, n := range k.closed {
			closed = max(closed, n)
		}
	}
	return max(k.had+k.opened-closed, 0)
}

func (k *kin) shut(table uint64) {
	switch {
	case !k.known || k.had+k.opened == 0:
	case len(k.closed) >= maxTables && k.closed[table] == 0:
		*k = kin{}
	default:
		if k.closed == nil {
			k.closed = map[uint64]int{}
		}
		k.closed[table]++
	}
}

// alike lists the other handles of the file that were opened in the same way.
// The caller holds document.mu.
func (w *writer) alike() []*writer {
	var all []*writer
	for o := range w.d.writers {
		if o != w && caller.Alike(o.flags.Load(), w.flags.Load()) {
			all = append(all, o)
		}
	}
	return all
}

// join makes the handle one of its file's, before the kernel is told of it.
func (w *writer) join() {
	d := w.d
	d.mu.Lock()
	d.writers[w] = struct{}{}
	others := w.alike()
	for _, o := range others {
		if o.opener.PID == w.opener.PID {
			o.kin.opened++
		}
	}
	if len(others) == 0 || w.opener.PID == 0 {
		w.kin.known = len(others) == 0
		d.mu.Unlock()
		return
	}
	// What is closed from here on counts as closed, whether it was seen or not.
	w.kin = kin{known: true, had: 1}
	d.mu.Unlock()
	look := w.s.who.Copies(w.opener.PID, d.ino, w.flags.Load())
	d.mu.Lock()
	defer d.mu.Unlock()
	if !look.Known {
		w.kin = kin{}
		return
	}
	w.kin.had, w.kin.opened = look.Count, 0
}

// unopened notes that the handle never had a descriptor: who counted it knows
// nothing any more.
func (w *writer) unopened() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for _, o := range w.alike() {
		o.kin = kin{}
	}
}

// noteShut notes that a descriptor of the handle was closed.
func (w *writer) noteShut(in *fuse.FlushIn) {
	w.d.mu.Lock()
	for _, o := range w.alike() {
		o.kin.shut(in.LockOwner)
	}
	w.d.mu.Unlock()
	if w.shut.Load() {
		return
	}
	if tgid, ok := w.processOf(in.Pid); !ok || tgid == w.opener.PID {
		w.shut.Store(true)
	}
}

// processOf is the process of a thread that makes a request. A first thread has
// the number of its process: that of the opener needs no look.
func (w *writer) processOf(tid uint32) (uint32, bool) {
	if tid != 0 && tid == w.opener.PID {
		return tid, true
	}
	return w.s.who.TGID(tid)
}

// holders finds out whether the flusher or the opener still has a descriptor
// that can write to the file, and whether they are the same process. A flusher
// with other descriptors is alive: its fate needs no look of its own.
func (w *writer) holders(by closing, f *decide.Facts) {
	flusher, ok := w.processOf(by.tid)
	f.ByOpener = ok && flusher == w.opener.PID
	suspects := []uint32{flusher, w.opener.PID}
	if f.ByOpener {
		suspects = suspects[:1]
	}
	f.Held = decide.No
	for i, pid := range suspects {
		if pid == 0 {
			f.Held = decide.Unknowable
			continue
		}
		look := w.copies(pid)
		if i == 0 && look.Alive {
			w.record(caller.Fate{State: caller.Alive})
			f.Fate = decide.Alive
		}
		table := by.table
		if i > 0 {
			table = 0
		}
		switch {
		case look.Count > w.others(pid, table) && w.mayBeAt(look.At):
			f.Held = decide.Yes
			return
		case !look.Known:
			f.Held = decide.Unknowable
		}
	}
}

// others is how many descriptors the process has of other handles, at least. It
// has one of each that it opened in the same way and closed none of.
func (w *writer) others(pid uint32, table uint64) int {
	n := 0
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for _, o := range w.alike() {
		if o.opener.PID == pid && !o.shut.Load() {
			n++
		}
	}
	if pid == w.opener.PID {
		n = max(n, w.kin.least(table))
	}
	return n
}

// mayBeAt tells whether one of the positions can be the handle's. As long as all
// reads and writes came one after the other from the start, the next would come
// there. That is a guess, for who seeks isn't seen: it counts where there are
// other handles, and for nothing that is told as an error.
func (w *writer) mayBeAt(positions []int64) bool {
	next := w.next.Load()
	if next < 0 || slices.Contains(positions, next) {
		return true
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	return len(w.alike()) == 0
}

// moved follows the position of the handle over a read or write of n bytes.
func (w *writer) moved(off, n int64) {
	if !w.next.CompareAndSwap(off, off+n) {
		w.next.Store(-1)
	}
}

// heldByOther tells whether any process has a descriptor that may be a copy of
// the handle's, and whether that can be known.
func (w *writer) heldByOther(by closing) decide.Answer {
	scan := w.copyHolders()
	flusher, _ := w.s.who.TGID(by.tid)
	for pid, n := range scan.Counts {
		table := uint64(0)
		if pid == flusher {
			table = by.table
		}
		if n > w.others(pid, table) {
			return decide.Yes
		}
	}
	switch {
	case !scan.InTime:
		return decide.OutOfTime
	case !scan.Known:
		return decide.Unknowable
	}
	return decide.No
}

// noteFlags follows what fcntl makes of the handle's flags, as far as writes
// tell.
func (w *writer) noteFlags(flags uint32) {
	if old := w.flags.Load(); (old^flags)&unix.O_APPEND != 0 {
		w.flags.Store(old ^ unix.O_APPEND)
	}
}
