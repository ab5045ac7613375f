package journal

import "bytes"

// version is a committed content that is not yet published and forgotten.
type version struct {
	Version
	seg    *segment // that holds the record
	off    int64    // of the record
	size   int64    // of the record, with padding
	stage  string   // disk name, if the content is not in the record
	crc    stageSum // of the stage
	inline []byte   // the record's content, if held
	held   bool
	// baseSize is where the record's content begins in an appended
	// version, and prior the version it goes on from; nil: the backing
	// file. Journal.mu guards prior.
	baseSize int64
	prior    *version
	appended bool
	// joined is the bytes of an appended version and of all that it goes
	// on from, back to joinedFrom; nil if one of them is not held. A file
	// with many appends pending is opened as fast as one with a single one.
	joined     []byte
	joinedFrom int64
	root       *version // of the bytes before; nil: the backing file

	// unread is set for a version that a recovery found: its stage is compared
	// with its checksum before anybody gets a byte of it. Journal.mu guards it.
	unread bool

	// attrFailed is set when the attributes of the stage could not be
	// synced: its inode must never be published. The checkpointer's.
	attrFailed bool
}

// versionOverhead is what a pending version costs besides its content, for
// the bounds on memory and journal.
const versionOverhead = 512

// weight is what a version counts against MaxPending.
func (v *version) weight() int64 { return v.Size - v.baseSize + versionOverhead }

// index finds pending versions by path. It is guarded by Journal.mu. The
// versions of a path ascend by number, whatever the order is in which a replay
// meets them. An appended version follows the one it goes on from directly, or
// is the first of its path and goes on from the backing file: nothing is
// forgotten but from the front.
type index struct {
	paths map[string][]*version // oldest first, never empty
	tree  map[string]map[string]int
	links map[string]linked // by the other names of files that have several
	count int
	bytes int64 // sum of weights
	held  int64 // bytes of contents in memory
	// maxHeld bounds held: contents beyond are read back from the segment.
	maxHeld int64
}

func newIndex(maxHeld int64) *index {
	return &index{paths: map[string][]*version{}, tree: map[string]map[string]int{}, links: map[string]linked{}, maxHeld: maxHeld}
}

// newest is the last version of path; nil if nothing is pending.
func (x *index) newest(path string) *version {
	if vs := x.paths[path]; len(vs) > 0 {
		return vs[len(vs)-1]
	}
	return nil
}

// add takes v, by its number the newest version of its path. inline stays with v if it is
// the whole content and there is room.
func (x *index) add(v *version, inline []byte) {
	if len(x.paths[v.Path]) == 0 {
		x.enter(v.Path, +1)
	}
	vs := append(x.paths[v.Path], v)
	// A version that was written again comes late in a replay.
	for i := len(vs) - 1; i > 0 && vs[i-1].Tx > v.Tx; i-- {
		vs[i], vs[i-1] = vs[i-1], vs[i]
	}
	x.paths[v.Path] = vs
	x.link(v)
	x.count++
	x.bytes += v.weight()
	v.seg.pending++
	if v.stage == "" && int64(len(inline)) == v.Size-v.baseSize && x.held+int64(len(inline)) <= x.maxHeld {
		v.inline, v.held = inline, true
		x.held += int64(len(inline))
	}
}

// forget drops the versions of path up to tx and returns them.
func (x *index) forget(path string, tx TxID) []*version {
	vs := x.paths[path]
	n := 0
	for n < len(vs) && vs[n].Tx <= tx {
		v := vs[n]
		x.unlink(v)
		x.count--
		x.bytes -= v.weight()
		v.seg.pending--
		if v.held {
			x.held -= int64(len(v.inline))
		}
		n++
	}
	switch {
	case n == 0:
		return nil
	case n == len(vs):
		delete(x.paths, path)
		x.enter(path, -1)
	default:
		x.paths[path] = append([]*version(nil), vs[n:]...)
		rebase(vs[n:])
	}
	return vs[:n:n]
}

// join makes the bytes of an appended version, whose prior is set, follow
// those of the one before. Only the newest version of a path is ever joined:
// each array is extended once.
func join(v *version) {
	switch p := v.prior; {
	case !v.held:
	case p == nil || !p.appended:
		v.joined, v.joinedFrom, v.root = v.inline[:len(v.inline):len(v.inline)], v.baseSize, p
	case p.joined != nil:
		v.joined, v.joinedFrom, v.root = append(p.joined, v.inline...), p.joinedFrom, p.root
		v.inline = v.joined[len(p.joined):]
	}
}

// rebase makes the appends that are left, after those before were published,
// go on from the backing file.
func rebase(vs []*version) {
	if !vs[0].appended {
		return
	}
	vs[0].prior = nil
	from := vs[0].baseSize
	n := 0
	for n < len(vs) && vs[n].appended && vs[n].joined != nil {
		n++
	}
	if n == 0 {
		return
	}
	last := vs[n-1]
	joined := bytes.Clone(last.joined[from-last.joinedFrom:])
	for _, v := range vs[:n] {
		v.joined, v.joinedFrom, v.root = joined[:v.Size-from], from, nil
		v.inline = joined[v.baseSize-from : v.Size-from]
	}
}

// enter counts path in every directory above it. tree[dir][name] is how many
// pending paths, and other names of such, are at or below name.
func (x *index) enter(path string, by int) {
	for {
		dir := parentOf(path)
		name := path
		if dir != "" {
			name = path[len(dir)+1:]
		}
		children := x.tree[dir]
		if children == nil {
			children = map[string]int{}
			x.tree[dir] = children
		}
		if children[name] += by; children[name] == 0 {
			delete(children, name)
			if len(children) == 0 {
				delete(x.tree, dir)
			}
		}
		if dir == "" {
			return
		}
		path = dir
	}
}

// names lists the paths directly below dir, as last elements.
func (x *index) names(dir string) []string {
	var names []string
	for name := range x.tree[dir] {
		if len(x.paths[inDir(dir, name)]) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// below appends all paths at or below path, and those that have another name
// there; "" is everything. A path may come several times.
func (x *index) below(path string, out []string) []string {
	if len(x.paths[path]) > 0 {
		out = append(out, path)
	}
	if l, ok := x.links[path]; ok {
		out = append(out, l.path)
	}
	for name := range x.tree[path] {
		out = x.below(inDir(path, name), out)
	}
	return out
}

func inDir(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
