package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// Nothing in the view can be changed, made or removed, and nothing can be put
// there or linked to from outside: EROFS, as on a disk that is mounted so.
// Who has no right to write is told that by the kernel before we are asked.

// SetAttr refuses in the view.
func (w viewed) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if inView(in.NodeId) {
		return fuse.EROFS
	}
	return w.fileSystem.SetAttr(cancel, in, out)
}

// Mknod refuses in the view.
func (w viewed) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if isView(in.NodeId, name) {
		return fuse.EROFS
	}
	return w.fileSystem.Mknod(cancel, in, name, out)
}

// Mkdir refuses in the view.
func (w viewed) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if isView(in.NodeId, name) {
		return fuse.EROFS
	}
	return w.fileSystem.Mkdir(cancel, in, name, out)
}

// Unlink refuses in the view.
func (w viewed) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if isView(in.NodeId, name) {
		return fuse.EROFS
	}
	return w.fileSystem.Unlink(cancel, in, name)
}

// Rmdir refuses in the view.
func (w viewed) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if isView(in.NodeId, name) {
		return fuse.EROFS
	}
	return w.fileSystem.Rmdir(cancel, in, name)
}

// Rename refuses into, out of and within the view.
func (w viewed) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if isView(in.NodeId, oldName) || isView(in.Newdir, newName) {
		return fuse.EROFS
	}
	return w.fileSystem.Rename(cancel, in, oldName, newName)
}

// Link refuses into and out of the view.
func (w viewed) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if isView(in.NodeId, name) || inView(in.Oldnodeid) {
		return fuse.EROFS
	}
	return w.fileSystem.Link(cancel, in, name, out)
}

// Symlink refuses in the view.
func (w viewed) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if isView(in.NodeId, name) {
		return fuse.EROFS
	}
	return w.fileSystem.Symlink(cancel, in, target, name, out)
}

// Readlink knows no link in the view.
func (w viewed) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	if inView(in.NodeId) {
		return nil, fuse.EINVAL
	}
	return w.fileSystem.Readlink(cancel, in)
}

// SetXAttr refuses in the view.
func (w viewed) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	if inView(in.NodeId) {
		return fuse.EROFS
	}
	return w.fileSystem.SetXAttr(cancel, in, name, value)
}

// RemoveXAttr refuses in the view.
func (w viewed) RemoveXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if inView(in.NodeId) {
		return fuse.EROFS
	}
	return w.fileSystem.RemoveXAttr(cancel, in, name)
}

// Create refuses in the view.
func (w viewed) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if isView(in.NodeId, name) {
		return fuse.EROFS
	}
	return w.fileSystem.Create(cancel, in, name, out)
}

// Tmpfile refuses in the view.
func (w viewed) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if inView(in.NodeId) {
		return fuse.EROFS
	}
	return w.fileSystem.Tmpfile(cancel, in, out)
}

// Write refuses in the view.
func (w viewed) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if inView(in.NodeId) {
		return 0, fuse.EROFS
	}
	return w.fileSystem.Write(cancel, in, data)
}

// Writev refuses in the view.
func (w viewed) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if inView(in.NodeId) {
		return 0, fuse.EROFS
	}
	return w.fileSystem.Writev(cancel, in, data)
}

// Fallocate refuses in the view.
func (w viewed) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if inView(in.NodeId) {
		return fuse.EROFS
	}
	return w.fileSystem.Fallocate(cancel, in)
}
