package differential

import (
	"bytes"
	"slices"
)

// handle is an open file description.
type handle struct {
	label string
	doc   *doc // nil: not protected
	ino   uint64
	read  bool
	write bool

	appends bool
	opener  *process
	fds     []descriptor
	pos     int64

	pin   []byte // what a reader reads
	pinID int

	lines   bool // appends to a file of lines
	stage   *stage
	cut     bool
	armed   bool
	fate    fate
	changes int
	refused int // changes at the last refusal
	locked  int // flock operation held; 0: none

	// late is what the file became when it was renamed onto a protected name
	// while it was open; written says that there is something to commit.
	late    *doc
	written bool
}

// stage is what a writer has made so far.
type stage struct {
	content []byte // with lines: only what was added
	base    []byte // with lines: what it was added to at first
	lines   bool   // what is written is added to what is newest then
	baseID  int
	fresh   bool
	changed bool
	draft   bool
}

// descriptor is a number that a process has for a handle, one on each side.
type descriptor struct {
	p      *process
	mount  int
	native int
}

func (s *stage) size() int64 { return int64(len(s.base) + len(s.content)) }

// changed tells whether there is something to commit.
func (h *handle) changed() bool { return h.stage != nil && (h.stage.fresh || h.stage.changed) }

// repin moves a reader to the newest version.
func (h *handle) repin() {
	if h.doc.name == "" && h.pinID != h.doc.id {
		h.pin = h.doc.kept
		return
	}
	h.pin, h.pinID = h.doc.head, h.doc.id
}

// begin makes the stage at the first use.
func (h *handle) begin() *stage {
	if h.stage != nil {
		return h.stage
	}
	d := h.doc
	h.stage = &stage{baseID: d.id, lines: h.lines}
	switch {
	case d.draft || h.cut:
		h.stage.draft = d.draft
	case h.lines:
		h.stage.base = d.newest()
	default:
		h.stage.content = slices.Clone(d.newest())
	}
	return h.stage
}

func (h *handle) detach() { h.stage, h.cut, h.armed = nil, false, false }

// readAt is what a read through the handle gives.
func (h *handle) readAt(off, n int64) []byte {
	if !h.write {
		if off == 0 {
			h.repin()
		}
		return cutOut(h.pin, off, n)
	}
	if s := h.stage; off == 0 && s != nil && !h.changed() && !s.draft && s.baseID != h.doc.id {
		h.detach()
	}
	return cutOut(h.begin().content, off, n)
}

func cutOut(b []byte, off, n int64) []byte {
	if off >= int64(len(b)) {
		return nil
	}
	return b[off:min(off+n, int64(len(b)))]
}

// writeAt is a write; where tells where it goes unless the handle appends.
func (h *handle) writeAt(data []byte, off int64) {
	s := h.begin()
	if h.appends {
		off = int64(len(s.content))
	}
	s.content = overwrite(s.content, data, off)
	s.changed = true
	h.changes++
}

func overwrite(b, data []byte, off int64) []byte {
	b = resize(b, max(int64(len(b)), off+int64(len(data))))
	copy(b[off:], data)
	return b
}

func resize(b []byte, n int64) []byte {
	out := make([]byte, n)
	copy(out, b)
	return out
}

// truncate cuts or extends the stage.
func (h *handle) truncate(size int64) {
	s := h.begin()
	if s.lines { // it changes what is there, not the end alone
		content := h.joined()
		h.stage = &stage{content: content, baseID: h.doc.id, fresh: s.fresh, changed: len(s.content) > 0, draft: s.draft}
		s = h.stage
	}
	if size != int64(len(s.content)) {
		s.content = resize(s.content, size)
		s.changed = true
	}
	h.changes++
}

// whole tells whether the stage can be committed. Lines may be ended by a line
// feed that comes alone.
func (h *handle) whole() bool {
	s := h.stage
	if s.lines && len(s.base) > 0 && len(bytes.TrimSpace(s.content)) == 0 {
		return true
	}
	return whole(s.content, h.doc.lines)
}

// joined is what is newest with the lines of the stage.
func (h *handle) joined() []byte {
	base, added := slices.Clone(h.doc.newest()), h.stage.content
	if h.doc.draft || h.cut {
		base = nil
	}
	if len(base) > 0 && base[len(base)-1] != '\n' && len(added) > 0 && added[0] != '\n' {
		base = append(base, '\n')
	}
	return append(base, added...)
}
