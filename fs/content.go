package fs

import (
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// backingContent is a published file: nobody writes into it, a new version
// comes in an inode of its own.
type backingContent struct {
	fd   int
	size int64

	once   sync.Once
	mapped []byte // by pages; nil: not mapped
}

// newBackingContent takes the descriptor over, also when it fails.
func newBackingContent(fd int) (*backingContent, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &backingContent{fd: fd, size: st.Size}, nil
}

// Size is the size at the time of opening.
func (c *backingContent) Size() int64 { return c.size }

// ReadAt is io.ReaderAt.
func (c *backingContent) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; ; {
		n, err := unix.Pread(c.fd, p[done:], off+int64(done))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
		switch {
		case done == len(p):
			return done, nil
		case n == 0:
			return done, io.EOF
		}
	}
}

// Close ends it. Nothing that pages returned may be in use any more.
func (c *backingContent) Close() error {
	var err error
	if c.mapped != nil {
		err = unix.Munmap(c.mapped)
		c.mapped = nil
	}
	return errors.Join(err, unix.Close(c.fd))
}

// pages is the bytes [off, off+n) in the kernel's own pages, for a system call
// to copy from. Nobody here may look at them: a page that can't be read is an
// error of the system call, and would be the end of this process. It is nil
// where that is not to be had.
func (c *backingContent) pages(off, n int64) []byte {
	c.once.Do(func() {
		if m, err := unix.Mmap(c.fd, 0, int(c.size), unix.PROT_READ, unix.MAP_SHARED); err == nil {
			// What is not in memory is read ahead, as it is for read(2).
			_ = unix.Madvise(m, unix.MADV_SEQUENTIAL)
			c.mapped = m
		}
	})
	if off < 0 || n <= 0 || off+n > int64(len(c.mapped)) {
		return nil
	}
	return c.mapped[off : off+n]
}

// A read of pagesRead bytes or more from a file of pagesFile bytes or more is
// answered from the file's pages: it saves a copy, which weighs less than the
// mapping for what is smaller.
const (
	pagesRead = 64 << 10
	pagesFile = 1 << 20
)

// pagesResult is a readResult that goes from a file's pages to the kernel. It holds the
// content until then.
type pagesResult struct {
	bytes []byte
	off   int64
	held  *pinned
}

// Size is how much will be read.
func (v *pagesResult) Size() int { return len(v.bytes) }

// Slices is what is written to the kernel as it is.
func (v *pagesResult) Slices() ([][]byte, fuse.Status) { return [][]byte{v.bytes}, fuse.OK }

// Bytes is for those who can't take Slices: a copy that reads the file.
func (v *pagesResult) Bytes(buf []byte) ([]byte, fuse.Status) {
	n, err := v.held.ReadAt(buf[:min(len(buf), len(v.bytes))], v.off)
	return buf[:n], toStatus(err)
}

// Done is told once, after the answer.
func (v *pagesResult) Done() { v.held.close() }

// pages answers a read without moving the bytes through this process; nil if
// that can't be done or isn't worth it. Otherwise the content stays open until
// the answer's Done.
func (p *pinned) pages(off, n int64) fuse.ReadResult {
	if p == nil {
		return nil
	}
	c, ok := p.content.(*backingContent)
	if !ok || n < pagesRead || c.size < pagesFile {
		return nil
	}
	bytes := c.pages(off, min(n, c.size-off))
	if bytes == nil {
		return nil
	}
	held, err := p.share()
	if err != nil {
		return nil
	}
	return &pagesResult{bytes, off, held}
}
