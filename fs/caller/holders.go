package caller

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"strconv"
	"time"
	"unsafe"

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

// access is how descriptors that are looked for were opened: O_WRONLY or O_RDWR,
// or any of the two.
type access uint32

const anyWriter access = unix.O_ACCMODE

// fits tells by the mode of a link in fd/ whether the descriptor can be one that
// is looked for: the kernel shows there what it may be used for.
func (a access) fits(mode uint32) bool {
	reads, writes := mode&unix.S_IRUSR != 0, mode&unix.S_IWUSR != 0
	switch a {
	case anyWriter:
		return writes
	case unix.O_WRONLY:
		return writes && !reads
	case unix.O_RDWR:
		return writes && reads
	}
	return false
}

func (t *Table) look(tgid uint32, a access) look {
	if tgid == 0 {
		return look{}
	}
	return t.looks.do(uint64(tgid)<<2|uint64(a), func() look {
		files, fds, err := t.process(tgid, a, time.Time{})
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
		files, _, err := t.process(pid, anyWriter, end)
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

// process lists the open files of a process that one can write to, those at
// least that were opened as asked for, and tells how many descriptors it has. It
// gives up at end, if there is one.
func (t *Table) process(tgid uint32, a access, end time.Time) ([]openFile, int, error) {
	files, n, err := t.table(tgid, t.path(tgid, ""), a, end)
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
		files, n, err = t.table(tgid, t.path(tgid, "task/"+strconv.FormatUint(uint64(tid), 10)+"/"), a, end)
		if n > 0 || err != nil {
			return files, n, err
		}
	}
	return nil, 0, err
}

// table reads one descriptor table, and tells how many descriptors there were.
func (t *Table) table(tgid uint32, dir string, a access, end time.Time) ([]openFile, int, error) {
	fds, total, err := candidates(dir+"fd", a, end)
	if len(fds) == 0 || err != nil {
		return nil, total, err
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
			return files, total, os.ErrDeadlineExceeded
		}
		b, err := readFile(info, strconv.FormatUint(uint64(fd), 10), buf[:])
		if gone(err) {
			continue
		}
		if err != nil {
			return files, total, err
		}
		f, err := parseFdinfo(b)
		if err != nil {
			return files, total, err
		}
		if f.writes() { // nobody asks for others
			f.pid = tgid
			files = append(files, f)
		}
	}
	return files, total, nil
}

// candidates lists the descriptors of a table that can be what is looked for,
// and tells how many there are in all. It asks for the mode of each link, which
// costs a quarter of reading its fdinfo; no link is followed or read.
func candidates(dir string, a access, end time.Time) (fds []uint32, total int, err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if gone(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	all, err := numbers(fd)
	if gone(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for _, n := range all {
		if !end.IsZero() && time.Now().After(end) {
			return nil, len(all), os.ErrDeadlineExceeded
		}
		var st unix.Stat_t
		err := unix.Fstatat(fd, strconv.FormatUint(uint64(n), 10), &st, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case gone(err):
		case err != nil:
			return nil, len(all), err
		case a.fits(st.Mode):
			fds = append(fds, n)
		}
	}
	return fds, len(all), nil
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

// list reads the numeric names of a directory. It does without os.File, whose
// poller costs more calls than the listing.
func list(dir string) ([]uint32, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	return numbers(fd)
}

// numbers reads the numeric names of an open directory.
func numbers(dir int) ([]uint32, error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	var ns []uint32
	for {
		n, err := unix.Getdents(dir, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return ns, err
		}
		for rest := buf[:n]; len(rest) > 0; {
			// No pointer to a Dirent: the last one is shorter than that.
			size := binary.NativeEndian.Uint16(rest[unsafe.Offsetof(unix.Dirent{}.Reclen):])
			if n, ok := number(rest[unsafe.Offsetof(unix.Dirent{}.Name):size]); ok {
				ns = append(ns, n)
			}
			rest = rest[size:]
		}
	}
}

// number reads a name that ends at a zero byte.
func number(name []byte) (uint32, bool) {
	n := uint64(0)
	for i, c := range name {
		switch {
		case c == 0:
			return uint32(n), i > 0 && n <= math.MaxUint32
		case c < '0' || c > '9' || n > math.MaxUint32:
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return 0, false
}

// gone tells that a process or descriptor has ended between two looks.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}
