package caller

import "golang.org/x/sys/unix"

// likeness is the flags that all descriptors of one open file share and that
// tell two open files apart. fcntl can change O_APPEND, and then does for all
// copies at once.
const likeness = unix.O_ACCMODE | unix.O_APPEND

// Alike tells whether two open files can't be told apart by their flags.
func Alike(a, b uint32) bool { return (a^b)&likeness == 0 }

// copyOf tells whether the descriptor can be of an open file with these flags.
func (f openFile) copyOf(flags uint32) bool {
	return f.writes() && Alike(uint32(f.flags), flags)
}

// Look is what a look at one process has found out.
type Look struct {
	Count int     // descriptors found
	At    []int64 // their positions
	Known bool    // nothing was left out of Count
	// Alive: the process has a descriptor table, as it has not once it exits.
	Alive bool
}

// Copies looks for descriptors of the process that can write to the inode of
// the mount and may be of an open file with the given flags. A process that is
// gone or exiting has none; one that opened the file several times in the same
// way has at least one for each.
//
// Calls that come together share one look; it never began before the call.
func (t *Table) Copies(tgid uint32, ino uint64, flags uint32) Look {
	l := t.look(tgid, access(flags&unix.O_ACCMODE))
	found := Look{Known: l.known, Alive: l.fds > 0}
	for _, f := range l.files {
		if f.ino == ino && f.copyOf(flags) && t.ours(f) {
			found.Count++
			found.At = append(found.At, f.pos)
		}
	}
	return found
}

// Scan is what a look at all processes has found out.
type Scan struct {
	Counts map[uint32]int // descriptors found, by process
	Known  bool           // nothing was left out: every process let itself be looked at
	InTime bool           // the scan came to its end
}

// CopyHolders counts what Copies finds in each process of the machine but this
// one. Calls that come together share one scan; it never began before the
// call. Descriptors in flight in a socket, and mappings, are not seen.
func (t *Table) CopyHolders(ino uint64, flags uint32) Scan {
	l := t.looks.do(0, t.machine)
	found := Scan{Counts: map[uint32]int{}, Known: l.known, InTime: l.inTime}
	for _, f := range l.files {
		if f.ino == ino && f.copyOf(flags) && t.ours(f) {
			found.Counts[f.pid]++
		}
	}
	return found
}
