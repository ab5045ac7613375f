package fs

import (
	"bytes"
	"errors"
	iofs "io/fs"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// noteContent is a note as a Content.
type noteContent struct{ *bytes.Reader }

func (noteContent) Close() error { return nil }

// Open opens a file of the view. Its content was verified when it returns, and
// never changes: the kernel may keep its pages.
func (w viewed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.Open(cancel, in, out)
	}
	n, err := w.v.node(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	if in.Flags&unix.O_ACCMODE != unix.O_RDONLY || in.Flags&unix.O_TRUNC != 0 {
		return fuse.EROFS
	}
	if err := w.v.use(n); err != nil {
		return toStatus(err)
	}
	out.Fh = w.v.addFile(n)
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

// use opens the content of a file for one more handle.
func (v *view) use(n *viewNode) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.content == nil {
		v.opening <- struct{}{}
		defer func() { <-v.opening }()
		content, err := v.load(n)
		if errors.Is(err, iofs.ErrNotExist) {
			return syscall.ESTALE // the kernel looks the name up once more
		}
		if err != nil {
			v.s.log.Error("a version can't be read", "path", n.path, "name", n.place.name, "error", err)
			return err
		}
		n.content = content
	}
	n.users++
	return nil
}

func (v *view) load(n *viewNode) (Content, error) {
	switch n.kind {
	case viewVersion:
		return v.past.Open(v.s.ctx, n.path, n.version.Tx)
	case viewRefusal:
		return v.past.OpenRefused(v.s.ctx, n.refusal.ID)
	}
	return noteContent{bytes.NewReader(n.refusal.Note)}, nil
}

// done closes the content of a file with its last handle.
func (v *view) done(n *viewNode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.users--; n.users > 0 || n.content == nil {
		return
	}
	if err := n.content.Close(); err != nil {
		v.s.log.Debug("close a version", "path", n.path, "error", err)
	}
	n.content = nil
}

func (v *view) addFile(n *viewNode) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next++
	v.files[viewBit|v.next] = n
	return viewBit | v.next
}

// file finds the node of an open file; its content stays while the handle does.
func (v *view) file(fh uint64) (*viewNode, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.files[fh]; n != nil {
		return n, nil
	}
	return nil, syscall.EBADF
}

// Read reads an open file.
func (w viewed) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if !inView(in.NodeId) {
		return w.fileSystem.Read(cancel, in, buf)
	}
	n, err := w.v.file(in.Fh)
	if err != nil {
		return nil, toStatus(err)
	}
	got, err := readAt(n.content, buf, int64(in.Offset))
	if err != nil {
		w.v.s.log.Error("a version can't be read", "path", n.path, "name", n.place.name, "error", err)
		return nil, toStatus(err)
	}
	return fuse.ReadResultData(buf[:got]), fuse.OK
}

// Lseek answers SEEK_DATA and SEEK_HOLE.
func (w viewed) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.Lseek(cancel, in, out)
	}
	n, err := w.v.file(in.Fh)
	if err != nil {
		return toStatus(err)
	}
	off, err := seekIn(n.content.Size(), int64(in.Offset), int(in.Whence))
	out.Offset = uint64(off)
	return toStatus(err)
}

// CopyFileRange out of the view is done by the kernel, which reads and writes.
func (w viewed) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if !inView(in.NodeId) && !inView(in.NodeIdOut) {
		return w.fileSystem.CopyFileRange(cancel, in)
	}
	return 0, fuse.EXDEV
}

// Flush gives up the locks of who closes.
func (w viewed) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.Flush(cancel, in)
	}
	w.releasePosix(&node{id: in.NodeId}, in) // locks know files by their ids alone
	return fuse.OK
}

// Fsync has nothing to do: a version is durable.
func (w viewed) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.Fsync(cancel, in)
	}
	return fuse.OK
}

