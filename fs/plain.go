package fs

import (
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/decide"
)

// plainFlags are the open flags that matter beneath. O_APPEND is not one: the
// kernel says where each write goes, and a page of a shared mapping may be
// written through a handle that has it.
const plainFlags = unix.O_ACCMODE | unix.O_TRUNC | unix.O_SYNC | unix.O_DSYNC | unix.O_NOATIME

// plainFile is an open file that no rule protects: its descriptor beneath.
//
// While it is open its file may be renamed onto a protected name, and what is
// written here after that belongs to that document; late.go says how.
type plainFile struct {
	s   *fileSystem
	n   *node
	fd  int
	who uint32 // thread that opened it

	flags  uint32      // of the open
	shut   atomic.Bool // a descriptor was closed
	mu     sync.Mutex
	late   atomic.Pointer[writer] // of what is written after such a rename
	behind atomic.Bool            // something was written that late doesn't have
}

var _ openFile = (*plainFile)(nil)

func (p *plainFile) owner() *node { return p.n }

func (p *plainFile) read(in *fuse.ReadIn, buf []byte) (int, error) {
	var n int
	err := retry(func() error {
		var err error
		n, err = unix.Pread(p.fd, buf, int64(in.Offset))
		return err
	})
	return max(n, 0), err
}

func (p *plainFile) write(in *fuse.WriteIn, data []byte) (int, error) {
	done := 0
	for done < len(data) {
		n, err := unix.Pwrite(p.fd, data[done:], int64(in.Offset)+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, firstOf(done, err)
		}
		done += n
	}
	p.touched(int64(in.Offset) + int64(len(data)))
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID == 0 {
		return done, nil
	}
	if w := p.late.Load(); w != nil {
		return done, p.s.killDocSuid(w.d)
	}
	return done, killSuid(p.fd)
}

func (p *plainFile) flush(in *fuse.FlushIn) error {
	p.shut.Store(true)
	if w := p.late.Load(); w != nil {
		return w.flush(in)
	}
	return nil
}

func (p *plainFile) fsync(in *fuse.FsyncIn) error {
	sync := unix.Fsync
	if in.FsyncFlags&1 != 0 {
		sync = unix.Fdatasync
	}
	if err := retry(func() error { return sync(p.fd) }); err != nil {
		return err
	}
	if w := p.late.Load(); w != nil {
		return w.fsync(in)
	}
	return nil
}

func (p *plainFile) truncate(in *fuse.InHeader, size int64) error {
	err := retry(func() error { return unix.Ftruncate(p.fd, size) })
	if err != nil {
		return err
	}
	p.touched(atTheEnd)
	if w := p.late.Load(); w != nil {
		return w.event(decide.Ftruncate, in.Pid)
	}
	return nil
}

func (p *plainFile) allocate(mode uint32, off, n int64) error {
	err := retry(func() error { return unix.Fallocate(p.fd, mode, off, n) })
	if err == nil {
		p.touched(atTheEnd)
	}
	return err
}

func (p *plainFile) seek(off int64, whence int) (int64, error) {
	return unix.Seek(p.fd, off, whence)
}

func (p *plainFile) copyTo(to *plainFile, off, toOff int64, size int) (int, error) {
	var n int
	err := retry(func() error {
		var err error
		n, err = unix.CopyFileRange(p.fd, &off, to.fd, &toOff, size, 0)
		return err
	})
	if err == nil {
		to.touched(toOff)
	}
	return max(n, 0), err
}

func (p *plainFile) release() {
	if w := p.late.Load(); w != nil {
		w.release()
	}
	_ = unix.Close(p.fd)
}

// killSuid clears set-user-id, and set-group-id where it means that, as the
// kernel does when somebody without the right to keep them changes a file.
func killSuid(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := withoutSuid(st.Mode)
	if mode == st.Mode {
		return nil
	}
	return unix.Fchmod(fd, mode&07777)
}

// withoutSuid is the mode that is left of one when set-id bits are dropped.
func withoutSuid(mode uint32) uint32 {
	mode &^= unix.S_ISUID
	if mode&unix.S_IXGRP != 0 {
		mode &^= unix.S_ISGID
	}
	return mode
}
