package caller

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// errFormat is returned for a file of /proc that is not as documented.
var errFormat = errors.New("unexpected format")

// status is the part of /proc/TID/status that is needed.
type status struct {
	name   string
	tgid   uint32
	uid    uint32 // effective
	fdSize int    // 0: the task has no descriptor table any more
}

// readFile reads a small file of /proc, at most len(buf) bytes of it, without
// the poller. Such a file is made up as a whole when it is read: what comes
// short of the buffer is all of it.
func readFile(dir int, name string, buf []byte) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

// buffers are what files of /proc are read into, and directories listed: on the
// stack they would have every goroutine that serves a request grow one.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const bufferSize = 4096

func readStatus(dir int, name string) (status, error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	b, err := readFile(dir, name, buf[:])
	if err != nil {
		return status{}, err
	}
	return parseStatus(b)
}

func parseStatus(b []byte) (status, error) {
	var st status
	var err error
	seen := 0
	for line := range bytes.Lines(b) {
		key, val, ok := strings.Cut(string(line), ":")
		if !ok {
			continue
		}
		val = strings.TrimSpace(val)
		switch key {
		case "Name":
			st.name = val
		case "Tgid":
			st.tgid, err = parse32(val)
			seen++
		case "Uid":
			f := strings.Fields(val)
			if len(f) < 2 {
				return status{}, fmt.Errorf("status Uid %q: %w", val, errFormat)
			}
			st.uid, err = parse32(f[1])
			seen++
		case "FDSize":
			st.fdSize, err = strconv.Atoi(val)
			seen++
		}
		if err != nil {
			return status{}, fmt.Errorf("status %s: %w", key, err)
		}
	}
	if seen < 3 {
		return status{}, fmt.Errorf("status: %w", errFormat)
	}
	return st, nil
}

func parse32(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

// openFile is one descriptor of a process, from its fdinfo.
type openFile struct {
	pid   uint32
	pos   int64
	flags uint64
	mount int
	ino   uint64
}

// writes tells whether one can write through the descriptor.
func (f openFile) writes() bool {
	return f.flags&unix.O_PATH == 0 && f.flags&unix.O_ACCMODE != unix.O_RDONLY
}

func parseFdinfo(b []byte) (openFile, error) {
	var f openFile
	var err error
	seen := 0
	for line := range bytes.Lines(b) {
		key, val, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		v := string(bytes.TrimSpace(val))
		switch string(key) {
		case "pos":
			f.pos, err = strconv.ParseInt(v, 10, 64)
		case "flags":
			f.flags, err = strconv.ParseUint(v, 8, 64)
			seen++
		case "mnt_id":
			f.mount, err = strconv.Atoi(v)
			seen++
		case "ino":
			f.ino, err = strconv.ParseUint(v, 10, 64)
			seen++
		}
		if err != nil {
			return openFile{}, fmt.Errorf("fdinfo %s: %w", key, err)
		}
		if seen == 3 {
			return f, nil
		}
	}
	return openFile{}, fmt.Errorf("fdinfo: %w", errFormat)
}

const (
	pfExiting = 0x4 // PF_EXITING
	pfKthread = 0x200000
)

// parseStat reads the flags and the exit code from /proc/TID/stat.
func parseStat(b []byte) (flags uint64, code int, err error) {
	// The name may hold spaces and parentheses: fields count from the last.
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	const flagsAt, codeAt = 9 - 3, 52 - 3 // the first field after it is number 3
	if i < 0 || len(f) <= codeAt {
		return 0, 0, fmt.Errorf("stat: %w", errFormat)
	}
	if flags, err = strconv.ParseUint(f[flagsAt], 10, 64); err != nil {
		return 0, 0, fmt.Errorf("stat flags: %w", err)
	}
	if code, err = strconv.Atoi(f[codeAt]); err != nil {
		return 0, 0, fmt.Errorf("stat exit code: %w", err)
	}
	return flags, code, nil
}

// mountLine is one line of mountinfo.
type mountLine struct {
	Mount
	point string
}

func parseMountinfo(b []byte) []mountLine {
	var all []mountLine
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		if len(f) < 5 {
			continue
		}
		id, err := strconv.Atoi(f[0])
		if err != nil {
			continue
		}
		all = append(all, mountLine{Mount{ID: id, Dev: f[2]}, unescape(f[4])})
	}
	return all
}

// unescape replaces the \ooo of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// FindMount looks the mount at an absolute path up in /proc/self/mountinfo,
// without touching the path. Of several mounts on top of each other it is the
// last one. None is an error that is fs.ErrNotExist.
func FindMount(path string) (Mount, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Mount{}, fmt.Errorf("find mount %s: %w", path, err)
	}
	found, ok := Mount{}, false
	for _, m := range parseMountinfo(b) {
		if m.point == path {
			found, ok = m.Mount, true
		}
	}
	if !ok {
		return Mount{}, fmt.Errorf("find mount %s: %w", path, os.ErrNotExist)
	}
	return found, nil
}