// Release ends an open file.
func (w viewed) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	if !inView(in.NodeId) {
		w.fileSystem.Release(cancel, in)
		return
	}
	w.releaseLocks(in)
	w.v.mu.Lock()
	n := w.v.files[in.Fh]
	delete(w.v.files, in.Fh)
	w.v.mu.Unlock()
	if n != nil {
		w.v.done(n)
	}
}

// OnUnmount closes what a mount that was torn down left open.
func (w viewed) OnUnmount() {
	w.v.mu.Lock()
	files := w.v.files
	w.v.files, w.v.dirs = map[uint64]*viewNode{}, map[uint64]*viewDir{}
	w.v.mu.Unlock()
	for _, n := range files {
		w.v.done(n)
	}
	w.fileSystem.OnUnmount()
}

// xattrs is the extended attributes that a node shows.
func (v *view) xattrs(n *viewNode) map[string][]byte {
	shown := map[string][]byte{}
	a := access{}
	if n.kind.isDir() {
		a = v.dirAccess(n)
	} else {
		a = v.fileAccess(n)
	}
	if a.acl != nil {
		shown[aclAccess] = a.acl
	}
	if n.kind == viewVersion {
		for name, value := range n.version.Attr.Xattrs {
			if strings.HasPrefix(name, "user.") && !hiddenXattr(name) {
				shown[name] = value
			}
		}
	}
	return shown
}

// OpenDir opens a directory of the view.
func (w viewed) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.OpenDir(cancel, in, out)
	}
	n, err := w.v.node(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	if !n.kind.isDir() {
		return fuse.ENOTDIR
	}
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	w.v.next++
	out.Fh = viewBit | w.v.next
	w.v.dirs[out.Fh] = &viewDir{n: n}
	return fuse.OK
}

// ReleaseDir ends the reading of a directory.
func (w viewed) ReleaseDir(in *fuse.ReleaseIn) {
	if !inView(in.NodeId) {
		w.fileSystem.ReleaseDir(in)
		return
	}
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	delete(w.v.dirs, in.Fh)
}

// FsyncDir has nothing to do.
func (w viewed) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.FsyncDir(cancel, in)
	}
	return fuse.OK
}

// ReadDir lists names.
func (w viewed) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.ReadDir(cancel, in, out)
	}
	entries, err := w.v.read(in)
	if err != nil {
		return toStatus(err)
	}
	for _, e := range entries {
		if !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

// ReadDirPlus lists names too: who only lists thousands of versions should not
// make a node of each.
func (w viewed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.ReadDirPlus(cancel, in, out)
	}
	entries, err := w.v.read(in)
	if err != nil {
		return toStatus(err)
	}
	for _, e := range entries {
		if out.AddDirLookupEntry(e) == nil {
			break
		}
	}
	return fuse.OK
}

// read returns the entries of an open directory from an offset on; offset 0
// reads it anew.
func (v *view) read(in *fuse.ReadIn) ([]fuse.DirEntry, error) {
	v.mu.Lock()
	d := v.dirs[in.Fh]
	v.mu.Unlock()
	if d == nil {
		return nil, syscall.EBADF
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if in.Offset == 0 || d.entries == nil {
		list, err := v.list(d.n)
		if err != nil {
			return nil, err
		}
		d.entries = append(make([]fuse.DirEntry, 0, len(list)+2),
			fuse.DirEntry{Name: ".", Mode: unix.S_IFDIR, Ino: d.n.ino, Off: 1},
			fuse.DirEntry{Name: "..", Mode: unix.S_IFDIR, Ino: d.n.parent, Off: 2})
		for i, e := range list {
			mode := uint32(unix.S_IFREG)
			if e.kind.isDir() {
				mode = unix.S_IFDIR
			}
			d.entries = append(d.entries, fuse.DirEntry{
				Name: e.name, Mode: mode, Ino: v.inoOf(d.n.ino, e.name, e.viewFile), Off: uint64(i) + 3,
			})
		}
	}
	return d.entries[min(in.Offset, uint64(len(d.entries))):], nil
}
