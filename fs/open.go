package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Open opens a file. A protected one is read from the version that is newest
// now, and written into a stage of the handle's own.
func (s *fileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n := s.tree.get(in.NodeId)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if d := n.doc.Load(); d != nil {
		if in.Flags&unix.O_ACCMODE == unix.O_RDONLY && in.Flags&unix.O_TRUNC == 0 {
			return toStatus(s.openReader(d, in, out))
		}
		return toStatus(s.openWriter(d, in, out))
	}
	return toStatus(s.openPlain(n, in, out))
}

func (s *fileSystem) openPlain(n *node, in *fuse.OpenIn, out *fuse.OpenOut) error {
	s.names.RLock()
	fd, err := s.openNode(n, int(in.Flags)&plainFlags)
	s.names.RUnlock()
	if err != nil {
		return err
	}
	if in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		if err := killSuid(fd); err != nil {
			_ = unix.Close(fd)
			return err
		}
	}
	s.openedPlain(n, fd, in.Pid, in.Flags, out)
	return nil
}

// openedPlain makes the handle of a file that no rule protects. The kernel may
// keep its pages: only we change what is beneath.
func (s *fileSystem) openedPlain(n *node, fd int, tid, flags uint32, out *fuse.OpenOut) {
	s.tree.pin(n)
	out.Fh = s.handles.add(&plainFile{s: s, n: n, fd: fd, who: tid, flags: flags})
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
}
