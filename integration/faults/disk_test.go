package faults

import (
	"errors"

	"golang.org/x/sys/unix"

	"intactfs/journal/disk"
)

// faultyDisk is a disk whose changing operations are done as a director says.
type faultyDisk struct {
	disk.Disk
	director *director
}

var _ disk.Disk = faultyDisk{}

// Create implements disk.Disk.
func (d faultyDisk) Create(step disk.Step, name string, perm uint32) (f disk.File, err error) {
	err = d.director.do(step, func() error {
		f, err = d.Disk.Create(step, name, perm)
		return err
	})
	return d.wrap(f, err)
}

// Open implements disk.Disk.
func (d faultyDisk) Open(name string) (disk.File, error) {
	return d.wrap(d.Disk.Open(name))
}

// OpenWrite implements disk.Disk.
func (d faultyDisk) OpenWrite(step disk.Step, name string) (f disk.File, err error) {
	err = d.director.do(step, func() error {
		f, err = d.Disk.OpenWrite(step, name)
		return err
	})
	return d.wrap(f, err)
}

// wrap keeps a nil file nil.
func (d faultyDisk) wrap(f disk.File, err error) (disk.File, error) {
	if f == nil || err != nil {
		return nil, err
	}
	return faultyFile{f, d.director}, nil
}

// Rename implements disk.Disk.
func (d faultyDisk) Rename(step disk.Step, oldName, newName string) error {
	return d.director.do(step, func() error { return d.Disk.Rename(step, oldName, newName) })
}

// Link implements disk.Disk.
func (d faultyDisk) Link(step disk.Step, oldName, newName string) error {
	return d.director.do(step, func() error { return d.Disk.Link(step, oldName, newName) })
}

// Remove implements disk.Disk.
func (d faultyDisk) Remove(step disk.Step, name string) error {
	return d.director.do(step, func() error { return d.Disk.Remove(step, name) })
}

// MkdirAll implements disk.Disk.
func (d faultyDisk) MkdirAll(step disk.Step, name string, perm uint32) error {
	return d.director.do(step, func() error { return d.Disk.MkdirAll(step, name, perm) })
}

// SyncDir implements disk.Disk.
func (d faultyDisk) SyncDir(step disk.Step, name string) error {
	return d.director.do(step, func() error { return d.Disk.SyncDir(step, name) })
}

// faultyFile is a file of a faultyDisk.
type faultyFile struct {
	disk.File
	director *director
}

// WriteAt implements disk.File.
func (f faultyFile) WriteAt(step disk.Step, p []byte, off int64) (n int, err error) {
	err = f.director.do(step, func() error {
		n, err = f.File.WriteAt(step, p, off)
		return err
	})
	return n, err
}

// Sync implements disk.File.
func (f faultyFile) Sync(step disk.Step) error {
	return f.director.do(step, func() error { return f.File.Sync(step) })
}

// Truncate implements disk.File.
func (f faultyFile) Truncate(step disk.Step, size int64) error {
	return f.director.do(step, func() error { return f.File.Truncate(step, size) })
}

// Allocate implements disk.File.
func (f faultyFile) Allocate(step disk.Step, size int64) error {
	return f.director.do(step, func() error { return f.File.Allocate(step, size) })
}

// SetAttr implements disk.File.
func (f faultyFile) SetAttr(step disk.Step, a disk.Attr) error {
	return f.director.do(step, func() error { return f.File.SetAttr(step, a) })
}

// StartWriteback passes the hint on, as the store looks for it.
func (f faultyFile) StartWriteback(off, n int64) {
	if w, ok := f.File.(interface{ StartWriteback(off, n int64) }); ok {
		w.StartWriteback(off, n)
	}
}

// cloner is what a file may be beside a disk.File.
type cloner interface {
	CloneFrom(step disk.Step, src disk.File, size int64) error
}

// CloneFrom is for the journal, which looks for it.
func (f faultyFile) CloneFrom(step disk.Step, src disk.File, size int64) error {
	to, can := f.File.(cloner)
	from, ours := src.(faultyFile)
	if !can || !ours {
		return errors.ErrUnsupported
	}
	return f.director.do(step, func() error { return to.CloneFrom(step, from.File, size) })
}

// Fd is the descriptor, as the store looks for it.
func (f faultyFile) Fd() uintptr { return f.File.(interface{ Fd() uintptr }).Fd() }

// syncDisk writes out everything that the file system of the directory holds
// back.
func syncDisk(root int) { _ = unix.Syncfs(root) }
