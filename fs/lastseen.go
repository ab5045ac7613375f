package fs

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// lastSeen are the attributes that the disk told last. The root's stand in for
// those of a disk that can't be asked any more: whoever looks for the daemon of
// a mount, or takes the mount away, begins at its root, and must be answered
// just then. Safe for concurrent use.
type lastSeen struct {
	st atomic.Pointer[unix.Stat_t]
}

// or returns what the disk says, or what it said before if it now only fails.
func (l *lastSeen) or(st unix.Stat_t, err error) (unix.Stat_t, error) {
	if err == nil {
		l.st.Store(&st)
		return st, nil
	}
	broken := errors.Is(err, unix.EIO) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.ESHUTDOWN)
	if last := l.st.Load(); broken && last != nil {
		return *last, nil
	}
	return st, err
}
