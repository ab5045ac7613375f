package differential

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

func (r *run) byPath(p *process, o op) {
	r.t.Helper()
	c := call{Call: o.Kind, Path: o.Name, Len: o.Len, Data: []byte(o.Data)}
	detail := o.Data
	switch o.Kind {
	case "chmod":
		c.Flags = []int{0o600, 0o640, 0o644, 0o664}[o.Len%4]
		detail = []string{"600", "640", "644", "664"}[o.Len%4]
	case "truncate":
		detail = string(rune('0' + o.Len%10))
		c.Len = o.Len % 10
	}
	if o.Kind == "setxattr" && !r.e.xattrs {
		return
	}
	r.note("%s %s %s %s", p.label, o.Kind, o.Name, detail)
	if !protectedName(o.Name) {
		r.both(p, c, none, none)
		return
	}
	a, _ := r.guarded(p, c, none, none)
	d := r.m.at(o.Name, p)
	if d == nil {
		r.want(a, unix.ENOENT)
		return
	}
	switch o.Kind {
	case "truncate":
		r.want(a, r.m.truncatePath(d, c.Len))
	case "unlink":
		r.want(a, 0)
		r.m.lose(d)
	case "chmod":
		r.want(a, 0)
		d.mode = uint32(c.Flags)
	case "setxattr":
		r.want(a, 0)
		d.color = o.Data
	case "getxattr":
		r.wantColor(a, d)
	case "stat":
		r.want(a, 0)
		if sizes := r.sizes(d, p); !slices.Contains(sizes, a.N) {
			r.fail("size %d, want one of %v", a.N, sizes)
		}
		if a.Mode != unix.S_IFREG|d.mode {
			r.fail("mode %o, want %o", a.Mode, unix.S_IFREG|d.mode)
		}
	}
}

func (r *run) wantColor(a answer, d *doc) {
	r.t.Helper()
	switch {
	case !r.e.xattrs:
	case d.color == "":
		r.want(a, unix.ENODATA)
	case string(a.Data) != d.color:
		r.fail("got %v, want %q", a, d.color)
	}
}

func isDir(name string) bool { return name == "s" || name == "t" }

// rename sends every kind of renaming its way.
func (r *run) rename(p *process, o op) {
	r.t.Helper()
	if o.Name == o.To || isDir(o.Name) && path.Dir(o.To) == o.Name || isDir(o.To) && path.Dir(o.Name) == o.To {
		return
	}
	flags := map[string]int{"noreplace": unix.RENAME_NOREPLACE, "exchange": unix.RENAME_EXCHANGE}[o.How]
	c := call{Call: "rename", Path: o.Name, Path2: o.To, Flags: flags}
	from, to := protectedName(o.Name), protectedName(o.To)
	switch {
	case isDir(o.Name) && isDir(o.To):
		r.renameDir(p, c)
	case isDir(o.Name), isDir(o.To):
	case !from && !to:
		r.note("%s rename %s %s %s", p.label, o.Name, o.To, o.How)
		r.both(p, c, none, none)
	case flags == unix.RENAME_EXCHANGE:
		r.exchange(p, c)
	case !from:
		r.renameIn(p, c)
	case !to:
		r.renameOut(p, c)
	default:
		r.renameWithin(p, c)
	}
}

func (r *run) renameDir(p *process, c call) {
	r.t.Helper()
	if c.Flags == unix.RENAME_EXCHANGE {
		return
	}
	r.note("%s rename %s %s", p.label, c.Path, c.Path2)
	a, _ := r.both(p, c, none, none)
	if a.Errno != 0 {
		return
	}
	r.m.renameDir(c.Path, c.Path2)
	for name := range r.placed {
		if path.Dir(name) == c.Path {
			delete(r.placed, name)
			r.placed[c.Path2+"/"+path.Base(name)] = true
		}
	}
}

// taken tells whether a protected name is in use, seen or not.
func (r *run) taken(name string) bool {
	d := r.m.docs[name]
	return d != nil && d.taken()
}

// missing tells the errno of a call whose source or target directory is not
// there.
func (r *run) missing(there bool, to string) syscall.Errno {
	if !there || !r.dirThere(to) {
		return unix.ENOENT
	}
	return 0
}

// renameIn gives an unprotected file a protected name.
func (r *run) renameIn(p *process, c call) {
	r.t.Helper()
	src := r.plain(c.Path)
	if src.ok && src.links > 1 {
		return
	}
	var open []*handle
	for _, h := range r.handles {
		if h.doc == nil && h.ino == src.ino && src.ok {
			open = append(open, h)
		}
	}
	if slices.ContainsFunc(open, func(h *handle) bool { return len(h.fds) > 1 || h.fds[0].p.cmd == nil || h.locked != 0 }) {
		return
	}
	want := r.missing(src.ok, c.Path2)
	if want == 0 && c.Flags == unix.RENAME_NOREPLACE && r.taken(c.Path2) {
		want = unix.EEXIST
	}
	r.note("%s rename %s %s %d", p.label, c.Path, c.Path2, c.Flags)
	a, _ := r.guarded(p, c, none, none)
	if want == 0 {
		want = r.m.arrive(c.Path2, src.content, src.mode, src.color)
	}
	if r.want(a, want) {
		r.forget(c.Path)
		for _, h := range open {
			h.late, h.ino = r.m.docs[c.Path2], 0
		}
	}
}

