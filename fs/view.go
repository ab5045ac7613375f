package fs

import (
	"errors"
	"fmt"
	"hash/maphash"
	iofs "io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// view is the read-only tree below .intact: what was kept, by file, by time,
// and what was refused. It knows nothing before somebody looks: a node is made
// by a lookup and goes with the kernel's forgetting it, a content is opened
// with the first handle on it and closed with the last.
type view struct {
	s         *fileSystem
	past      Past
	parseTime func(string) (time.Time, error)
	self      access // of directories that nobody else owns
	seed      maphash.Seed
	started   time.Time
	// opening bounds how many contents are unpacked at one time.
	opening chan struct{}

	knownNames    memo[PastName]
	knownVersions memo[PastVersion]
	knownRefusals memo[PastRefusal]

	mu      sync.Mutex // guards what follows
	next    uint64     // last node id or handle number, without viewBit
	byID    map[uint64]*viewNode
	byPlace map[viewPlace]*viewNode
	files   map[uint64]*viewNode
	dirs    map[uint64]*viewDir
}

// viewDir is an open directory: its names from when it was read from the start.
type viewDir struct {
	n *viewNode

	mu      sync.Mutex // guards entries
	entries []fuse.DirEntry
}

// maxOpening is how many contents are unpacked at one time.
const maxOpening = 4

func newView(s *fileSystem, o Options) *view {
	return &view{
		s: s, past: o.Past, parseTime: o.PastTime, seed: maphash.MakeSeed(), started: s.now(),
		self:    access{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())},
		opening: make(chan struct{}, maxOpening),
		byID:    map[uint64]*viewNode{}, byPlace: map[viewPlace]*viewNode{},
		files: map[uint64]*viewNode{}, dirs: map[uint64]*viewDir{},
	}
}

// viewed is a file system with the view in its root. What concerns the view is
// told by the ids in a request, and answered here and in viewrefuse.go; the
// rest goes to the file system.
type viewed struct {
	*fileSystem
	v *view
}

var _ fuse.RawFileSystem = viewed{}

func inView(id uint64) bool { return id&viewBit != 0 }

// isView tells whether a name in a directory belongs to the view.
func isView(dir uint64, name string) bool {
	return inView(dir) || dir == rootID && name == ownDir
}

// failed turns an error of what is kept into one for the kernel, and logs it
// unless the thing is just not there.
func (v *view) failed(err error, what, path string) error {
	if errors.Is(err, iofs.ErrNotExist) {
		return syscall.ENOENT
	}
	v.s.log.Error("history can't be shown", "what", what, "path", path, "error", err)
	return fmt.Errorf("%s %s: %w", what, path, err)
}

// node finds the node of a request.
func (v *view) node(id uint64) (*viewNode, error) {
	if n := v.get(id); n != nil {
		return n, nil
	}
	return nil, syscall.ESTALE
}

// Lookup finds a name.
func (w viewed) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if !isView(in.NodeId, name) {
		return w.fileSystem.Lookup(cancel, in, name, out)
	}
	return toStatus(w.v.lookup(in.NodeId, name, out))
}

func (v *view) lookup(id uint64, name string, out *fuse.EntryOut) error {
	parent, f := v.s.tree.atRoot.key.ino, viewFile{kind: viewTop, hasDir: true}
	if id != rootID {
		dir, err := v.node(id)
		if err != nil {
			return err
		}
		if !dir.kind.isDir() {
			return syscall.ENOTDIR
		}
		if f, err = v.child(dir, name); err != nil {
			return err
		}
		parent = dir.ino
	}
	n := v.enter(viewPlace{id, name}, parent, f)
	v.fill(n, &out.Attr)
	out.NodeId = n.id
	// What a name stands for never changes, but whether it is there does,
	// and permissions follow the file outside.
	out.SetEntryTimeout(docTimeout)
	out.SetAttrTimeout(docTimeout)
	return nil
}

// Forget takes back lookups.
func (w viewed) Forget(id, lookups uint64) {
	if inView(id) {
		w.v.forget(id, lookups)
		return
	}
	w.fileSystem.Forget(id, lookups)
}

// fill tells the attributes of a node.
func (v *view) fill(n *viewNode, out *fuse.Attr) {
	*out = fuse.Attr{Ino: n.ino, Nlink: 1, Blksize: blockSize}
	changed, written := v.started, v.started
	var a access
	if n.kind.isDir() {
		a = v.dirAccess(n)
		out.Mode = unix.S_IFDIR
		if n.kind == viewAt {
			changed, written = n.at, n.at
		}
	} else {
		a = v.fileAccess(n)
		out.Mode = unix.S_IFREG
		out.Size = uint64(n.size())
		out.Blocks = (out.Size + 511) / 512
		changed, written = n.times()
	}
	out.Mode |= a.mode &^ 0222
	out.Owner = fuse.Owner{Uid: a.uid, Gid: a.gid}
	putTime(&out.Atime, &out.Atimensec, written)
	putTime(&out.Mtime, &out.Mtimensec, written)
	putTime(&out.Ctime, &out.Ctimensec, changed)
}

// size is that of a file.
func (n *viewNode) size() int64 {
	switch n.kind {
	case viewVersion:
		return n.version.Size
	case viewRefusal:
		return n.refusal.Size
	}
	return int64(len(n.refusal.Note))
}

// times is when a file came to be here, and when its content was written.
func (n *viewNode) times() (changed, written time.Time) {
	switch n.kind {
	case viewVersion:
		return n.version.Time, n.version.Attr.Mtime
	case viewRefusal:
		return n.refusal.Time, n.refusal.Time
	}
	return n.refusal.Last, n.refusal.Last
}

// GetAttr answers stat.
func (w viewed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.GetAttr(cancel, in, out)
	}
	n, err := w.v.node(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	w.v.fill(n, &out.Attr)
	out.SetTimeout(docTimeout)
	return fuse.OK
}

// Statx answers statx.
func (w viewed) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	if !inView(in.NodeId) {
		return w.fileSystem.Statx(cancel, in, out)
	}
	n, err := w.v.node(in.NodeId)
	if err != nil {
		return toStatus(err)
	}
	var attr fuse.Attr
	w.v.fill(n, &attr)
	out.SetTimeout(docTimeout)
	fillStatx(out, &attr)
	return fuse.OK
}

// GetXAttr reads an extended attribute: those for users that a version had,
// and the ACL that the kernel judges by.
func (w viewed) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if !inView(in.NodeId) {
		return w.fileSystem.GetXAttr(cancel, in, name, dest)
	}
	n, err := w.v.node(in.NodeId)
	if err != nil {
		return 0, toStatus(err)
	}
	if name != aclAccess && !strings.HasPrefix(name, "user.") {
		return 0, fuse.Status(unix.ENODATA) // asked of every file by the kernel and by ls
	}
	value, ok := w.v.xattrs(n)[name]
	if !ok {
		return 0, fuse.Status(unix.ENODATA)
	}
	return answerXattr(dest, value)
}

// ListXAttr lists extended attributes.
func (w viewed) ListXAttr(cancel <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if !inView(in.NodeId) {
		return w.fileSystem.ListXAttr(cancel, in, dest)
	}
	n, err := w.v.node(in.NodeId)
	if err != nil {
		return 0, toStatus(err)
	}
	var list []byte
	for name := range w.v.xattrs(n) {
		list = append(append(list, name...), 0)
	}
	return answerXattr(dest, list)
}
