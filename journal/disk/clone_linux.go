package disk

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

var _ Cloner = (*OSFile)(nil)

// copyAtOnce is how many bytes one call copies: a signal or the end of the
// process should not wait for gigabytes.
const copyAtOnce = 64 << 20

// CloneFrom implements Cloner. Where blocks can be shared (btrfs, xfs) that
// takes no time and no space; elsewhere the kernel copies.
func (f *OSFile) CloneFrom(step Step, src File, size int64) error {
	from, ok := src.(*OSFile)
	if !ok {
		return fmt.Errorf("clone %s: %w", f.name, errors.ErrUnsupported)
	}
	if err := retryErr(func() error { return unix.IoctlFileClone(f.fd, from.fd) }); err == nil {
		return f.cutClone(step, size)
	}
	for off := int64(0); off < size; {
		in, out := off, off
		n, err := retry(func() (int, error) {
			return unix.CopyFileRange(from.fd, &in, f.fd, &out, int(min(size-off, copyAtOnce)), 0)
		})
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if off == 0 && noCopies(err) {
			err = errors.ErrUnsupported
		}
		if err != nil {
			return opError(step, "clone", f.name, err)
		}
		off += int64(n)
	}
	return nil
}

// cutClone takes what is too much off a clone of a whole file.
func (f *OSFile) cutClone(step Step, size int64) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.Size < size:
		return opError(step, "clone", f.name, io.ErrUnexpectedEOF)
	case info.Size > size:
		return f.Truncate(step, size)
	}
	return nil
}

// noCopies says that the file system, or the kernel, can't copy between these
// two files.
func noCopies(err error) bool {
	for _, errno := range []unix.Errno{unix.EXDEV, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOSYS, unix.EPERM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
