package recdisk

import (
	"strconv"
	"strings"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/blocklog"
)

// filesystem serves each disk as one file of the root directory. It speaks
// the raw protocol: the requests of the loop device are the log, and nothing
// may merge, reorder or cache them on the way.
type filesystem struct {
	fuse.RawFileSystem

	mu    sync.Mutex
	disks map[uint64]*served // by node id
	next  uint64
}

// served is a disk and what is wrong with it.
type served struct {
	*blocklog.Disk
	faults faults
}

func newFilesystem() *filesystem {
	return &filesystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		disks:         map[uint64]*served{},
		next:          fuse.FUSE_ROOT_ID + 1,
	}
}

// add serves a disk and returns its node id.
func (f *filesystem) add(d *blocklog.Disk) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.next
	f.next++
	f.disks[id] = &served{Disk: d}
	return id
}

func (f *filesystem) drop(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.disks, id)
}

func (f *filesystem) disk(id uint64) *served {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disks[id]
}

// fileName is the name of a disk's file, and parseName its inverse.
func fileName(id uint64) string { return "disk" + strconv.FormatUint(id, 10) + ".img" }

func parseName(name string) uint64 {
	digits, ok := strings.CutPrefix(name, "disk")
	digits, ok2 := strings.CutSuffix(digits, ".img")
	id, err := strconv.ParseUint(digits, 10, 64)
	if !ok || !ok2 || err != nil {
		return 0
	}
	return id
}

func (f *filesystem) attr(id uint64, out *fuse.Attr) fuse.Status {
	out.Ino = id
	out.Nlink = 1
	if id == fuse.FUSE_ROOT_ID {
		out.Mode = unix.S_IFDIR | 0o700
		return fuse.OK
	}
	d := f.disk(id)
	if d == nil {
		return fuse.ENOENT
	}
	out.Mode = unix.S_IFREG | 0o600
	out.Size = uint64(d.Size())
	return fuse.OK
}

// Lookup implements fuse.RawFileSystem.
func (f *filesystem) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	id := parseName(name)
	if id == fuse.FUSE_ROOT_ID {
		return fuse.ENOENT
	}
	out.NodeId = id
	return f.attr(id, &out.Attr)
}

// GetAttr implements fuse.RawFileSystem.
func (f *filesystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.attr(in.NodeId, &out.Attr)
}

// SetAttr implements fuse.RawFileSystem: times are accepted and forgotten.
func (f *filesystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.Valid&fuse.FATTR_SIZE != 0 {
		return fuse.EPERM
	}
	return f.attr(in.NodeId, &out.Attr)
}

// Access implements fuse.RawFileSystem.
func (f *filesystem) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

// Open implements fuse.RawFileSystem. Direct I/O keeps the requests of the
// loop device as they are and the page cache out of it.
func (f *filesystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if f.disk(in.NodeId) == nil {
		return fuse.ENOENT
	}
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

// Read implements fuse.RawFileSystem.
func (f *filesystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	d := f.disk(in.NodeId)
	if d == nil {
		return nil, fuse.EIO
	}
	n, _ := d.ReadAt(buf, int64(in.Offset)) // the only error is the end of the disk
	if status := d.faults.meet(Read, buf[:n]); !status.Ok() {
		return nil, status
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (f *filesystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	d := f.disk(in.NodeId)
	if d == nil {
		return 0, fuse.EIO
	}
	if status := d.faults.meet(Write, data); !status.Ok() {
		return 0, status
	}
	n, err := d.WriteAt(data, int64(in.Offset))
	if err != nil {
		return uint32(n), fuse.Status(unix.ENOSPC)
	}
	return uint32(n), fuse.OK
}

// Fsync implements fuse.RawFileSystem: the loop device sends one for each
// flush that the file system above asks of its disk.
func (f *filesystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	d := f.disk(in.NodeId)
	if d == nil {
		return fuse.EIO
	}
	if status := d.faults.meet(Flush, nil); !status.Ok() {
		return status
	}
	d.Flush()
	return fuse.OK
}

// Fallocate implements fuse.RawFileSystem: discards and writes of zeros
// arrive as holes to punch and ranges to zero.
func (f *filesystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	d := f.disk(in.NodeId)
	switch {
	case d == nil:
		return fuse.EIO
	case in.Mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) == 0:
		return fuse.Status(unix.EOPNOTSUPP)
	case in.Offset > uint64(d.Size()):
		return fuse.EINVAL
	}
	if status := d.faults.meet(Write, nil); !status.Ok() {
		return status
	}
	d.ZeroAt(int64(in.Offset), int64(in.Length))
	return fuse.OK
}

// StatFs implements fuse.RawFileSystem.
func (f *filesystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize = blocklog.PageSize
	return fuse.OK
}

// Flush implements fuse.RawFileSystem: closing means nothing to a disk.
func (f *filesystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// OpenDir implements fuse.RawFileSystem.
func (f *filesystem) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.OK
}

// ReadDir implements fuse.RawFileSystem: the files are found by name only.
func (f *filesystem) ReadDir(<-chan struct{}, *fuse.ReadIn, *fuse.DirEntryList) fuse.Status {
	return fuse.OK
}

// ReadDirPlus implements fuse.RawFileSystem.
func (f *filesystem) ReadDirPlus(<-chan struct{}, *fuse.ReadIn, *fuse.DirEntryList) fuse.Status {
	return fuse.OK
}
