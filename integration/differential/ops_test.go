package differential

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// openFlags are the ways to open.
var openFlags = map[string]int{
	"r":   unix.O_RDONLY,
	"wt":  unix.O_WRONLY | unix.O_TRUNC,
	"ct":  unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC,
	"cx":  unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL,
	"rw":  unix.O_RDWR,
	"rwc": unix.O_RDWR | unix.O_CREAT,
	"a":   unix.O_WRONLY | unix.O_APPEND,
	"ac":  unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT,
}

// maxHandles bounds how many files are open at a time.
const maxHandles = 7

var none descriptor

// step performs one operation on all sides; one that doesn't apply is nothing.
func (r *run) step(o op) {
	r.t.Helper()
	r.ops = append(r.ops, o)
	p := r.workers[o.W%3]
	switch o.Kind {
	case "open":
		r.open(p, o)
	case "save":
		if n := len(r.handles); n < maxHandles {
			r.open(p, op{Name: o.Name, How: "ct"})
			if len(r.handles) > n {
				h := r.handles[n]
				r.transfer(h, h.fds[0], op{Kind: "write", Data: o.Data})
				r.closeOne(h, h.fds[0])
			}
		}
	case "rename":
		r.rename(p, o)
	case "link":
		r.link(p, o)
	case "linktmp":
		r.linkTemp(p, o)
	case "truncate", "unlink", "chmod", "setxattr", "getxattr", "stat":
		r.byPath(p, o)
	case "mkdir", "rmdir":
		r.note("%s %s %s", p.label, o.Kind, o.Name)
		r.both(p, call{Call: o.Kind, Path: o.Name}, none, none)
	case "readdir":
		r.note("%s readdir %s", p.label, o.Name)
		r.readdir(p, o.Name)
	case "kill":
		r.kill(o.W % 3)
	case "exit":
		if len(r.children) > 0 {
			r.endChild(r.children[o.S%len(r.children)], int(o.Len))
		}
	default:
		r.byHandle(o)
	}
	r.checkRejected()
	r.place()
}

func (r *run) open(p *process, o op) {
	r.t.Helper()
	flags, ok := openFlags[o.How]
	if !ok || len(r.handles) >= maxHandles {
		return
	}
	name, asked := o.Name, o.Name
	if name == link {
		if flags&unix.O_EXCL != 0 {
			return // never follows a link
		}
		name = linked
	}
	r.note("%s open %s %s", p.label, asked, o.How)
	c := call{Call: "open", Path: asked, Flags: flags}
	h := &handle{
		opener: p, read: flags&unix.O_ACCMODE != unix.O_WRONLY, write: flags&unix.O_ACCMODE != unix.O_RDONLY,
		appends: flags&unix.O_APPEND != 0,
	}
	if !protectedName(name) {
		a, b := r.both(p, c, none, none)
		if a.Errno == 0 {
			r.opens(h, p, a, b)
			h.ino = r.do(p, call{Call: "fstat", FD: int(b.N)}).Ino
		}
		return
	}
	a, b := r.guarded(p, c, none, none)
	d, there := r.m.at(name, p), r.m.docs[name]
	switch {
	case !r.dirThere(name), d == nil && flags&unix.O_CREAT == 0:
		r.want(a, unix.ENOENT)
		return
	case flags&unix.O_EXCL != 0 && there != nil && there.taken():
		r.want(a, unix.EEXIST)
		return
	}
	r.want(a, 0)
	made := d == nil
	if d = there; d == nil {
		d = r.m.newDoc(name)
		r.m.docs[name] = d
	}
	r.opens(h, p, a, b)
	r.m.open(d, h, made, flags&unix.O_TRUNC != 0)
}

// opens notes a new handle.
func (r *run) opens(h *handle, p *process, a, b answer) {
	r.opened++
	h.label = "h" + string(rune('0'+r.opened/10)) + string(rune('0'+r.opened%10))
	h.fds = []descriptor{{p, int(a.N), int(b.N)}}
	r.handles = append(r.handles, h)
	r.trace[len(r.trace)-1] += " -> " + h.label
}

