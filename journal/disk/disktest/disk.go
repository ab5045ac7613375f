// Package disktest is a disk in memory that can crash and fail at every
// step, and the suite of tests that every implementation of disk.Disk
// passes.
//
// What was written and not synced is known per page of 4 KiB and per
// directory entry. A crash keeps everything synced, and of the rest any
// subset: pages, pages torn between sectors, sizes, attributes and names
// each survive or don't. A real file system orders more than that; code that
// is right here does not depend on it.
//
// A file without a name that nobody holds open is freed, and its blocks may
// be given to another file at once. Its old name may still come back by a
// crash, before the directory was synced, and then finds foreign bytes: ext4
// with data=writeback does so. With the option ReuseFreed, a crash fills such
// files with such bytes.
//
// Changing operations are counted from 1 in the order they come. A test runs
// the same work again and again, breaking operation 1, 2, 3 and so on, until
// one run gets through unbroken.
package disktest

import (
	"errors"
	iofs "io/fs"
	"maps"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"intactfs/journal/disk"
)

// ErrCrashed is what every operation answers from the crash on.
var ErrCrashed = errors.New("the disk has crashed")

// Disk is a directory tree in memory.
type Disk struct {
	mu       sync.Mutex
	root     *node
	nextIno  uint64
	clock    int64 // ticks with every change; what timestamps are made of
	capacity int64 // bytes; 0: no limit
	used     int64
	steps    []disk.Step
	faults   []fault
	crashAt  int
	crashed  bool
	failed   bool
	reads    int
	reuse    bool
	shortAt  int
	swallow  disk.Step
	watch    func(n int, step disk.Step)
	flusher  *rand.Rand // nil: nothing is written before it is synced
	flushes  int        // percent of the operations
	readFail fault
}

var _ disk.Disk = (*Disk)(nil)

// node is a file or a directory. A directory has entries.
type node struct {
	ino     uint64
	nlink   int  // names in current entries
	opens   int  // open files
	freed   bool // had neither names nor open files: others have its blocks
	attr    disk.Attr
	durAttr disk.Attr
	pages   // of a file
	entries map[string]*node
	durable map[string]*node // entries as of the last SyncDir
	changed int64
}

// New makes an empty disk.
func New(opts ...Option) *Disk {
	d := &Disk{nextIno: 1, root: newDir(1, 0o755)}
	for _, o := range opts {
		o(d)
	}
	return d
}

func newDir(ino uint64, perm uint32) *node {
	return &node{ino: ino, nlink: 1, attr: disk.Attr{Mode: perm}, durAttr: disk.Attr{Mode: perm},
		entries: map[string]*node{}, durable: map[string]*node{}}
}

func (n *node) isDir() bool { return n.entries != nil }

func (n *node) info() disk.Info {
	info := disk.Info{Mode: iofs.FileMode(n.attr.Mode & 0o777), Mtime: n.attr.Mtime, Ctime: time.Unix(0, n.changed),
		Ino: n.ino, Dev: 1, Nlink: uint64(n.nlink), UID: n.attr.UID, GID: n.attr.GID, Size: n.size()}
	if n.isDir() {
		info.Mode |= iofs.ModeDir
		info.Size = 4096
	}
	return info
}

// touch gives n a new change time.
func (d *Disk) touch(n *node) {
	d.clock++
	n.changed = d.clock
}

// lookup finds name, which must not be odd in any way.
func (d *Disk) lookup(name string) (*node, error) {
	n := d.root
	if name == "" || name == "." {
		return n, nil
	}
	for _, elem := range strings.Split(name, "/") {
		if elem == "" || elem == "." || elem == ".." {
			return nil, syscall.EINVAL
		}
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		next, ok := n.entries[elem]
		if !ok {
			return nil, syscall.ENOENT
		}
		n = next
	}
	return n, nil
}

// parent finds the directory that has or will have name.
func (d *Disk) parent(name string) (*node, string, error) {
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i], name[i+1:]
	}
	if base == "" || base == "." || base == ".." {
		return nil, "", syscall.EINVAL
	}
	n, err := d.lookup(dir)
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	return n, base, err
}

// Create implements disk.Disk.
func (d *Disk) Create(step disk.Step, name string, perm uint32) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(step); err != nil {
		return nil, pathError(step, "create", name, err)
	}
	dir, base, err := d.parent(name)
	if err == nil && dir.entries[base] != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return nil, pathError(step, "create", name, err)
	}
	d.nextIno++
	n := &node{ino: d.nextIno, nlink: 1, attr: disk.Attr{Mode: perm}, durAttr: disk.Attr{Mode: perm}}
	dir.entries[base] = n
	d.touch(n)
	d.touch(dir)
	return d.opened(n, name, true), nil
}

// Open implements disk.Disk.
func (d *Disk) Open(name string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.read(); err != nil {
		return nil, pathError("", "open", name, err)
	}
	return d.open("", name, false)
}

// OpenWrite implements disk.Disk.
func (d *Disk) OpenWrite(step disk.Step, name string) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(step); err != nil {
		return nil, pathError(step, "open", name, err)
	}
	return d.open(step, name, true)
}

func (d *Disk) open(step disk.Step, name string, write bool) (disk.File, error) {
	n, err := d.lookup(name)
	if err == nil && n.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError(step, "open", name, err)
	}
	return d.opened(n, name, write), nil
}

