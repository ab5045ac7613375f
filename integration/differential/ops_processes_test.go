package differential

import (
	"fmt"
	"os"
	"slices"
)

func (r *run) closeOne(h *handle, f descriptor) {
	r.t.Helper()
	h.fds = slices.DeleteFunc(h.fds, func(g descriptor) bool { return g == f })
	r.note("%s close %s", f.p.label, h.label)
	if h.late != nil {
		r.closeLate(h, f)
		return
	}
	a, _ := r.handleCall(h, f, call{Call: "close"})
	if h.doc != nil {
		want := r.m.flush(h, f.p, alive)
		if want == refused && a.Errno == 0 && h.vague() {
			r.e.seen["refused at the release only"]++
		} else {
			r.want(a, want)
		}
	}
	r.released(h)
}

// undecided tells that a close may end the save or leave that to another process:
// that has a copy, and others have the file open.
func (h *handle) undecided(f descriptor) bool {
	rest := slices.DeleteFunc(slices.Clone(h.fds), func(g descriptor) bool { return g == f })
	return h.doc != nil && h.write && len(rest) > 0 && h.vague() &&
		!slices.ContainsFunc(rest, func(g descriptor) bool { return g.p == f.p || g.p == h.opener })
}

// sizes lists what the size of a document may be told to be, also to who wrote
// to it through a handle from before it had its name.
func (r *run) sizes(d *doc, p *process) []int64 {
	r.t.Helper()
	out := d.sizes(p)
	for _, h := range r.handles {
		if h.late != d || !h.written || h.fds[0].p != p {
			continue
		}
		st, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", p.pid, h.fds[0].native))
		if err != nil {
			r.fail("native side: %v", err)
		}
		out = append(out, st.Size(), int64(len(d.head)))
	}
	return out
}

// closeLate closes a handle whose file was renamed onto a protected name: what
// was written after that is committed.
func (r *run) closeLate(h *handle, f descriptor) {
	r.t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/fd/%d", f.p.pid, f.native))
	if err != nil {
		r.fail("native side: %v", err)
	}
	a := r.mounted(f.p, call{Call: "close"}, f, none)
	r.do(f.p, call{Call: "close", FD: f.native})
	switch d := h.late; {
	case !h.written || d.name == "":
		r.want(a, 0)
	case whole(content, d.lines):
		r.want(a, 0)
		r.m.committed(d, content)
	default:
		r.m.reject(d.name, content)
		r.want(a, refused)
	}
	r.released(h)
}

// unsaved tells whether a process has written to a file after it was renamed
// onto a protected name; nothing is promised then if it dies, or makes another.
func (r *run) unsaved(p *process) bool {
	return slices.ContainsFunc(r.handles, func(h *handle) bool { return h.written && h.fds[0].p == p })
}

// fork starts a child that inherits a descriptor. All others are closed in it
// when it becomes another program.
func (r *run) fork(h *handle, f descriptor) {
	r.t.Helper()
	if len(r.children) >= 3 || r.unsaved(f.p) {
		return
	}
	r.opened++
	label := f.p.label + "." + string(rune('a'+r.opened%26))
	r.note("%s fork %s with %s", f.p.label, label, h.label)
	keep := []int{f.mount}
	if h.doc == nil || r.same {
		keep = append(keep, f.native)
	}
	c, err := f.p.child(label, r.e.pipes(), keep)
	if err != nil {
		r.fail("%v", err)
	}
	for _, o := range r.handles {
		if o.doc != nil && o.write && o.changed() && slices.ContainsFunc(o.fds, func(g descriptor) bool { return g.p == f.p }) {
			o.fate = alive
		}
	}
	r.children = append(r.children, c)
	h.fds = append(h.fds, descriptor{p: c})
}

// endChild lets a child exit, or kills it.
func (r *run) endChild(c *process, status int) {
	r.t.Helper()
	r.note("%s ends: %d", c.label, status)
	if err := c.end(status); err != nil {
		r.fail("end %s: %v", c.label, err)
	}
	r.children = slices.DeleteFunc(r.children, func(o *process) bool { return o == c })
	how := exitedClean
	switch {
	case status < 0:
		how = killed
	case status > 0:
		how = exitedBad
	}
	r.died(c, how)
}

// kill kills a worker, and starts another in its place.
func (r *run) kill(i int) {
	r.t.Helper()
	p := r.workers[i]
	if r.unsaved(p) {
		return
	}
	r.note("%s killed", p.label)
	p.kill()
	r.died(p, killed)
	if err := r.e.start(i); err != nil {
		r.fail("start a worker: %v", err)
	}
	r.workers[i] = r.e.workers[i]
}

// died closes what a process had, in the order of the descriptors.
func (r *run) died(p *process, how fate) {
	r.t.Helper()
	type end struct {
		h  *handle
		fd int
	}
	var ends []end
	for _, h := range r.handles {
		for _, f := range h.fds {
			if f.p == p {
				ends = append(ends, end{h, f.mount})
			}
		}
		h.fds = slices.DeleteFunc(h.fds, func(f descriptor) bool { return f.p == p })
	}
	slices.SortFunc(ends, func(a, b end) int { return a.fd - b.fd })
	for _, e := range ends {
		if e.h.doc != nil {
			r.m.flush(e.h, p, how)
		}
	}
	r.settle()
	for _, e := range ends {
		if slices.Contains(r.handles, e.h) {
			r.released(e.h)
		}
	}
}
