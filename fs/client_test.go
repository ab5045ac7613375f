package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The client is this test binary in a process of its own, which reads one
// command a line and answers each with one line: what it found, "ok", or the
// name of an errno.

func TestMain(m *testing.M) {
	if dir := os.Getenv("INTACT_TEST_CLIENT"); dir != "" {
		os.Exit(runClient(dir))
	}
	os.Exit(m.Run())
}

func encodeWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, " ") + "\n"
}

func decodeWords(line string) []string {
	var words []string
	rest := strings.TrimSpace(line)
	for rest != "" {
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return append(words, rest)
		}
		w, _ := strconv.Unquote(q)
		words = append(words, w)
		rest = strings.TrimSpace(rest[len(q):])
	}
	return words
}

func runClient(dir string) int {
	if err := os.Chdir(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	files := map[string]int{}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0
		}
		out, err := clientDo(files, decodeWords(line))
		if err != nil {
			out = errnoName(err)
		}
		fmt.Print(encodeWords([]string{out}))
	}
}

func errnoName(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

var openFlags = map[string]int{
	"r": os.O_RDONLY, "w": os.O_WRONLY | os.O_CREATE | os.O_TRUNC, "r+": os.O_RDWR,
	"a": os.O_WRONLY | os.O_CREATE | os.O_APPEND, "a+": os.O_RDWR | os.O_CREATE | os.O_APPEND,
	"x": os.O_WRONLY | os.O_CREATE | os.O_EXCL, "w+": os.O_RDWR | os.O_CREATE | os.O_TRUNC,
	"c": os.O_RDWR | os.O_CREATE, "rt": os.O_RDONLY | os.O_TRUNC,
}

// clientDo is one command: open FD PATH MODE, write FD TEXT, ...
func clientDo(files map[string]int, w []string) (string, error) {
	fd, arg := -1, func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	if len(w) > 1 {
		if known, ok := files[w[1]]; ok {
			fd = known
		}
	}
	num := func(i int) int64 { n, _ := strconv.ParseInt(arg(i), 0, 64); return n }
	switch w[0] {
	case "open":
		fd, err := unix.Open(w[2], openFlags[w[3]]|unix.O_CLOEXEC, 0644)
		if err == nil {
			files[w[1]] = fd
		}
		return "ok", err
	case "dup":
		other, err := unix.Dup(fd)
		files[w[2]] = other
		return "ok", err
	case "close":
		delete(files, w[1])
		return "ok", unix.Close(fd)
	case "write":
		n, err := unix.Write(fd, []byte(w[2]))
		return strconv.Itoa(n), err
	case "fill": // N bytes of a JSON string, in pieces
		return "ok", clientFill(fd, int(num(2)))
	case "pwrite":
		n, err := unix.Pwrite(fd, []byte(w[3]), num(2))
		return strconv.Itoa(n), err
	case "read":
		return clientRead(fd, 1<<22)
	case "pread":
		buf := make([]byte, num(3))
		n, err := unix.Pread(fd, buf, num(2))
		return string(buf[:max(n, 0)]), err
	case "seek":
		off, err := unix.Seek(fd, num(2), int(num(3)))
		return strconv.FormatInt(off, 10), err
	case "fsync":
		return "ok", unix.Fsync(fd)
	case "ftruncate":
		return "ok", unix.Ftruncate(fd, num(2))
	case "fallocate":
		return "ok", unix.Fallocate(fd, uint32(num(2)), num(3), num(4))
	case "fsize":
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		return strconv.FormatInt(st.Size, 10), err
	case "fchmod":
		return "ok", unix.Fchmod(fd, uint32(num(2)))
	case "flock":
		return "ok", unix.Flock(fd, int(num(2)))
	case "spawn": // a child that closes all it inherited by its exec
		return "ok", exec.Command("/bin/true").Run()
	case "lockf":
		return "ok", clientLockf(fd, arg(2))
	case "watch":
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		files[w[1]] = fd
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, w[2], unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO)
		}
		return "ok", err
	case "event": // waits for one, and reads the file right away
		if _, err := unix.Read(fd, make([]byte, 4096)); err != nil {
			return "", err
		}
		b, err := os.ReadFile(w[2])
		return string(b), err
	case "sendfile":
		return clientSendfile(fd)
	case "mmap":
		return clientMmap(fd, int(num(2)), int(num(3)))
	}
	return clientPath(w, num)
}