// byHandle performs an operation on an open file, by one of the workers that
// have it.
func (r *run) byHandle(o op) {
	r.t.Helper()
	if len(r.handles) == 0 {
		return
	}
	h := r.handles[o.S%len(r.handles)]
	f, ok := pick(h, o.W)
	if !ok {
		return
	}
	if h.late != nil && !slices.Contains([]string{"close", "write", "pwrite"}, o.Kind) {
		return
	}
	switch o.Kind {
	case "close":
		if !h.undecided(f) {
			r.closeOne(h, f)
		}
	case "complete":
		if !h.write || h.undecided(f) {
			return
		}
		r.change(h, f, op{Kind: "ftruncate"})
		r.transfer(h, f, op{Kind: "pwrite", Data: o.Data})
		if o.Len > 0 {
			r.closeOne(h, f)
		}
	case "dup":
		if len(h.fds) < 4 {
			r.note("%s dup %s", f.p.label, h.label)
			a, b := r.handleCall(h, f, call{Call: "dup"})
			h.fds = append(h.fds, descriptor{f.p, int(a.N), int(b.N)})
		}
	case "fork":
		r.fork(h, f)
	case "copy":
		r.copy(h, f, o)
	case "flock":
		r.flock(h, f, o)
	case "read", "pread", "write", "pwrite":
		r.transfer(h, f, o)
	default:
		r.change(h, f, o)
	}
}

// pick chooses a descriptor of a handle that a worker has.
func pick(h *handle, which int) (descriptor, bool) {
	var own []descriptor
	for _, f := range h.fds {
		if f.p.cmd != nil {
			own = append(own, f)
		}
	}
	if len(own) == 0 {
		return none, false
	}
	return own[which%len(own)], true
}

// handleCall makes a call on a handle on the sides that it is for.
func (r *run) handleCall(h *handle, f descriptor, c call) (answer, answer) {
	r.t.Helper()
	if h.doc == nil {
		return r.both(f.p, c, f, none)
	}
	return r.guarded(f.p, c, f, none)
}

func (r *run) transfer(h *handle, f descriptor, o op) {
	r.t.Helper()
	reads := strings.HasSuffix(o.Kind, "read")
	if reads && !h.read || !reads && (!h.write || o.Data == "") {
		return
	}
	c := call{Call: o.Kind, Off: o.Off, Len: o.Len, Data: []byte(o.Data)}
	off := o.Off
	if o.Kind == "read" || o.Kind == "write" {
		off = h.pos
	}
	if reads {
		c.Data = nil
		c.Len = max(o.Len, 1)
		r.note("%s %s %s %d bytes at %d", f.p.label, o.Kind, h.label, c.Len, off)
	} else {
		r.note("%s %s %s %q at %d", f.p.label, o.Kind, h.label, o.Data, off)
	}
	a, _ := r.handleCall(h, f, c)
	h.written = h.written || h.late != nil && !reads
	if h.doc == nil {
		return
	}
	r.want(a, 0)
	if reads {
		want := h.readAt(off, c.Len)
		if string(a.Data) != string(want) {
			r.fail("read %q, want %q", a.Data, want)
		}
		a.N = int64(len(a.Data))
	} else {
		if a.N != int64(len(o.Data)) {
			r.fail("wrote %d bytes of %d", a.N, len(o.Data))
		}
		h.writeAt(c.Data, off)
	}
	if o.Kind == "read" || o.Kind == "write" {
		h.pos += a.N
	}
}

func (r *run) change(h *handle, f descriptor, o op) {
	r.t.Helper()
	if !h.write && (o.Kind == "ftruncate" || o.Kind == "fallocate") {
		return
	}
	c := call{Call: o.Kind}
	switch o.Kind {
	case "ftruncate":
		c.Len = o.Len
	case "fallocate":
		c.Off, c.Len = o.Off, max(o.Len, 1)
	}
	r.note("%s %s %s %d %d", f.p.label, o.Kind, h.label, c.Off, c.Len)
	a, _ := r.handleCall(h, f, c)
	if h.doc == nil {
		return
	}
	r.want(a, 0)
	switch o.Kind {
	case "ftruncate":
		r.m.ftruncate(h, o.Len)
	case "fallocate":
		s := h.begin()
		h.truncate(max(s.size(), c.Off+c.Len))
	case "fsync":
		if h.write {
			r.m.fsync(h)
		}
	case "end", "fstat":
		if sizes := r.sizes(h.doc, f.p); !slices.Contains(sizes, a.N) {
			r.fail("size %d, want one of %v", a.N, sizes)
		}
		if o.Kind == "end" {
			h.pos = a.N
		} else if a.Mode&07777 != h.doc.mode {
			r.fail("mode %o, want %o", a.Mode, h.doc.mode)
		}
	}
}

