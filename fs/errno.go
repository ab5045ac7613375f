package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// errInvalid is what a program is told when its content was refused.
const errInvalid = syscall.EBADMSG

// toStatus is the one door from an error to what the kernel is told. It never
// answers ENOSYS: the kernel would stop sending that operation for the life
// of the mount.
func toStatus(err error) fuse.Status {
	var errno syscall.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.As(err, &errno) && errno == syscall.ENOSYS:
		return fuse.Status(syscall.EOPNOTSUPP)
	case errors.As(err, &errno) && errno != 0:
		return fuse.Status(errno)
	case errors.Is(err, iofs.ErrNotExist):
		return fuse.ENOENT
	case errors.Is(err, iofs.ErrExist):
		return fuse.Status(syscall.EEXIST)
	case errors.Is(err, iofs.ErrPermission):
		return fuse.EPERM
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fuse.EINTR
	}
	return fuse.EIO
}
