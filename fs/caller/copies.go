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

// Copies looks for descriptors of the process that can write to the inode of
// the mount and may be of an open file with the given flags. It is like Look
// in everything else: a process that opened the file several times in the same
// way has at least one for each.
func (t *Table) Copies(tgid uint32, ino uint64, flags uint32) Look {
	return t.look(tgid, func(f openFile) bool { return f.ino == ino && f.copyOf(flags) })
}

// CopyHolders counts what Copies finds in each process of the machine that has
// any. known is false if some process could not be looked at or time ran out:
// some may then be missing. Calls that come together share one scan; it never
// began before the call. Descriptors in flight in a socket, and mappings, are
// not seen.
func (t *Table) CopyHolders(ino uint64, flags uint32) (counts map[uint32]int, known bool) {
	l := t.looks.do(0, t.machine)
	counts = map[uint32]int{}
	for _, f := range l.files {
		if f.ino == ino && f.copyOf(flags) && t.ours(f) {
			counts[f.pid]++
		}
	}
	return counts, l.known
}
