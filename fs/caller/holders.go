package caller

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ownInodes is where the inode numbers begin that no other file system hands
// out in practice: for those a mount that can't be identified counts as ours.
const ownInodes = uint64(1) << 52

// look is what one look at a process, or at all of them, has found.
type look struct {
	files  []openFile
	fds    int  // descriptors there were, on whatever file system
	known  bool // nothing was left out
	inTime bool // the look came to its end
}

func (t *Table) look(tgid uint32) look {
	if tgid == 0 {
		return look{}
	}
	return t.looks.do(tgid, func() look {
		files, fds, err := t.process(tgid, time.Time{})
		return look{files, fds, err == nil, true}
	})
}

// machine looks at all processes but this one, which has nothing open on the
// mount that it serves.
func (t *Table) machine() look {
	end := time.Now().Add(t.o.ScanTimeout)
	pids, err := list(t.o.Proc)
	l := look{known: err == nil, inTime: true}
	for _, pid := range pids {
		if pid == t.self {
			continue
		}
		files, _, err := t.process(pid, end)
		l.files = append(l.files, files...)
		if err != nil {
			l.known = false
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			l.inTime = false
			break
		}
	}
	return l
}

// process lists the open files of a process that one can write to, and tells
// how many descriptors it has. It gives up at end, if there is one.
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
		if f.writes() { // nobody asks for others
			f.pid = tgid
			files = append(files, f)
		}
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
