package fs

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"
)

// Node ids, handle numbers and inode numbers of the view have a bit that
// nothing outside of it has: ids and handles are counted up from 1, inode
// numbers of disks and those of protected files are far below.
const (
	viewBit = uint64(1) << 62
	viewIno = uint64(1) << 62
)

type viewKind int

const (
	viewTop      viewKind = iota // .intact itself
	viewHistory                  // history/<path>
	viewTimes                    // at
	viewAt                       // at/<time>/<path>, a directory
	viewRejected                 // rejected/<path>
	viewVersion                  // a version, a file
	viewRefusal                  // a refused content, a file
	viewNote                     // the note beside it
)

func (k viewKind) isDir() bool { return k < viewVersion }

// viewNode is a file or directory of the view as the kernel knows it. What it
// stands for never changes: a name that comes to stand for something else gets
// another node.
type viewNode struct {
	viewFile
	id, ino uint64
	parent  uint64 // inode number
	place   viewPlace
	made    time.Time
	lookups uint64 // guarded by view.mu

	mu      sync.Mutex // guards what follows
	content Content    // while it is open
	users   int        // handles that read it
}

// viewFile is what a name in the view stands for.
type viewFile struct {
	kind    viewKind
	path    string    // in the tree that is viewed
	at      time.Time // of viewAt
	hasFile bool      // a directory: versions of a file are in it
	hasDir  bool      // a directory: it was one outside of the view, too
	version *PastVersion
	refusal *PastRefusal
}

// same tells whether two lookups of one name found the same.
func (f viewFile) same(g viewFile) bool {
	if f.kind != g.kind || f.path != g.path || !f.at.Equal(g.at) || f.hasFile != g.hasFile || f.hasDir != g.hasDir {
		return false
	}
	if f.version != nil {
		return g.version != nil && f.version.Tx == g.version.Tx
	}
	if f.refusal != nil {
		return g.refusal != nil && f.refusal.ID == g.refusal.ID && f.refusal.Last.Equal(g.refusal.Last)
	}
	return true
}

// alone is f without the list that it was found in.
func (f viewFile) alone() viewFile {
	if f.version != nil {
		version := *f.version
		f.version = &version
	}
	if f.refusal != nil {
		refusal := *f.refusal
		f.refusal = &refusal
	}
	return f
}

// viewPlace is a name in a directory of the view.
type viewPlace struct {
	dir  uint64 // node id
	name string
}

// get returns the node of an id, nil if there is none.
func (v *view) get(id uint64) *viewNode {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byID[id]
}

// known returns the node last found at a place, nil if there is none.
func (v *view) known(place viewPlace) *viewNode {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byPlace[place]
}

// enter finds or makes the node for what is at a place, and counts one lookup.
// parent is the inode number of the directory.
func (v *view) enter(place viewPlace, parent uint64, f viewFile) *viewNode {
	ino := v.inoOf(parent, place.name, f)
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.byPlace[place]
	if n == nil || !n.same(f) {
		v.next++
		f = f.alone()
		n = &viewNode{viewFile: f, id: viewBit | v.next, ino: ino, parent: parent, place: place, made: v.s.now()}
		v.byID[n.id] = n
		v.byPlace[place] = n
	}
	n.lookups++
	return n
}

// forget takes back lookups that the kernel was told of. A node that is open
// lives on in its handles.
func (v *view) forget(id, lookups uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.byID[id]
	if n == nil {
		return
	}
	n.lookups -= min(lookups, n.lookups)
	if n.lookups > 0 {
		return
	}
	delete(v.byID, id)
	if v.byPlace[n.place] == n {
		delete(v.byPlace, n.place)
	}
}

// inoOf is the inode number of a name in a directory of the view. It is the
// same whenever the name is found in this mount, and as good as unique: 62
// bits that nobody can foresee. A directory of a time is told from that of
// another time that was typed in the same way.
func (v *view) inoOf(parent uint64, name string, f viewFile) uint64 {
	var h maphash.Hash
	h.SetSeed(v.seed)
	key := binary.LittleEndian.AppendUint64(nil, parent)
	if f.kind == viewAt && f.path == "" {
		key = binary.LittleEndian.AppendUint64(key, uint64(f.at.UnixNano()))
	}
	_, _ = h.Write(key) // never fails
	_, _ = h.WriteString(name)
	return viewIno | h.Sum64()&(viewIno-1)
}
