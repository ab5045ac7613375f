package disk

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// OSFile is an open file of OS. The one who closes it sees to it that no
// other call is under way.
type OSFile struct {
	fd        int
	name      string
	closeOnce sync.Once
	attrSet   atomic.Bool // SetAttr was called and not yet synced
}

var _ File = (*OSFile)(nil)

// Fd is the descriptor; it is valid until Close.
func (f *OSFile) Fd() uintptr { return uintptr(f.fd) }

// ReadAt implements io.ReaderAt.
func (f *OSFile) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return unix.Pread(f.fd, p[done:], off+int64(done)) })
		if err != nil {
			return done, opError("", "read", f.name, err)
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// WriteAt implements File. After a short count the kernel is asked once
// more, to learn the reason.
func (f *OSFile) WriteAt(step Step, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return unix.Pwrite(f.fd, p[done:], off+int64(done)) })
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return done, opError(step, "write", f.name, err)
		}
		done += n
	}
	return done, nil
}

// Sync implements File. fdatasync also writes the size and the block map
// when they changed, which is all that reading needs; attributes that SetAttr
// gave the file take the dearer fsync.
func (f *OSFile) Sync(step Step) error {
	flush := unix.Fdatasync
	if f.attrSet.Load() {
		flush = unix.Fsync
	}
	if err := retryErr(func() error { return flush(f.fd) }); err != nil {
		return opError(step, "sync", f.name, err)
	}
	f.attrSet.Store(false)
	return nil
}

// StartWriteback asks the kernel to begin writing n bytes at off out, so that
// a later Sync finds less to do. It is a hint: it waits for nothing and tells
// of no error.
func (f *OSFile) StartWriteback(off, n int64) {
	_ = unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// Truncate implements File.
func (f *OSFile) Truncate(step Step, size int64) error {
	if err := retryErr(func() error { return unix.Ftruncate(f.fd, size) }); err != nil {
		return opError(step, "truncate", f.name, err)
	}
	return nil
}

// Allocate implements File. Where the file system has no fallocate, zeros
// are written behind the present end: what the file holds is kept.
func (f *OSFile) Allocate(step Step, size int64) error {
	err := retryErr(func() error { return unix.Fallocate(f.fd, 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.writeZeros(step, size)
	}
	if err != nil {
		return opError(step, "allocate", f.name, err)
	}
	return nil
}

// writeZeros extends the file to size.
func (f *OSFile) writeZeros(step Step, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for off := info.Size; off < size; {
		n := min(int64(len(zeros)), size-off)
		if _, err := f.WriteAt(step, zeros[:n], off); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// Stat implements File.
func (f *OSFile) Stat() (Info, error) {
	var st unix.Stat_t
	if err := retryErr(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return Info{}, opError("", "stat", f.name, err)
	}
	return infoOf(&st), nil
}

// Close implements File. Closing twice is harmless.
func (f *OSFile) Close() error {
	var err error
	f.closeOnce.Do(func() { err = unix.Close(f.fd) })
	if err != nil {
		return opError("", "close", f.name, err)
	}
	return nil
}
