package disktest

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"time"

	"intactfs/journal/disk"
)

// file is an open file of Disk.
type file struct {
	d      *Disk
	n      *node
	name   string
	write  bool
	closed bool
}

var (
	_ disk.File   = (*file)(nil)
	_ disk.Cloner = (*file)(nil)
)

// changing begins a changing operation; the caller holds the lock.
func (f *file) changing(step disk.Step) error {
	if f.closed || !f.write {
		return syscall.EBADF
	}
	return f.d.change(step)
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.read()
	if err == nil && f.closed {
		err = syscall.EBADF
	}
	if err != nil {
		return 0, pathError("", "read", f.name, err)
	}
	return f.n.readAt(p, off)
}

// WriteAt implements disk.File. A write that meets an injected error or the
// end of the disk leaves half of its sectors, or what fits.
func (f *file) WriteAt(step disk.Step, p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.changing(step)
	n := len(p)
	switch {
	case errors.Is(err, ErrCrashed), errors.Is(err, syscall.EBADF):
		n = 0
	case err != nil:
		n = n / 2 &^ (sectorSize - 1)
	case len(f.d.steps) == f.d.shortAt:
		n, err = n/2, io.ErrShortWrite
		f.d.failed = true
	}
	if room := f.room(off + int64(n)); room < off+int64(n) {
		n, err = int(max(0, room-off)), syscall.ENOSPC
	}
	if n > 0 {
		f.resize(max(f.n.size(), off+int64(n)))
		f.n.pages.write(p[:n], off)
		f.d.touch(f.n)
		f.n.attr.Mtime = time.Unix(0, f.d.clock)
	}
	if err != nil {
		return n, pathError(step, "write", f.name, err)
	}
	return n, nil
}

// CloneFrom implements disk.Cloner.
func (f *file) CloneFrom(step disk.Step, src disk.File, size int64) error {
	from, ok := src.(*file)
	if !ok {
		return pathError(step, "clone", f.name, errors.ErrUnsupported)
	}
	p := make([]byte, size)
	if n, err := from.ReadAt(p, 0); n < len(p) {
		return pathError(step, "clone", f.name, err)
	}
	_, err := f.WriteAt(step, p, 0)
	return err
}

// room is the size the file could have, at most want.
func (f *file) room(want int64) int64 {
	if f.d.capacity == 0 || want <= f.n.size() {
		return want
	}
	return min(want, f.n.size()+max(0, f.d.capacity-f.d.used))
}

func (f *file) resize(size int64) {
	if f.n.nlink > 0 {
		f.d.used += size - f.n.size()
	}
	f.n.pages.resize(size)
}

// Sync implements disk.File.
func (f *file) Sync(step disk.Step) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return pathError(step, "sync", f.name, syscall.EBADF)
	}
	if err := f.d.change(step); err != nil {
		if !f.d.crashed {
			f.n.lose()
		}
		return pathError(step, "sync", f.name, err)
	}
	if step == "" || step != f.d.swallow {
		f.n.sync()
		f.n.durAttr = f.n.attr
	}
	return nil
}

// Truncate implements disk.File.
func (f *file) Truncate(step disk.Step, size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.changing(step); err != nil {
		return pathError(step, "truncate", f.name, err)
	}
	if f.room(size) < size {
		return pathError(step, "truncate", f.name, syscall.ENOSPC)
	}
	f.resize(size)
	f.d.touch(f.n)
	return nil
}

// Allocate implements disk.File.
func (f *file) Allocate(step disk.Step, size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.changing(step); err != nil {
		return pathError(step, "allocate", f.name, err)
	}
	if f.room(size) < size {
		return pathError(step, "allocate", f.name, syscall.ENOSPC)
	}
	if size > f.n.size() {
		f.resize(size)
	}
	return nil
}

// SetAttr implements disk.File.
func (f *file) SetAttr(step disk.Step, a disk.Attr) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.changing(step); err != nil {
		return pathError(step, "set attributes of", f.name, err)
	}
	if a.Atime.IsZero() {
		a.Atime = f.n.attr.Atime
	}
	if a.Mtime.IsZero() {
		a.Mtime = f.n.attr.Mtime
	}
	f.n.attr = cloneAttr(a)
	f.d.touch(f.n)
	return nil
}

// Attr implements disk.File.
func (f *file) Attr() (disk.Attr, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.read(); err != nil {
		return disk.Attr{}, pathError("", "stat", f.name, err)
	}
	return cloneAttr(f.n.attr), nil
}

// Stat implements disk.File.
func (f *file) Stat() (disk.Info, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.read(); err != nil {
		return disk.Info{}, pathError("", "stat", f.name, err)
	}
	return f.n.info(), nil
}

// Close implements disk.File.
func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if !f.closed && !f.d.crashed { // what comes after the crash frees nothing
		f.n.opens--
		f.n.free()
	}
	f.closed = true
	return nil
}

func cloneAttr(a disk.Attr) disk.Attr {
	if a.Xattrs == nil {
		return a
	}
	x := make(map[string][]byte, len(a.Xattrs))
	for k, v := range a.Xattrs {
		x[k] = bytes.Clone(v)
	}
	a.Xattrs = x
	return a
}