// forget removes a name natively that moved out of the native side's sight.
func (r *run) forget(name string) {
	r.t.Helper()
	if r.same {
		return
	}
	if err := os.Remove(filepath.Join(r.native, name)); err != nil {
		r.fail("native side: %v", err)
	}
}

// renameOut gives a protected file an unprotected name.
func (r *run) renameOut(p *process, c call) {
	r.t.Helper()
	d, target := r.m.at(c.Path, p), r.plain(c.Path2)
	if d != nil && len(d.handles) > 0 {
		return
	}
	want := r.missing(d != nil, c.Path2)
	if want == 0 && c.Flags == unix.RENAME_NOREPLACE && target.ok {
		want = unix.EEXIST
	}
	r.note("%s rename %s %s %d", p.label, c.Path, c.Path2, c.Flags)
	a, _ := r.guarded(p, c, none, none)
	if r.want(a, want) {
		r.m.lose(d)
		if !r.same {
			r.mirror(c.Path2, d.head, d.mode, d.color)
		}
	}
}

// renameWithin gives a protected file another protected name.
func (r *run) renameWithin(p *process, c call) {
	r.t.Helper()
	d := r.m.at(c.Path, p)
	if d != nil && (d.dirty(p) > 1 || d.writing() && d.lines != linesName(c.Path2)) {
		return
	}
	want := r.missing(d != nil, c.Path2)
	if want == 0 && c.Flags == unix.RENAME_NOREPLACE && r.taken(c.Path2) {
		want = unix.EEXIST
	}
	r.note("%s rename %s %s %d", p.label, c.Path, c.Path2, c.Flags)
	a, _ := r.guarded(p, c, none, none)
	if want == 0 {
		want = r.m.renameDoc(d, p, c.Path2)
	}
	r.want(a, want)
}

// exchange swaps two names of which at least one is protected.
func (r *run) exchange(p *process, c call) {
	r.t.Helper()
	a, b := r.m.at(c.Path, p), r.m.at(c.Path2, p)
	if protectedName(c.Path) && protectedName(c.Path2) {
		if a != nil && b != nil && a.lines != b.lines && (a.writing() || b.writing()) {
			return
		}
		want := r.missing(a != nil && b != nil, c.Path2)
		r.note("%s exchange %s %s", p.label, c.Path, c.Path2)
		got, _ := r.guarded(p, c, none, none)
		if want == 0 {
			want = r.m.swap(a, b)
		}
		r.want(got, want)
		return
	}
	d, out := a, c.Path2
	if a == nil && !protectedName(c.Path) {
		d, out = b, c.Path
	}
	u := r.plain(out)
	if d != nil && len(d.handles) > 0 || u.ok && (u.links > 1 || r.busy(u.ino)) {
		return
	}
	r.note("%s exchange %s %s", p.label, c.Path, c.Path2)
	got, _ := r.guarded(p, c, none, none)
	want := r.missing(d != nil && u.ok, c.Path2)
	switch {
	case want != 0:
	case d.id == 0:
		want = refused
	case !whole(u.content, d.lines):
		r.m.reject(d.name, u.content)
		want = refused
	}
	if !r.want(got, want) {
		return
	}
	if want = r.m.arrive(d.name, u.content, u.mode, u.color); want != 0 {
		r.fail("the model doesn't take what it took")
	}
	if !r.same {
		r.mirror(out, d.head, d.mode, d.color)
	}
}

// link gives an unprotected file one more name.
func (r *run) link(p *process, o op) {
	r.t.Helper()
	if protectedName(o.Name) || isDir(o.Name) || isDir(o.To) || o.Name == o.To {
		return
	}
	c := call{Call: "link", Path: o.Name, Path2: o.To}
	r.note("%s link %s %s", p.label, o.Name, o.To)
	if !protectedName(o.To) {
		r.both(p, c, none, none)
		return
	}
	src := r.plain(o.Name)
	a := r.mounted(p, c, none, none)
	want := r.missing(src.ok, o.To)
	switch {
	case want != 0:
	case r.taken(o.To):
		want = unix.EEXIST
	default:
		want = r.m.arrive(o.To, src.content, src.mode, src.color)
	}
	r.want(a, want)
}

// linkTemp makes a file without a name, writes to it, names and closes it.
func (r *run) linkTemp(p *process, o op) {
	r.t.Helper()
	dir := path.Dir(o.To)
	r.note("%s tmpfile in %s, %q, linked as %s", p.label, dir, o.Data, o.To)
	a, b := r.both(p, call{Call: "open", Path: dir, Flags: unix.O_TMPFILE | unix.O_RDWR}, none, none)
	if a.Errno != 0 {
		return
	}
	f := descriptor{p, int(a.N), int(b.N)}
	r.both(p, call{Call: "write", Data: []byte(o.Data)}, f, none)
	c := call{Call: "linkfd", Path: o.To}
	if protectedName(o.To) {
		a, _ = r.guarded(p, c, f, none)
		if r.taken(o.To) {
			r.want(a, unix.EEXIST)
		} else {
			r.want(a, r.m.arrive(o.To, []byte(o.Data), 0o644, ""))
		}
	} else {
		r.both(p, c, f, none)
	}
	r.both(p, call{Call: "close"}, f, none)
	r.settle()
}
