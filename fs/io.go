package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Read fills buf from an open file.
func (s *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return nil, toStatus(err)
	}
	if r, ok := f.(*reader); ok {
		if res := r.pages(in); res != nil {
			return res, fuse.OK
		}
	}
	n, err := f.read(in, buf)
	if err != nil {
		return nil, toStatus(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write puts data into an open file.
func (s *fileSystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return 0, toStatus(err)
	}
	n, err := f.write(in, data)
	return uint32(n), toStatus(err)
}

// Writev is Write for a request whose bytes came in pieces.
func (s *fileSystem) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if len(data) == 1 {
		return s.Write(cancel, in, data[0])
	}
	var whole []byte
	for _, piece := range data {
		whole = append(whole, piece...)
	}
	return s.Write(cancel, in, whole)
}

// Lseek answers SEEK_DATA and SEEK_HOLE; the kernel moves positions itself.
func (s *fileSystem) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	off, err := f.seek(int64(in.Offset), int(in.Whence))
	out.Offset = uint64(off)
	return toStatus(err)
}

// Fallocate reserves, punches or zeroes a range of an open file.
func (s *fileSystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	return toStatus(f.allocate(in.Mode, int64(in.Offset), int64(in.Length)))
}

// CopyFileRange copies between two open files of the mount.
func (s *fileSystem) CopyFileRange(_ <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	from, err := s.handles.get(in.FhIn)
	if err != nil {
		return 0, toStatus(err)
	}
	to, err := s.handles.get(in.FhOut)
	if err != nil {
		return 0, toStatus(err)
	}
	n, err := copyRange(from, to, in)
	return uint32(n), toStatus(err)
}

// copyRangeMax bounds one answer, which has 32 bits for its size.
const copyRangeMax = 1 << 30

func copyRange(from, to openFile, in *fuse.CopyFileRangeIn) (int, error) {
	size := min(in.Len, copyRangeMax)
	a, okA := from.(*plainFile)
	b, okB := to.(*plainFile)
	if okA && okB {
		return a.copyTo(b, int64(in.OffIn), int64(in.OffOut), int(size))
	}
	if r, ok := from.(*reader); ok { // the kernel goes by the size that all handles share
		r.d.transfers.begin(&r.x, in.Pid, &r.d.s.pace)
		defer r.d.transfers.end(&r.x)
	}
	for _, f := range []openFile{from, to} {
		if w, ok := f.(*writer); ok {
			defer w.next.Store(-1) // the offsets may be the call's own
		}
	}
	buf := make([]byte, min(size, 1<<20))
	done := 0
	for uint64(done) < size {
		piece := buf[:min(uint64(len(buf)), size-uint64(done))]
		read := fuse.ReadIn{InHeader: in.InHeader, Offset: in.OffIn + uint64(done), ReadFlags: fuse.READ_LOCKOWNER}
		n, err := from.read(&read, piece)
		if n == 0 || err != nil {
			return done, firstOf(done, err)
		}
		write := fuse.WriteIn{InHeader: in.InHeader, Offset: in.OffOut + uint64(done)}
		w, err := to.write(&write, piece[:n])
		done += w
		if w < n || err != nil {
			return done, firstOf(done, err)
		}
	}
	return done, nil
}

// firstOf drops an error that comes after some bytes went through: the next
// call will meet it again.
func firstOf(done int, err error) error {
	if done > 0 {
		return nil
	}
	return err
}

// Flush is told at every close of a descriptor, also of a duplicated one.
func (s *fileSystem) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	err = f.flush(in)
	s.releasePosix(f.owner(), in)
	return toStatus(err)
}

// Fsync makes what an open file holds durable.
func (s *fileSystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	f, err := s.handles.get(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	return toStatus(f.fsync(in))
}

// Release is told once, after the last descriptor of an open file is gone.
func (s *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f := s.handles.remove(in.Fh)
	if f == nil {
		return
	}
	n := f.owner()
	f.release()
	s.releaseLocks(in)
	s.tree.unpin(n)
}

// Ioctl knows none.
func (s *fileSystem) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}
