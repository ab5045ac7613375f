package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/decide"
	"intactfs/fs/stage"
)

// SetAttr changes mode, owner, times or size.
func (s *fileSystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	d := n.doc.Load()
	if size, ok := in.GetSize(); ok {
		if err := s.setSize(n, d, in, int64(size)); err != nil {
			return toStatus(err)
		}
	}
	var err error
	if d != nil {
		err = s.setDocAttr(d, in)
	} else {
		err = s.setPlainAttr(n, in)
	}
	if err != nil {
		return toStatus(err)
	}
	timeout, err := s.attributesSet(n, &in.InHeader, &out.Attr)
	out.SetTimeout(timeout)
	return toStatus(err)
}

// setSize truncates: a handle if the kernel names one, else the file by name.
func (s *fileSystem) setSize(n *node, d *document, in *fuse.SetAttrIn, size int64) error {
	if d != nil && in.Valid&fuse.FATTR_KILL_SUIDGID != 0 {
		if err := s.killDocSuid(d); err != nil {
			return err
		}
	}
	if fh, ok := in.GetFh(); ok {
		f, err := s.handles.get(fh)
		if err != nil {
			return err
		}
		return f.truncate(&in.InHeader, size)
	}
	if d != nil {
		return s.truncateDoc(d, &in.InHeader, size)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	fd, err := s.openPath(n)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := retry(func() error { return unix.Truncate(procPath(fd), size) }); err != nil {
		return err
	}
	if in.Valid&fuse.FATTR_KILL_SUIDGID == 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, "", &st, unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	if mode := withoutSuid(st.Mode); mode != st.Mode {
		return unix.Chmod(procPath(fd), mode&07777)
	}
	return nil
}

// truncateDoc is truncate(2) by path: a transaction of its own, that begins
// and ends here. To nothing it leaves a draft.
func (s *fileSystem) truncateDoc(d *document, in *fuse.InHeader, size int64) error {
	w := s.newWriter(d, in, unix.O_WRONLY, false)
	w.idles = false
	w.shut.Store(true) // it never had a descriptor
	defer func() {
		w.mu.Lock()
		w.detach()
		w.mu.Unlock()
		d.mu.Lock()
		delete(d.writers, w)
		d.mu.Unlock()
	}()
	err := w.use(func(st *stage.Stage) error {
		w.changes.Add(1)
		w.mtime.Store(s.now().UnixNano())
		return st.Truncate(size)
	})
	if err != nil {
		return err
	}
	return w.event(decide.TruncatePath, in.Pid)
}

// setPlainAttr changes metadata beneath.
func (s *fileSystem) setPlainAttr(n *node, in *fuse.SetAttrIn) error {
	s.names.RLock()
	defer s.names.RUnlock()
	fd, err := s.openPath(n)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if n.kind == unix.S_IFLNK {
		return applyAttr(fd, "", unix.AT_EMPTY_PATH, in)
	}
	return applyAttr(unix.AT_FDCWD, procPath(fd), 0, in)
}

// applyAttr sets owner, then mode, then times: a change of owner clears
// set-id bits that the mode may bring back.
func applyAttr(dir int, path string, flags int, in *fuse.SetAttrIn) error {
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID || hasGID {
		own := func(id uint32, set bool) int {
			if !set {
				return -1
			}
			return int(id)
		}
		if err := unix.Fchownat(dir, path, own(uid, hasUID), own(gid, hasGID), flags); err != nil {
			return err
		}
	}
	if mode, ok := in.GetMode(); ok {
		if flags&unix.AT_EMPTY_PATH != 0 {
			return syscall.EOPNOTSUPP // a symbolic link has no mode to change
		}
		if err := unix.Chmod(path, mode); err != nil {
			return err
		}
	}
	if in.Valid&(fuse.FATTR_ATIME|fuse.FATTR_MTIME) == 0 {
		return nil
	}
	atime, hasAtime := in.GetATime()
	mtime, hasMtime := in.GetMTime()
	times := []unix.Timespec{timespec(atime, hasAtime), timespec(mtime, hasMtime)}
	return unix.UtimesNanoAt(dir, path, times, flags)
}

func timespec(t time.Time, set bool) unix.Timespec {
	if !set {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
