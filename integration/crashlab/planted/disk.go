package planted

import (
	"intactfs/journal/disk"
)

// hooks break a disk. Each one that is set stands in for the real operation,
// which it gets as an argument; nil leaves the operation alone.
type hooks struct {
	sync    func(d disk.Disk, step disk.Step, name string, f disk.File) error
	syncDir func(d disk.Disk, step disk.Step, name string) error
	rename  func(d disk.Disk, step disk.Step, oldName, newName string) error
	create  func(d disk.Disk, step disk.Step, name string, perm uint32) (disk.File, error)
	write   func(f disk.File, step disk.Step, name string, p []byte, off int64) (int, error)
	// read changes what was read.
	read func(name string, p []byte, off int64)
	// open comes before a recovery opens the journal, and opened after it
	// did, before anything is published.
	open, opened func(d disk.Disk) error
}

// brokenDisk is a disk with hooks, that calls step after each operation
// which changes something.
type brokenDisk struct {
	disk.Disk
	hooks *hooks
	step  func()
}

var _ disk.Disk = brokenDisk{}

// Create implements disk.Disk.
func (d brokenDisk) Create(step disk.Step, name string, perm uint32) (disk.File, error) {
	defer d.step()
	create := d.Disk.Create
	if h := d.hooks.create; h != nil {
		create = func(step disk.Step, name string, perm uint32) (disk.File, error) { return h(d.Disk, step, name, perm) }
	}
	f, err := create(step, name, perm)
	return d.wrap(f, name), err
}

// Open implements disk.Disk.
func (d brokenDisk) Open(name string) (disk.File, error) {
	f, err := d.Disk.Open(name)
	return d.wrap(f, name), err
}

// OpenWrite implements disk.Disk.
func (d brokenDisk) OpenWrite(step disk.Step, name string) (disk.File, error) {
	f, err := d.Disk.OpenWrite(step, name)
	return d.wrap(f, name), err
}

// wrap keeps a nil file nil.
func (d brokenDisk) wrap(f disk.File, name string) disk.File {
	if f == nil {
		return nil
	}
	return brokenFile{File: f, disk: d, name: name}
}

// Rename implements disk.Disk.
func (d brokenDisk) Rename(step disk.Step, oldName, newName string) error {
	defer d.step()
	if h := d.hooks.rename; h != nil {
		return h(d.Disk, step, oldName, newName)
	}
	return d.Disk.Rename(step, oldName, newName)
}

// Link implements disk.Disk.
func (d brokenDisk) Link(step disk.Step, oldName, newName string) error {
	defer d.step()
	return d.Disk.Link(step, oldName, newName)
}

// Remove implements disk.Disk.
func (d brokenDisk) Remove(step disk.Step, name string) error {
	defer d.step()
	return d.Disk.Remove(step, name)
}

// SyncDir implements disk.Disk.
func (d brokenDisk) SyncDir(step disk.Step, name string) error {
	defer d.step()
	if h := d.hooks.syncDir; h != nil {
		return h(d.Disk, step, name)
	}
	return d.Disk.SyncDir(step, name)
}

// brokenFile is a file of a brokenDisk.
type brokenFile struct {
	disk.File
	disk brokenDisk
	name string
}

// WriteAt implements disk.File.
func (f brokenFile) WriteAt(step disk.Step, p []byte, off int64) (int, error) {
	defer f.disk.step()
	if h := f.disk.hooks.write; h != nil {
		return h(f.File, step, f.name, p, off)
	}
	return f.File.WriteAt(step, p, off)
}

// ReadAt implements disk.File.
func (f brokenFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if h := f.disk.hooks.read; h != nil {
		h(f.name, p[:n], off)
	}
	return n, err
}

// Sync implements disk.File.
func (f brokenFile) Sync(step disk.Step) error {
	defer f.disk.step()
	if h := f.disk.hooks.sync; h != nil {
		return h(f.disk.Disk, step, f.name, f.File)
	}
	return f.File.Sync(step)
}
