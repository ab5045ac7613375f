package backup

import (
	"errors"
	iofs "io/fs"
	"strings"
	"sync"
	"syscall"

	"intactfs/journal/disk"
)

// maxHeld bounds the files that stay open because the sync of their directory
// failed, or has not come yet.
const maxHeld = 64

// holdingDisk keeps files open whose last name it takes away, by Remove or by
// a Rename over it, until the directory is synced. Removing a file frees its
// blocks, and a file system may write other things into them before the
// removal itself is durable (ext4 does with data=writeback). A power failure in
// between would bring the name back with foreign bytes under it, which pass for
// damage. A file that is open is not freed.
type holdingDisk struct {
	disk.Disk

	mu   sync.Mutex
	held []heldFile // guarded by mu
}

// heldFile is an open file whose name is gone from dir, and perhaps not
// durably.
type heldFile struct {
	dir  string
	file disk.File
}

func newHoldingDisk(d disk.Disk) *holdingDisk { return &holdingDisk{Disk: d} }

// Remove implements disk.Disk.
func (d *holdingDisk) Remove(step disk.Step, name string) error {
	return d.taking(name, func() error { return d.Disk.Remove(step, name) })
}

// Rename implements disk.Disk.
func (d *holdingDisk) Rename(step disk.Step, oldName, newName string) error {
	return d.taking(newName, func() error { return d.Disk.Rename(step, oldName, newName) })
}

// taking holds the file at name over what takes the name away. What never
// meant anything, or is no file, is let go at once.
func (d *holdingDisk) taking(name string, f func() error) error {
	if strings.HasSuffix(name, tempSuffix) {
		return f()
	}
	file, err := d.Open(name)
	switch {
	case errors.Is(err, iofs.ErrNotExist), errors.Is(err, syscall.EISDIR):
		return f()
	case err != nil:
		return err
	}
	if err := f(); err != nil {
		return errors.Join(err, file.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = append(d.held, heldFile{parentDir(name), file})
	if len(d.held) > maxHeld {
		_ = d.held[0].file.Close() // was only held
		d.held = d.held[1:]
	}
	return nil
}

// SyncDir implements disk.Disk, and lets go of what was taken from the
// directory before.
func (d *holdingDisk) SyncDir(step disk.Step, name string) error {
	gone := d.takenFrom(name)
	if err := d.Disk.SyncDir(step, name); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = append(gone, d.held...)
		return err
	}
	for _, h := range gone {
		_ = h.file.Close() // was only held
	}
	return nil
}

// takenFrom takes out what is held of a directory.
func (d *holdingDisk) takenFrom(dir string) (gone []heldFile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var rest []heldFile
	for _, h := range d.held {
		if h.dir == dir {
			gone = append(gone, h)
		} else {
			rest = append(rest, h)
		}
	}
	d.held = rest
	return gone
}

// letGo syncs the directories that nobody synced since. Where that fails, the
// files stay open for as long as the process lives.
func (d *holdingDisk) letGo() {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	for _, h := range held {
		_ = d.SyncDir("history:syncdir", h.dir)
	}
}
