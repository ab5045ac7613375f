package fs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What readers do that go through the kernel's pages, and the savers beside
// them.

// passed is how many rounds of a loop were done, and how many of them went wrong.
type passed struct {
	rounds, torn int
	first        string
}

func (p *passed) note(err error) {
	p.rounds++
	if err == nil {
		return
	}
	if p.torn++; p.first == "" {
		p.first = err.Error()
	}
}

func (p *passed) String() string { return fmt.Sprintf("%d of %d torn %s", p.torn, p.rounds, p.first) }

// numbers is the n-th of some large documents of different sizes: one number
// again and again, and nothing else.
func numbers(n, least int) []byte {
	var b bytes.Buffer
	b.WriteString("[")
	size := least + n*7919*101%least
	item := fmt.Sprintf("%d,\n", 1000000+n)
	b.WriteString(strings.Repeat(item, size/len(item)))
	fmt.Fprintf(&b, "%d]", 1000000+n)
	return b.Bytes()
}

// wholeNumbers fails if text is none of these documents.
func wholeNumbers(text []byte, least int) error {
	if len(text) < 8 {
		return fmt.Errorf("%d bytes %q", len(text), text)
	}
	var n int
	if _, err := fmt.Sscanf(string(text[1:8]), "%d", &n); err != nil {
		return fmt.Errorf("%d bytes %.30q: %w", len(text), text, err)
	}
	want := numbers(n-1000000, least)
	if bytes.Equal(text, want) {
		return nil
	}
	at := 0
	for at < min(len(text), len(want)) && text[at] == want[at] {
		at++
	}
	return fmt.Errorf("%d of %d bytes, other ones from %d: %.30q", len(text), len(want), at, text[at:])
}

// clientTransfer is a loop of a process: savebig PATH ROUNDS LEAST STOP HOW, which
// ends when the file STOP is there; copybig PATH ROUNDS LEAST DIR; walkbig PATH
// ROUNDS LEAST. It answers how many rounds went wrong.
func clientTransfer(w []string, num func(int) int64) (string, error) {
	least := int(num(3))
	var done passed
	for i := range int(num(2)) {
		var err error
		switch w[0] {
		case "savebig":
			if _, err := os.Stat(w[4]); err == nil {
				return done.String(), nil
			}
			if err = clientSaveBig(w[1], numbers(i%900, least), w[5]); err != nil {
				return done.String(), err
			}
		case "copybig":
			err = clientCopyBig(w[1], w[4], least)
		case "walkbig":
			err = clientWalkBig(w[1], least)
		default:
			return "", fmt.Errorf("no command %q", w[0])
		}
		done.note(err)
	}
	return done.String(), nil
}

// clientSaveBig saves as programs do: emptied at the open with a look at the
// descriptor, or in place and cut off, or by another file's name.
func clientSaveBig(path string, content []byte, how string) error {
	flags, name := os.O_WRONLY|os.O_CREATE|os.O_TRUNC, path
	switch how {
	case "in place":
		flags = os.O_WRONLY
	case "rename":
		name = path + ".tmp"
	}
	f, err := os.OpenFile(name, flags, 0644)
	if err != nil {
		return err
	}
	_, err = f.Stat()
	for rest := content; len(rest) > 0 && err == nil; {
		piece := rest[:min(len(rest), 1<<20)]
		_, err = f.Write(piece)
		rest = rest[len(piece):]
	}
	if err == nil && how == "in place" {
		err = f.Truncate(int64(len(content)))
	}
	if err = errors.Join(err, f.Close()); err == nil && how == "rename" {
		err = os.Rename(name, path)
	}
	time.Sleep(time.Millisecond)
	return err
}

// clientCopyBig does what shutil.copyfile does.
func clientCopyBig(path, scratch string, least int) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	to, err := os.Create(filepath.Join(scratch, "copy"))
	if err != nil {
		return err
	}
	defer to.Close()
	for {
		n, err := unix.Sendfile(int(to.Fd()), int(from.Fd()), nil, max(int(info.Size()), 8<<20))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sendfile: %w", err)
		}
		if n == 0 {
			break
		}
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return err
	}
	text, err := os.ReadFile(to.Name())
	if err != nil {
		return err
	}
	if err := wholeNumbers(text, least); err != nil {
		return fmt.Errorf("%d bytes by fstat: %w", info.Size(), err)
	}
	return nil
}

// clientWalkBig maps the file and goes through the mapping once.
func clientWalkBig(path string, least int) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(from.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes: %w", info.Size(), err)
	}
	text := make([]byte, len(m))
	err = walk(text, m)
	if err := errors.Join(err, unix.Munmap(m)); err != nil {
		return err
	}
	return wholeNumbers(text, least)
}

// walk copies a mapping; behind the end of the file there is a signal to be had.
func walk(to, mapping []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("walk: %v", p)
		}
	}()
	copy(to, mapping)
	return nil
}