func clientPath(w []string, num func(int) int64) (string, error) {
	switch w[0] {
	case "cat":
		b, err := os.ReadFile(w[1])
		return string(b), err
	case "save":
		return "ok", os.WriteFile(w[1], []byte(w[2]), 0644)
	case "size", "ino", "mode", "nlink", "mtime", "blksize":
		return clientStat(w[0], w[1])
	case "truncate":
		return "ok", unix.Truncate(w[1], num(2))
	case "unlink":
		return "ok", unix.Unlink(w[1])
	case "rename":
		return "ok", unix.Renameat2(unix.AT_FDCWD, w[1], unix.AT_FDCWD, w[2], uint(num(3)))
	case "link":
		return "ok", unix.Link(w[1], w[2])
	case "symlink":
		return "ok", unix.Symlink(w[1], w[2])
	case "mkdir":
		return "ok", unix.Mkdir(w[1], 0755)
	case "rmdir":
		return "ok", unix.Rmdir(w[1])
	case "mknod":
		return "ok", unix.Mknod(w[1], unix.S_IFREG|0644, 0)
	case "chmod":
		return "ok", unix.Chmod(w[1], uint32(num(2)))
	case "chown":
		return "ok", unix.Chown(w[1], int(num(2)), int(num(3)))
	case "utime":
		at := time.Unix(num(2), 0)
		return "ok", os.Chtimes(w[1], at, at)
	case "setxattr":
		return "ok", unix.Setxattr(w[1], w[2], []byte(w[3]), 0)
	case "getxattr":
		buf := make([]byte, 4096)
		n, err := unix.Getxattr(w[1], w[2], buf)
		return string(buf[:max(n, 0)]), err
	case "listxattr":
		buf := make([]byte, 4096)
		n, err := unix.Listxattr(w[1], buf)
		return strings.ReplaceAll(string(buf[:max(n, 0)]), "\x00", " "), err
	case "ls":
		entries, err := os.ReadDir(w[1])
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		sort.Strings(names)
		return strings.Join(names, " "), err
	}
	return clientMeta(w, num)
}

func clientStat(what, path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	switch what {
	case "size":
		return strconv.FormatInt(st.Size, 10), nil
	case "ino":
		return strconv.FormatUint(st.Ino, 10), nil
	case "mode":
		return fmt.Sprintf("%o", st.Mode), nil
	case "nlink":
		return strconv.FormatUint(uint64(st.Nlink), 10), nil
	case "blksize":
		return strconv.FormatInt(int64(st.Blksize), 10), nil
	}
	return strconv.FormatInt(st.Mtim.Sec, 10), nil
}

func clientRead(fd, size int) (string, error) {
	var all []byte
	buf := make([]byte, size)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return string(all), err
		}
		all = append(all, buf[:n]...)
	}
}

// clientFill writes a JSON string of n bytes with its quotes.
func clientFill(fd, n int) error {
	text := `"` + strings.Repeat("x", n-2) + `"`
	for len(text) > 0 {
		m, err := unix.Write(fd, []byte(text[:min(len(text), 8000)]))
		if err != nil {
			return err
		}
		text = text[m:]
	}
	return nil
}

func clientSendfile(fd int) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	off := int64(0)
	_, err = unix.Sendfile(int(w.Fd()), fd, &off, 4096)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	b, rerr := io.ReadAll(r)
	return string(b), errors.Join(err, rerr)
}

func clientMmap(fd, flags, size int) (string, error) {
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ, flags)
	if err != nil {
		return "", err
	}
	out := string(b)
	return out, unix.Munmap(b)
}

// clientLoop is what a client does many times over.
func clientLoop(w []string, num func(int) int64) (string, error) {
	for i := range num(2) {
		var err error
		switch w[0] {
		case "increments": // a counter under a lock, as careful programs do it
			err = clientIncrement(w[1], w[3])
		case "appends":
			err = clientAppend(w[1], fmt.Sprintf("{\"who\":%q,\"n\":%d}\n", w[3], i))
		case "replaces":
			temp := fmt.Sprintf("%s.%d.tmp", w[1], os.Getpid())
			err = os.WriteFile(temp, clientDocument(i), 0644)
			if err == nil {
				err = os.Rename(temp, w[1])
			}
		case "saves":
			err = os.WriteFile(w[1], clientDocument(i), 0644)
		case "checks":
			err = clientCheck(w[1])
		default:
			return clientTransfer(w, num)
		}
		if err != nil {
			return "", fmt.Errorf("round %d: %w", i, err)
		}
	}
	return "ok", nil
}

// clientDocument is one of many documents of different lengths, each made of
// one letter alone.
func clientDocument(i int64) []byte {
	n := 1 + int(i*7919%5000)
	return []byte(`"` + strings.Repeat(string(rune('a'+i%26)), n) + `"`)
}

// clientCheck reads a document in pieces and fails if it isn't one of those.
func clientCheck(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	text, err := clientRead(fd, 1000)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	body, ok := strings.CutPrefix(text, `"`)
	body, ok2 := strings.CutSuffix(body, `"`)
	if !ok || !ok2 || strings.Trim(body, body[:1]) != "" {
		return fmt.Errorf("torn: %d bytes %.40q", len(text), text)
	}
	return nil
}

func clientIncrement(path, how string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	posix := unix.Flock_t{Type: unix.F_WRLCK}
	err = retry(func() error {
		if how == "lockf" {
			return unix.FcntlFlock(uintptr(fd), unix.F_SETLKW, &posix)
		}
		return unix.Flock(fd, unix.LOCK_EX)
	})
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	buf := make([]byte, 100)
	n, err := unix.Pread(fd, buf, 0)
	if err != nil {
		return err
	}
	var count int
	if _, err := fmt.Sscanf(string(buf[:n]), "[%d]", &count); err != nil {
		return fmt.Errorf("%q: %w", buf[:n], err)
	}
	next := fmt.Sprintf("[%d]", count+1)
	if _, err := unix.Pwrite(fd, []byte(next), 0); err != nil {
		return err
	}
	if err := unix.Ftruncate(fd, int64(len(next))); err != nil {
		return err
	}
	if how != "flock" {
		return nil // the close gives it up
	}
	return unix.Flock(fd, unix.LOCK_UN)
}

func clientAppend(path, line string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0644)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte(line)); err != nil {
		return err
	}
	return unix.Close(fd)
}
