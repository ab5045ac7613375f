package differential

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
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

func (s *stage) size() int64 { return int64(len(s.base) + len(s.content)) }

// changed tells whether there is something to commit.
func (h *handle) changed() bool { return h.stage != nil && (h.stage.fresh || h.stage.changed) }

// holds tells whether a process can write to the document.
func (d *doc) holds(p *process) bool {
	for h := range d.handles {
		if h.write && slices.ContainsFunc(h.fds, func(f descriptor) bool { return f.p == p }) {
			return true
		}
	}
	return false
}

// held tells whether anybody can.
func (d *doc) held() bool {
	for h := range d.handles {
		if h.write && len(h.fds) > 0 {
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

// repin moves a reader to the newest version.
func (h *handle) repin() {
	if h.doc.name == "" && h.pinID != h.doc.id {
		h.pin = h.doc.kept
		return
	}
	h.pin, h.pinID = h.doc.head, h.doc.id
}

// newest is what a stage starts from.
func (d *doc) newest() []byte {
	if d.name == "" {
		return d.kept
	}
	return d.head
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

// ftruncate is a truncation and what it does when an fsync waits for it.
func (m *model) ftruncate(h *handle, size int64) {
	h.truncate(size)
	if h.changed() && h.armed && h.stage.size() > 0 && h.whole() {
		m.commit(h)
	}
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
	if d.holds(flusher) || d.holds(h.opener) {
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
		if f == alive && d.held() {
			m.seen["not refused, as another holds it"]++
		}
		if f != alive || d.held() {
			return 0
		}
		if d.name == "" {
			return 0 // nothing that it could replace
		}
		m.refuse(h)
		return refused
	case died && !proven(h.stage.content, d.lines), died && d.held():
		return 0
	default:
		m.commit(h)
	}
	return 0
}

// mayRefuse tells that a close is not refused only as another process holds the
// file, which on a busy machine can't be found out in time.
func (m *model) mayRefuse(h *handle) bool {
	d := h.doc
	return d.name != "" && h.changed() && h.stage.size() > 0 && !h.whole() && d.held() && !d.holds(h.opener)
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

// lose takes the name away.
func (m *model) lose(d *doc) {
	if m.docs[d.name] == d {
		delete(m.docs, d.name)
	}
	d.name, d.shown, d.draft, d.kept = "", false, false, d.head
}

// put gives a document a name; whatever had it loses it.
func (m *model) put(d *doc, name string) {
	if old := m.docs[name]; old != nil && old != d {
		m.lose(old)
	}
	if m.docs[d.name] == d {
		delete(m.docs, d.name)
	}
	d.name = name
	m.docs[name] = d
}

// arrive is a content that gets a protected name; full tells whether it
// replaces one.
func (m *model) arrive(name string, content []byte, mode uint32, color string) syscall.Errno {
	old := m.docs[name]
	full := old != nil && len(old.head) > 0
	if len(content) == 0 && full || len(content) > 0 && !whole(content, linesName(name)) {
		m.reject(name, content)
		return refused
	}
	d := m.newDoc(name)
	d.mode, d.color = mode, color
	m.put(d, name)
	if len(content) == 0 {
		d.draft, d.shown = true, true
		return 0
	}
	m.committed(d, content)
	return 0
}

// stagedCommits does what a rename does first: what is whole in the stages of
// who renames is committed, what is not refuses the rename.
func (m *model) stagedCommits(d *doc, p *process) syscall.Errno {
	for _, h := range d.writersOf(p) {
		if !h.changed() || h.stage.size() == 0 {
			continue
		}
		if !h.whole() {
			m.refuse(h)
			return refused
		}
		m.commit(h)
	}
	return 0
}

// dirty counts the handles that a process has opened with something to commit.
func (d *doc) dirty(p *process) int {
	n := 0
	for _, h := range d.writersOf(p) {
		if h.changed() {
			n++
		}
	}
	return n
}

// renameDoc gives a protected file another protected name.
func (m *model) renameDoc(d *doc, p *process, to string) syscall.Errno {
	if errno := m.stagedCommits(d, p); errno != 0 {
		return errno
	}
	target, from := m.docs[to], d.name
	replaces := target != nil && target.id > 0
	switch {
	case d.id == 0 && replaces:
		return refused
	case d.id > 0 && (replaces || d.lines != linesName(to)) && !whole(d.head, linesName(to)):
		m.reject(to, d.head)
		return refused
	}
	m.put(d, to)
	d.lines = linesName(to)
	switch {
	case d.id == 0:
	case replaces:
		m.nextID++
		d.id = m.nextID
		m.commits[to] = append(m.commits[to], string(d.head))
	default:
		m.moveHistory(from, to)
	}
	return 0
}

// moveHistory lets what history has follow a name, and all below it.
func (m *model) moveHistory(from, to string) {
	m.seen["moved"]++
	for _, name := range slices.Collect(maps.Keys(m.commits)) {
		if name == from || strings.HasPrefix(name, from+"/") {
			moved := to + strings.TrimPrefix(name, from)
			m.commits[moved] = append(m.commits[moved], m.commits[name]...)
			delete(m.commits, name)
		}
	}
}

// renameDir moves all names below a directory.
func (m *model) renameDir(from, to string) {
	moved := map[string]*doc{}
	for name, d := range m.docs {
		if strings.HasPrefix(name, from+"/") {
			name = to + strings.TrimPrefix(name, from)
			d.name = name
		}
		moved[name] = d
	}
	m.docs = moved
	m.moveHistory(from, to)
}

// swap exchanges two protected names.
func (m *model) swap(a, b *doc) syscall.Errno {
	if a.id == 0 || b.id == 0 {
		return refused
	}
	for _, p := range [][2]*doc{{a, b}, {b, a}} {
		if !whole(p[0].head, p[1].lines) {
			m.reject(p[1].name, p[0].head)
			return refused
		}
	}
	m.docs[a.name], m.docs[b.name] = b, a
	m.moveHistory(a.name, "\x00")
	m.moveHistory(b.name, a.name)
	m.moveHistory("\x00", b.name)
	a.name, b.name = b.name, a.name
	a.lines, b.lines = b.lines, a.lines
	return 0
}

// listed lists the protected names in a directory that a process sees.
func (m *model) listed(dir string, p *process) []string {
	var out []string
	for name := range m.docs {
		if path.Dir(name) == dir && m.at(name, p) != nil {
			out = append(out, path.Base(name))
		}
	}
	return out
}
