package caller

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ownInodes is where the inode numbers begin that no other file system hands
// out in practice: for those a mount that can't be identified counts as ours.
const ownInodes = uint64(1) << 52

// look is what one look at a process, or at all of them, has found.
type look struct {
	files []openFile
	fds   int  // descriptors there were, on whatever file system
	known bool // nothing was left out
}

// Look is what a look at one process has found out.
type Look struct {
	Count int  // descriptors on the inode of the mount that was asked for
	Known bool // nothing was left out of Count
	// Alive: the process has a descriptor table, as it has not once it exits.
	Alive bool
}

// Look looks for descriptors of the process on the inode of the mount; with
// writeOnly for those that can write. A process that is gone or exiting has
// none. A process that opened the file several times has at least one for each
// open that is not closed.
//
// Calls that come together share one look; it never began before the call.
func (t *Table) Look(tgid uint32, ino uint64, writeOnly bool) Look {
	return t.look(tgid, func(f openFile) bool { return f.ino == ino && (!writeOnly || f.writes()) })
}

func (t *Table) look(tgid uint32, match func(openFile) bool) Look {
	if tgid == 0 {
		return Look{}
	}
	l := t.looks.do(tgid, func() look {
		files, fds, err := t.process(tgid, time.Time{})
		return look{files, fds, err == nil}
	})
	found := Look{Known: l.known, Alive: l.fds > 0}
	for _, f := range l.files {
		if match(f) && t.ours(f) {
			found.Count++
		}
	}
	return found
}

// Count is the number that Look finds. known is false if /proc does not say.
func (t *Table) Count(tgid uint32, ino uint64, writeOnly bool) (n int, known bool) {
	l := t.Look(tgid, ino, writeOnly)
	return l.Count, l.Known
}

// Holds is Count of more than none. If one was found it is known.
func (t *Table) Holds(tgid uint32, ino uint64, writeOnly bool) (holds, known bool) {
	n, known := t.Count(tgid, ino, writeOnly)
	return n > 0, known || n > 0
}

// Holders lists the processes of the machine, ascending, that have a
// descriptor on the inode that can write. known is false if some process could
// not be looked at or time ran out: the list may then lack some. Calls that
// come together share one scan; it never began before the call. Descriptors in
// flight in a socket, and mappings, are not seen.
func (t *Table) Holders(ino uint64) (tgids []uint32, known bool) {
	l := t.looks.do(0, t.machine)
	for _, f := range l.files {
		if f.ino == ino && f.writes() && t.ours(f) {
			tgids = append(tgids, f.pid)
		}
	}
	slices.Sort(tgids)
	return slices.Compact(tgids), l.known
}

// AnyHolder is Holders of more than none. If one was found it is known.
func (t *Table) AnyHolder(ino uint64) (holds, known bool) {
	all, known := t.Holders(ino)
	return len(all) > 0, known || len(all) > 0
}

// machine looks at all processes.
func (t *Table) machine() look {
	end := time.Now().Add(t.o.ScanTimeout)
	pids, err := list(t.o.Proc)
	l := look{known: err == nil}
	for _, pid := range pids {
		files, _, err := t.process(pid, end)
		l.files = append(l.files, files...)
		if err != nil {
			l.known = false
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	return l
}

// process lists the open files of a process that can be on the mount, and
// tells how many descriptors it has. It gives up at end, if there is one.
func (t *Table) process(tgid uint32, end time.Time) ([]openFile, int, error) {
	files, n, err := t.table(tgid, t.path(tgid, ""), end)
	if n > 0 || err != nil {
		return files, n, err
	}
	// A main thread that has ended shows none; the others still may.
	tids, err := list(t.path(tgid, "task"))
	if gone(err) {
		return nil, 0, nil
	}
	for _, tid := range tids {
		if tid == tgid {
			continue
		}
		files, n, err = t.table(tgid, t.path(tgid, "task/"+strconv.FormatUint(uint64(tid), 10)+"/"), end)
		if n > 0 || err != nil {
			return files, n, err
		}
	}
	return nil, 0, err
}

// table reads one descriptor table, and tells how many descriptors there were.
func (t *Table) table(tgid uint32, dir string, end time.Time) ([]openFile, int, error) {
	fds, err := list(dir + "fd")
	if gone(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := unix.Open(dir+"fdinfo", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if gone(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = unix.Close(info) }()
	files := make([]openFile, 0, len(fds))
	var buf [256]byte // what is looked for comes first
	for _, fd := range fds {
		if !end.IsZero() && time.Now().After(end) {
			return files, len(fds), os.ErrDeadlineExceeded
		}
		b, err := readFile(info, strconv.FormatUint(uint64(fd), 10), buf[:])
		if gone(err) {
			continue
		}
		if err != nil {
			return files, len(fds), err
		}
		f, err := parseFdinfo(b)
		if err != nil {
			return files, len(fds), err
		}
		f.pid = tgid
		files = append(files, f)
	}
	return files, len(fds), nil
}

// ours tells whether the file is on our mount: by the mount's id, or, in a
// bind mount or another mount namespace, by the device behind the id there.
func (t *Table) ours(f openFile) bool {
	if f.mount == t.o.Mount.ID {
		return true
	}
	b, err := os.ReadFile(t.path(f.pid, "mountinfo"))
	if err == nil {
		for _, m := range parseMountinfo(b) {
			if m.ID == f.mount {
				return m.Dev == t.o.Mount.Dev
			}
		}
	}
	return f.ino >= ownInodes
}

// list reads the numeric names of a directory. Nothing is looked up in it:
// what is in fd/ must not be touched. It does without os.File, whose poller
// costs more calls than the listing.
func list(dir string) ([]uint32, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var ns []uint32
	var buf [4096]byte
	for {
		n, err := unix.Getdents(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return ns, err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if n, err := parse32(name); err == nil {
				ns = append(ns, n)
			}
		}
	}
}

// gone tells that a process or descriptor has ended between two looks.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}
