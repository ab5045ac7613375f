package differential

import (
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
)

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

// unfit tells whether content may not replace a document, if there is one, at a
// name.
func (m *model) unfit(content []byte, target *doc, name string) bool {
	if len(content) == 0 {
		return target != nil && len(target.head) > 0
	}
	return !whole(content, linesName(name))
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
	case d.id > 0 && (replaces || d.lines != linesName(to)) && m.unfit(d.head, target, to):
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
