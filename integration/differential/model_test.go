package differential

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// refused is what a program is told when its content is not valid.
const refused = unix.EBADMSG

// model is what the mount promises for protected names, and nothing else: of
// unprotected names it knows none.
type model struct {
	docs     map[string]*doc     // by path
	commits  map[string][]string // contents committed, by the path that history has them at
	rejected map[string][]string // contents refused, by path
	nextID   int
	seen     map[string]int // how often what happened
}

func newModel() *model {
	return &model{docs: map[string]*doc{}, commits: map[string][]string{}, rejected: map[string][]string{}}
}

// doc is a file with a protected name.
type doc struct {
	name  string // empty after it was removed
	lines bool
	head  []byte
	id    int // of head; 0: nothing was committed
	draft bool
	shown bool
	// kept is what is left for handles after the name is gone: the last
	// version.
	kept  []byte
	mode  uint32
	color string // an extended attribute; empty: none

	handles map[*handle]bool // not released
}

// fate is how the process ended that closed a handle last.
type fate int

const (
	alive fate = iota
	exitedClean
	exitedBad
	killed
)

// protectedName tells whether a rule protects a name.
func protectedName(name string) bool {
	return strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonl")
}

func linesName(name string) bool { return strings.HasSuffix(name, ".jsonl") }

// whole is the oracle for content: what encoding/json takes.
func whole(content []byte, lines bool) bool {
	if !lines {
		return json.Valid(content)
	}
	values := 0
	for line := range bytes.SplitSeq(content, []byte{'\n'}) {
		if len(bytes.Trim(line, " \t\r")) == 0 {
			continue
		}
		if !json.Valid(line) {
			return false
		}
		values++
	}
	return values > 0
}

// proven tells that a whole content can't be the start of a longer one.
func proven(content []byte, lines bool) bool {
	start := bytes.TrimLeft(content, " \t\r\n")
	return !lines && len(start) > 0 && strings.ContainsRune(`{["`, rune(start[0]))
}

func (m *model) newDoc(name string) *doc {
	return &doc{name: name, lines: linesName(name), mode: 0o644, handles: map[*handle]bool{}}
}

// taken tells whether a name is in use.
func (d *doc) taken() bool { return d.name != "" && (d.id > 0 || d.shown || d.writing()) }

// writing tells whether somebody has it open for writing.
func (d *doc) writing() bool {
	for h := range d.handles {
		if h.write {
			return true
		}
	}
	return false
}

// at is the document at a name as a process sees it; nil: there is none.
func (m *model) at(name string, p *process) *doc {
	d := m.docs[name]
	if d == nil || !d.taken() {
		return nil
	}
	if d.id > 0 || d.shown || len(d.writersOf(p)) > 0 {
		return d
	}
	return nil
}

// writersOf lists the handles for writing that a process has opened.
func (d *doc) writersOf(p *process) []*handle {
	var out []*handle
	for h := range d.handles {
		if h.write && h.opener == p {
			out = append(out, h)
		}
	}
	return out
}

// sizes lists what the size may be told to be: the stage's to who has one, and
// the kernel doesn't say through which of two handles it is asked.
func (d *doc) sizes(p *process) []int64 {
	var out []int64
	for _, h := range d.writersOf(p) {
		if h.stage != nil {
			out = append(out, h.stage.size())
		}
	}
	if len(out) == 0 {
		out = append(out, int64(len(d.head)))
	}
	return out
}

// heldBy tells whether a process has a descriptor of the handle.
func (h *handle) heldBy(p *process) bool {
	return slices.ContainsFunc(h.fds, func(f descriptor) bool { return f.p == p })
}

// vague tells that others have the file open for writing: which of them a
// descriptor belongs to can't always be seen, and the release decides then.
func (h *handle) vague() bool {
	for o := range h.doc.handles {
		if o != h && o.write && len(o.fds) > 0 {
			return true
		}
	}
	return false
}

// open is an open that found the document, or made it.
func (m *model) open(d *doc, h *handle, made, trunc bool) {
	h.doc = d
	d.handles[h] = true
	h.refused = -1
	if !h.write && !trunc {
		h.repin()
		return
	}
	h.write = true
	h.lines = d.lines && h.appends
	h.cut = trunc
	if made || trunc {
		h.stage = &stage{fresh: true, lines: h.lines, baseID: d.id}
	}
}

