package fs

import (
	"golang.org/x/sys/unix"

	"intactfs/fs/caller"
	"intactfs/fs/decide"
)

// A close is the last one of a handle if no copy of its descriptor is left.
// /proc tells descriptors of a file, not of a handle: what was opened in another
// way is none of its copies, and neither are as many as the process has other
// handles of.

// holders finds out whether the flusher or the opener still has a descriptor
// that can write to the file, and whether they are the same process. A flusher
// with other descriptors is alive: its fate needs no look of its own.
func (w *writer) holders(tid uint32, f *decide.Facts) {
	flusher, ok := w.s.who.TGID(tid)
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
		look := w.s.who.Copies(pid, w.d.ino, w.flags.Load())
		if i == 0 && look.Alive {
			w.record(caller.Fate{State: caller.Alive})
			f.Fate = decide.Alive
		}
		switch {
		case look.Count > w.otherOpens(pid):
			f.Held = decide.Yes
			return
		case !look.Known:
			f.Held = decide.Unknowable
		}
	}
}

// otherOpens is how many other handles the process opened in the same way and
// has not closed a descriptor of: each has one. One that did close some may have
// a copy left or none; the release tells.
func (w *writer) otherOpens(pid uint32) int {
	n := 0
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for o := range w.d.writers {
		if o != w && o.opener.PID == pid && !o.shut.Load() && caller.Alike(o.flags.Load(), w.flags.Load()) {
			n++
		}
	}
	return n
}

// heldByOther tells whether any process has a descriptor that may be a copy of
// the handle's, and whether that can be known.
func (w *writer) heldByOther() (held, known bool) {
	counts, known := w.s.who.CopyHolders(w.d.ino, w.flags.Load())
	for pid, n := range counts {
		if n > w.otherOpens(pid) {
			return true, true
		}
	}
	return false, known
}

// noteShut notes that who opened the handle closed a descriptor of it.
func (w *writer) noteShut(tid uint32) {
	if w.shut.Load() {
		return
	}
	if tgid, ok := w.s.who.TGID(tid); !ok || tgid == w.opener.PID {
		w.shut.Store(true)
	}
}

// noteFlags follows what fcntl makes of the handle's flags, as far as writes
// tell.
func (w *writer) noteFlags(flags uint32) {
	if old := w.flags.Load(); (old^flags)&unix.O_APPEND != 0 {
		w.flags.Store(old ^ unix.O_APPEND)
	}
}
