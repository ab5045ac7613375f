package fs

import (
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// reader is a protected file open for reading. Whatever is committed
// meanwhile, it reads the version that was newest at its open, or when it last
// read from the start.
type reader struct {
	d *document
	x transfer

	mu  sync.RWMutex // guards what follows
	pin *pinned
}

var _ openFile = (*reader)(nil)

func (s *fileSystem) openReader(d *document, in *fuse.OpenIn, out *fuse.OpenOut) error {
	r := &reader{d: d}
	d.seenFrom(in.Pid)
	d.transfers.enter(&r.x, in.Pid, &s.pace)
	var err error
	if r.pin, err = d.pin(); err != nil {
		d.transfers.leave(&r.x)
		return err
	}
	s.tree.pin(d.node)
	out.Fh = s.handles.add(r)
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
	return nil
}

func (r *reader) owner() *node { return r.d.node }

func (r *reader) read(in *fuse.ReadIn, buf []byte) (int, error) {
	if in.ReadFlags&fuse.READ_LOCKOWNER == 0 {
		return r.d.readFill(&r.x, in, buf)
	}
	r.d.transfers.readDirectly(&r.x)
	if in.Offset == 0 {
		r.renew()
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.pin.ReadAt(buf, int64(in.Offset))
}

// pages is read for much at once: what it returns is copied by the kernel. It is
// nil if read is to do it.
func (r *reader) pages(in *fuse.ReadIn) fuse.ReadResult {
	if in.Size < pagesRead || in.ReadFlags&fuse.READ_LOCKOWNER == 0 {
		return nil
	}
	r.d.transfers.readDirectly(&r.x)
	if in.Offset == 0 {
		r.renew()
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.pin.pages(int64(in.Offset), int64(in.Size))
}

// renew moves to the newest version, for those who keep a descriptor and read
// from the start again and again. If it can't be opened the old one stays.
func (r *reader) renew() {
	r.mu.RLock()
	tx := r.pin.tx
	r.mu.RUnlock()
	if r.d.headTx() == tx {
		return
	}
	p, err := r.d.pin()
	if err != nil {
		return
	}
	r.mu.Lock()
	old := r.pin
	r.pin = p
	r.mu.Unlock()
	old.close()
}

func (r *reader) write(*fuse.WriteIn, []byte) (int, error) { return 0, syscall.EBADF }
func (r *reader) flush(*fuse.FlushIn) error                { return nil }
func (r *reader) truncate(*fuse.InHeader, int64) error     { return syscall.EINVAL }
func (r *reader) allocate(_ uint32, _, _ int64) error      { return syscall.EBADF }
func (r *reader) seek(off int64, whence int) (int64, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return seekIn(r.pin.size(), off, whence)
}

// fsync makes what others committed durable: a reader may rely on what it read.
func (r *reader) fsync(*fuse.FsyncIn) error { return r.d.s.store.Sync(r.d.s.ctx) }

func (r *reader) release() {
	r.d.transfers.leave(&r.x)
	r.pin.close()
}

// readAt is io.ReaderAt without io.EOF: the kernel takes a short read for it.
func readAt(content io.ReaderAt, buf []byte, off int64) (int, error) {
	n, err := content.ReadAt(buf, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// seekIn answers SEEK_DATA and SEEK_HOLE for content without holes.
func seekIn(size, off int64, whence int) (int64, error) {
	switch {
	case off < 0 || off >= size:
		return 0, syscall.ENXIO
	case whence == unix.SEEK_DATA:
		return off, nil
	case whence == unix.SEEK_HOLE:
		return size, nil
	}
	return 0, syscall.EINVAL
}