// newest is what a stage starts from.
func (d *doc) newest() []byte {
	if d.name == "" {
		return d.kept
	}
	return d.head
}

// ftruncate is a truncation and what it does when an fsync waits for it.
func (m *model) ftruncate(h *handle, size int64) {
	h.truncate(size)
	if h.changed() && h.armed && h.stage.size() > 0 && h.whole() {
		m.commit(h)
	}
}

func (m *model) fsync(h *handle) {
	switch {
	case !h.changed():
	case h.stage.size() > 0 && h.whole():
		m.commit(h)
	default:
		h.armed = true
	}
}

// flush is the close of a descriptor, which is not in h.fds any more.
func (m *model) flush(h *handle, flusher *process, f fate) syscall.Errno {
	d := h.doc
	if !h.write || !h.changed() {
		return 0
	}
	if h.heldBy(flusher) || h.heldBy(h.opener) {
		m.seen["closed while held"]++
		h.fate = f
		return 0
	}
	died := f == killed || f == exitedBad
	if died {
		m.seen["died in a save"]++
	}
	h.fate = f
	switch {
	case h.stage.size() == 0 && died:
		return 0
	case h.stage.size() == 0:
		m.keepDraft(h)
	case !h.whole():
		if f == alive && len(h.fds) > 0 {
			m.seen["not refused, as another holds it"]++
		}
		if f != alive || len(h.fds) > 0 {
			return 0
		}
		if d.name == "" {
			return 0 // nothing that it could replace
		}
		m.refuse(h)
		return refused
	case died && !proven(h.stage.content, d.lines), died && len(h.fds) > 0:
		return 0
	default:
		m.commit(h)
	}
	return 0
}

func (m *model) keepDraft(h *handle) {
	m.seen["left a draft"]++
	d, cut := h.doc, h.cut
	if d.id == h.stage.baseID {
		d.draft = true
	}
	d.shown = d.shown || d.id == 0
	h.detach()
	h.cut = cut
}

// release is the end of the handle.
func (m *model) release(h *handle) {
	d := h.doc
	delete(d.handles, h)
	died := h.fate == killed || h.fate == exitedBad
	switch {
	case !h.write || !h.changed():
	case h.stage.size() == 0 && died:
	case h.stage.size() == 0:
		m.keepDraft(h)
	case !h.whole(), died && !proven(h.stage.content, d.lines):
		if d.name != "" {
			m.seen["refused at release"]++
			m.refuse(h)
		}
	default:
		m.seen["committed at release"]++
		m.commit(h)
	}
	h.detach()
	if h.write && d.name != "" && d.id == 0 && d.draft && d.shown && !d.writing() {
		m.committed(d, nil) // made, and left empty
	}
	m.tidy(d)
}

// tidy forgets a name that is not taken any more.
func (m *model) tidy(d *doc) {
	if d.name != "" && !d.taken() && m.docs[d.name] == d {
		delete(m.docs, d.name)
	}
}

// refuse notes what quarantine has to have.
func (m *model) refuse(h *handle) {
	if h.refused == h.changes {
		return
	}
	h.refused = h.changes
	m.reject(h.doc.name, h.stage.content)
}

func (m *model) reject(name string, content []byte) {
	if name != "" {
		m.seen["refused"]++
		m.rejected[name] = append(m.rejected[name], string(content))
	}
}

// commit makes the stage the newest version.
func (m *model) commit(h *handle) {
	d := h.doc
	if d.name == "" {
		return // it keeps what it wrote
	}
	if d.id != h.stage.baseID {
		m.seen["collided"]++
	}
	content := h.stage.content
	if h.stage.lines {
		content = h.joined()
	}
	m.committed(d, content)
	h.detach()
}

func (m *model) committed(d *doc, content []byte) {
	m.seen["committed"]++
	m.nextID++
	d.head, d.id, d.draft, d.shown = slices.Clone(content), m.nextID, false, false
	m.commits[d.name] = append(m.commits[d.name], string(content))
}

// truncatePath is truncate(2).
func (m *model) truncatePath(d *doc, size int64) syscall.Errno {
	h := &handle{doc: d, write: true, refused: -1}
	h.truncate(size)
	switch {
	case !h.changed():
	case h.stage.size() == 0:
		m.keepDraft(h)
	case h.whole():
		m.commit(h)
	default:
		m.refuse(h)
		return refused
	}
	return 0
}
