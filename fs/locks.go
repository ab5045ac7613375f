package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/decide"
	"intactfs/fs/locks"
)

func spaceOf(in *fuse.LkIn) locks.Space {
	if in.LkFlags&fuse.LK_FLOCK != 0 {
		return locks.Flock
	}
	return locks.Posix
}

// ownerOf is who a lock belongs to. For flock that is the open file, so its
// handle: the owner that the kernel sends is made from an address which another
// file may have by the time of the release.
func ownerOf(in *fuse.LkIn) uint64 {
	if spaceOf(in) == locks.Flock {
		return in.Fh
	}
	return in.Owner
}

func lockOf(in *fuse.LkIn) locks.Lock {
	l := locks.Lock{Owner: ownerOf(in), PID: in.Lk.Pid, Start: in.Lk.Start, End: min(in.Lk.End, locks.Max)}
	if in.Lk.Typ == unix.F_WRLCK {
		l.Type = locks.Exclusive
	}
	if spaceOf(in) == locks.Flock {
		l.Start, l.End = 0, locks.Max
	}
	return l
}

// GetLk tells a lock that is in the way of one asked for.
func (s *fileSystem) GetLk(_ <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	out.Lk = in.Lk
	held, ok := s.locks.Test(in.NodeId, spaceOf(in), lockOf(in))
	if !ok {
		out.Lk.Typ = unix.F_UNLCK
		return fuse.OK
	}
	out.Lk = fuse.FileLock{Start: held.Start, End: held.End, Typ: unix.F_RDLCK, Pid: held.PID}
	if held.Type == locks.Exclusive {
		out.Lk.Typ = unix.F_WRLCK
	}
	return fuse.OK
}

// SetLk takes or gives up a lock, without waiting.
func (s *fileSystem) SetLk(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return s.setLock(cancel, in, false)
}

// SetLkw takes a lock, and waits for it.
func (s *fileSystem) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return s.setLock(cancel, in, true)
}

func (s *fileSystem) setLock(cancel <-chan struct{}, in *fuse.LkIn, wait bool) fuse.Status {
	space, l := spaceOf(in), lockOf(in)
	if in.Lk.Typ == unix.F_UNLCK {
		if s.locks.Holds(in.NodeId, space, l.Owner, l.Start, l.End, false) {
			s.commitAtUnlock(in)
		}
		s.locks.Unlock(in.NodeId, space, l.Owner, l.Start, l.End)
		return fuse.OK
	}
	err := s.locks.Lock(cancel, in.NodeId, space, l, wait)
	switch {
	case err == nil:
		s.noteLocker(in, space)
		return fuse.OK
	case errors.Is(err, locks.ErrWouldBlock):
		return fuse.EAGAIN
	case errors.Is(err, locks.ErrDeadlock):
		return fuse.Status(syscall.EDEADLK)
	}
	return fuse.EINTR
}

// commitAtUnlock commits what was changed under a lock before the next owner
// of the lock reads it. Content that is not whole stays staged: unlocking is
// not a save, and can't fail for it.
func (s *fileSystem) commitAtUnlock(in *fuse.LkIn) {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return
	}
	d := f.owner().doc.Load()
	if d == nil {
		return
	}
	tgid, _ := s.who.TGID(in.Pid)
	d.mu.Lock()
	var writers []*writer
	for w := range d.writers {
		if openFile(w) == f || w.source != nil && openFile(w.source) == f || tgid != 0 && w.opener.PID == tgid {
			writers = append(writers, w)
		}
	}
	d.mu.Unlock()
	for _, w := range writers {
		if err := w.event(decide.Unlock, in.Pid); err != nil {
			s.log.Warn("content changed under a lock is not committed at its unlock",
				"path", d.name(), "program", w.opener.Program, "pid", w.opener.PID, "error", err)
		}
	}
}

// noteLocker remembers who took POSIX locks through a handle. Most give them up
// at a close; those of a reader, whose closes are not told, and those that
// belong to the open file itself go with its release.
func (s *fileSystem) noteLocker(in *fuse.LkIn, space locks.Space) {
	if space != locks.Posix {
		return
	}
	s.lockersMu.Lock()
	defer s.lockersMu.Unlock()
	owners := s.lockers[in.Fh]
	if owners == nil {
		owners = map[uint64]struct{}{}
		s.lockers[in.Fh] = owners
	}
	owners[in.Owner] = struct{}{}
}

// releasePosix gives up the POSIX locks of a process on a file: closing any
// of its descriptors does.
func (s *fileSystem) releasePosix(n *node, in *fuse.FlushIn) {
	s.locks.ReleaseOwner(n.id, locks.Posix, in.LockOwner)
	s.lockersMu.Lock()
	defer s.lockersMu.Unlock()
	delete(s.lockers[in.Fh], in.LockOwner)
}

// releaseLocks gives up what is still locked through a handle that is gone.
func (s *fileSystem) releaseLocks(in *fuse.ReleaseIn) {
	s.locks.ReleaseOwner(in.NodeId, locks.Flock, in.Fh)
	s.lockersMu.Lock()
	owners := s.lockers[in.Fh]
	delete(s.lockers, in.Fh)
	s.lockersMu.Unlock()
	for owner := range owners {
		s.locks.ReleaseOwner(in.NodeId, locks.Posix, owner)
	}
}