// opened makes an open file of n, which keeps its blocks until it is closed.
func (d *Disk) opened(n *node, name string, write bool) *file {
	n.opens++
	return &file{d: d, n: n, name: name, write: write}
}

// Rename implements disk.Disk.
func (d *Disk) Rename(step disk.Step, oldName, newName string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.change(step)
	if err == nil {
		err = d.rename(oldName, newName)
	}
	if err != nil {
		return pathError(step, "rename", oldName+" to "+newName, err)
	}
	return nil
}

func (d *Disk) rename(oldName, newName string) error {
	from, oldBase, err := d.parent(oldName)
	if err != nil {
		return err
	}
	n, ok := from.entries[oldBase]
	if !ok {
		return syscall.ENOENT
	}
	to, newBase, err := d.parent(newName)
	if err != nil {
		return err
	}
	if old, ok := to.entries[newBase]; ok {
		switch {
		case old == n:
			return nil // two names of one file: POSIX says nothing happens
		case old.isDir() && !n.isDir():
			return syscall.EISDIR
		case !old.isDir() && n.isDir():
			return syscall.ENOTDIR
		case old.isDir() && len(old.entries) > 0:
			return syscall.ENOTEMPTY
		}
		d.unlink(old)
	}
	delete(from.entries, oldBase)
	to.entries[newBase] = n
	d.touch(n)
	d.touch(from)
	d.touch(to)
	return nil
}

// unlink takes one name from n. Bytes of a file that is still open count as
// free at once: a test of exhaustion does not need to know better.
func (d *Disk) unlink(n *node) {
	n.nlink--
	d.touch(n)
	if n.nlink == 0 {
		d.used -= n.size()
		n.free()
	}
}

// free gives the blocks of n to others if nothing holds it any longer.
func (n *node) free() {
	if n.nlink == 0 && n.opens == 0 {
		n.freed = true
	}
}

// Link implements disk.Disk.
func (d *Disk) Link(step disk.Step, oldName, newName string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.change(step)
	if err == nil {
		err = d.link(oldName, newName)
	}
	if err != nil {
		return pathError(step, "link", oldName+" to "+newName, err)
	}
	return nil
}

func (d *Disk) link(oldName, newName string) error {
	n, err := d.lookup(oldName)
	if err != nil {
		return err
	}
	if n.isDir() {
		return syscall.EPERM
	}
	dir, base, err := d.parent(newName)
	if err != nil {
		return err
	}
	if dir.entries[base] != nil {
		return syscall.EEXIST
	}
	dir.entries[base] = n
	n.nlink++
	d.touch(n)
	d.touch(dir)
	return nil
}

// Remove implements disk.Disk.
func (d *Disk) Remove(step disk.Step, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(step); err != nil {
		return pathError(step, "remove", name, err)
	}
	dir, base, err := d.parent(name)
	if err == nil {
		n := dir.entries[base]
		switch {
		case n == nil:
			err = syscall.ENOENT
		case len(n.entries) > 0:
			err = syscall.ENOTEMPTY
		default:
			delete(dir.entries, base)
			d.unlink(n)
			d.touch(dir)
		}
	}
	if err != nil {
		return pathError(step, "remove", name, err)
	}
	return nil
}

// MkdirAll implements disk.Disk. It counts as one operation.
func (d *Disk) MkdirAll(step disk.Step, name string, perm uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(step); err != nil {
		return pathError(step, "make directory", name, err)
	}
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		dir, base, err := d.parent(name[:i])
		if err != nil {
			return pathError(step, "make directory", name[:i], err)
		}
		switch n := dir.entries[base]; {
		case n == nil:
			d.nextIno++
			n = newDir(d.nextIno, perm)
			dir.entries[base] = n
			d.touch(n)
			d.touch(dir)
		case !n.isDir():
			return pathError(step, "make directory", name[:i], syscall.ENOTDIR)
		}
	}
	return nil
}

// SyncDir implements disk.Disk. After a failed one the entries stay unsynced.
func (d *Disk) SyncDir(step disk.Step, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.change(step)
	if err == nil {
		var n *node
		n, err = d.lookup(name)
		if err == nil && !n.isDir() {
			err = syscall.ENOTDIR
		}
		if err == nil && (step == "" || step != d.swallow) {
			n.durable = maps.Clone(n.entries)
		}
	}
	if err != nil {
		return pathError(step, "sync directory", name, err)
	}
	return nil
}

// ReadDir implements disk.Disk.
func (d *Disk) ReadDir(name string) ([]disk.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.read()
	var n *node
	if err == nil {
		n, err = d.lookup(name)
	}
	if err == nil && !n.isDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("", "read directory", name, err)
	}
	entries := make([]disk.DirEntry, 0, len(n.entries))
	for k, v := range n.entries {
		entries = append(entries, disk.DirEntry{Name: k, Type: v.info().Mode.Type()})
	}
	sort.Slice(entries, func(i, k int) bool { return entries[i].Name < entries[k].Name })
	return entries, nil
}

// Stat implements disk.Disk.
func (d *Disk) Stat(name string) (disk.Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.read()
	var n *node
	if err == nil {
		n, err = d.lookup(name)
	}
	if err != nil {
		return disk.Info{}, pathError("", "stat", name, err)
	}
	return n.info(), nil
}
