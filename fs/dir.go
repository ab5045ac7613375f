package fs

import (
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// dirStream is an open directory: a list of its names from when it was opened
// or rewound.
type dirStream struct {
	s  *fileSystem
	n  *node
	fd *os.File

	mu      sync.Mutex // guards entries
	entries []fuse.DirEntry
}

// OpenDir opens a directory for reading.
func (s *fileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := s.directory(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	s.names.RLock()
	defer s.names.RUnlock()
	path, err := s.openPath(n)
	if err != nil {
		return toStatus(err)
	}
	defer func() { _ = unix.Close(path) }()
	fd, err := openat(path, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return toStatus(err)
	}
	s.tree.pin(n)
	out.Fh = s.handles.addDir(&dirStream{s: s, n: n, fd: os.NewFile(uintptr(fd), "directory")})
	return fuse.OK
}

// ReleaseDir ends the reading of a directory.
func (s *fileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	if d := s.handles.removeDir(in.Fh); d != nil {
		_ = d.fd.Close()
		s.tree.unpin(d.n)
	}
}

// FsyncDir makes the names in a directory durable, those that only the
// journal holds too.
func (s *fileSystem) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	d, err := s.handles.dir(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	if err := s.store.Sync(s.ctx); err != nil {
		return toStatus(err)
	}
	return toStatus(d.fd.Sync())
}

// ReadDir lists names.
func (s *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	d, err := s.handles.dir(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	entries, err := d.from(in)
	if err != nil {
		return toStatus(err)
	}
	for _, e := range entries {
		if e.Ino == 0 {
			e.Ino = s.entryIno(d.n, e.Name)
		}
		if !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

// ReadDirPlus lists names with what a lookup of each would tell.
func (s *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	d, err := s.handles.dir(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	entries, err := d.from(in)
	if err != nil {
		return toStatus(err)
	}
	for _, e := range entries {
		full := out.AddDirLookupEntry(e)
		if full == nil {
			break
		}
		if e.Name == "." || e.Name == ".." {
			continue
		}
		n, err := s.find(d.n, e.Name, &in.InHeader)
		if err != nil {
			continue // gone meanwhile: a name without a node
		}
		if err := s.entry(n, &in.InHeader, full); err != nil {
			*full = fuse.EntryOut{}
			continue
		}
		out.FixMode(full.Mode)
	}
	return fuse.OK
}

// from returns the entries from an offset on; offset 0 reads the directory
// anew.
func (d *dirStream) from(in *fuse.ReadIn) ([]fuse.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Offset == 0 || d.entries == nil {
		entries, err := d.s.list(d, &in.InHeader)
		if err != nil {
			return nil, err
		}
		d.entries = entries
	}
	return d.entries[min(in.Offset, uint64(len(d.entries))):], nil
}

// list reads a directory: what is beneath, without intact's own, with the
// protected names that are not there yet. An inode number of 0 is still to be
// found out.
func (s *fileSystem) list(d *dirStream, in *fuse.InHeader) ([]fuse.DirEntry, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	entries, err := readNames(d.fd)
	if err != nil {
		return nil, err
	}
	path, ok := s.tree.path(d.n)
	if !ok {
		return entries, nil // removed: nothing but . and ..
	}
	listed := map[string]bool{}
	kept := entries[:0]
	for _, e := range entries {
		if s.reserved(d.n, e.Name) {
			continue
		}
		if e.Mode == unix.S_IFREG && s.rules.For(join(path, e.Name)) != nil {
			e.Ino = 0
		}
		listed[e.Name] = true
		kept = append(kept, e)
	}
	for _, name := range s.unlisted(d.n, path, in) {
		if !listed[name] {
			listed[name] = true
			kept = append(kept, fuse.DirEntry{Name: name, Mode: unix.S_IFREG})
		}
	}
	for i := range kept {
		kept[i].Off = uint64(i) + 1
	}
	return kept, nil
}

// unlisted is the names that may not be beneath yet: committed but not
// published, or only begun and visible to the caller.
func (s *fileSystem) unlisted(dir *node, path string, in *fuse.InHeader) []string {
	names := slices.Clone(s.store.PendingNames(path))
	for name, n := range s.tree.docsBelow(dir) {
		if d := n.doc.Load(); d != nil && !d.settled() && d.visibleTo(in) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// readNames reads all entries of an open directory.
func readNames(dir *os.File) ([]fuse.DirEntry, error) {
	fd := int(dir.Fd())
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	var entries []fuse.DirEntry
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if errors.Is(err, syscall.ENOENT) {
			return entries, nil // removed while open
		}
		if err != nil || n == 0 {
			return entries, err
		}
		for rest := buf[:n]; len(rest) > 0; {
			var e fuse.DirEntry
			used := e.Parse(rest)
			rest = rest[used:]
			entries = append(entries, e)
		}
	}
}

// entryIno is the inode number of a protected name in a listing.
func (s *fileSystem) entryIno(dir *node, name string) uint64 {
	if known := s.tree.child(dir, name); known != nil {
		if d := known.doc.Load(); d != nil {
			return d.ino
		}
	}
	s.names.RLock()
	defer s.names.RUnlock()
	path, _, err := s.childPath(dir, name)
	if err != nil {
		return 0
	}
	if v, ok := s.store.Pending(path); ok {
		if ino, ok := inoOf(v.Attr); ok {
			return ino
		}
	}
	st, err := s.statName(dir, name)
	if err != nil {
		return 0
	}
	return s.savedIno(dir, name, st.Ino)
}