func (r *run) flock(h *handle, f descriptor, o op) {
	r.t.Helper()
	flag := map[string]int{"sh": unix.LOCK_SH, "ex": unix.LOCK_EX, "un": unix.LOCK_UN}[o.How]
	if h.locked != 0 {
		flag = unix.LOCK_UN // a conversion may lose the lock
	}
	var commits []*handle
	if h.doc != nil && flag == unix.LOCK_UN && h.locked != 0 {
		for w := range h.doc.handles {
			if w.write && w.changed() && (w == h || w.opener == f.p) {
				commits = append(commits, w)
			}
		}
		if len(commits) > 1 {
			return // in which order is nobody's business
		}
	}
	r.note("%s flock %s %d", f.p.label, h.label, flag)
	a, _ := r.handleCall(h, f, call{Call: "flock", Flags: flag | unix.LOCK_NB})
	if h.doc != nil {
		if flag != unix.LOCK_UN && conflicts(h, flag) {
			r.want(a, unix.EAGAIN)
			return
		}
		r.want(a, 0)
	}
	if a.Errno != 0 {
		return
	}
	h.locked = flag &^ unix.LOCK_UN
	for _, w := range commits {
		if w.stage.size() > 0 && w.whole() {
			r.m.commit(w)
		}
	}
}

func conflicts(h *handle, flag int) bool {
	for o := range h.doc.handles {
		if o != h && o.locked != 0 && (o.locked == unix.LOCK_EX || flag == unix.LOCK_EX) {
			return true
		}
	}
	return false
}

// copy is copy_file_range. The kernel may copy less, as it bounds the range
// by a size that all handles share.
func (r *run) copy(h *handle, f descriptor, o op) {
	r.t.Helper()
	to := r.handles[o.S2%len(r.handles)]
	i := slices.IndexFunc(to.fds, func(g descriptor) bool { return g.p == f.p })
	if !h.read || !to.write || to.appends || i < 0 || to == h || h.doc == to.doc && h.doc != nil || h.ino == to.ino && h.ino != 0 {
		return
	}
	g, n := to.fds[i], max(o.Len, 1)
	c := call{Call: "copy", Off: o.Off, Off2: o.Off, Len: n}
	if h.doc == nil && to.doc == nil {
		r.note("%s copy %s to %s %d bytes at %d", f.p.label, h.label, to.label, n, o.Off)
		r.both(f.p, c, f, g)
		return
	}
	r.change(h, f, op{Kind: "fstat"}) // the kernel learns the size
	r.transfer(h, f, op{Kind: "pread", Off: o.Off, Len: n})
	var data []byte
	if h.doc == nil {
		data = r.do(f.p, call{Call: "pread", FD: f.native, Off: o.Off, Len: n}).Data
	} else {
		data = h.readAt(o.Off, n)
	}
	r.note("%s copy %s to %s %d bytes at %d", f.p.label, h.label, to.label, n, o.Off)
	a, _ := r.mounted(f.p, c, f, g), 0
	r.want(a, 0)
	if a.N < 0 || a.N > int64(len(data)) {
		r.fail("copied %d bytes of %d", a.N, len(data))
	}
	if a.N == 0 {
		return
	}
	if to.doc != nil {
		to.writeAt(data[:a.N], o.Off)
		return
	}
	r.do(f.p, call{Call: "pwrite", FD: g.native, Off: o.Off, Data: data[:a.N]})
}

func (r *run) readdir(p *process, dir string) {
	r.t.Helper()
	a := r.mounted(p, call{Call: "readdir", Path: dir}, none, none)
	b := r.do(p, side(call{Call: "readdir", Path: dir}, r.native))
	if a.Errno != b.Errno {
		r.fail("readdir: %v in the mount, %v natively", a, b)
	}
	if a.Errno != 0 {
		return
	}
	want := b.Names
	if !r.same {
		want = slices.DeleteFunc(want, protectedName)
		want = append(want, r.m.listed(path.Clean(dir), p)...)
		slices.Sort(want)
	}
	if !slices.Equal(a.Names, want) {
		r.fail("names %v, want %v", a.Names, want)
	}
}
