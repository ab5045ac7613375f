package fs

import (
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// viewStamp begins the names of versions and refused contents: a time in UTC
// of always the same length, so that they sort by it.
const viewStamp = "2006-01-02T15:04:05.000Z-"

// timeHolds is how long a time that depends on the clock, like 2h-ago, stays
// the moment that it was at first: a walk through it meets one tree.
const timeHolds = time.Minute

// freshness says whether a list may be a moment old.
type freshness bool

const (
	cachedOK freshness = false
	fresh    freshness = true
)

// viewEntry is a name in a directory of the view.
type viewEntry struct {
	name string
	viewFile
}

// child finds what a name in a directory stands for. A name that a list from
// a moment ago lacks may be new.
func (v *view) child(n *viewNode, name string) (viewFile, error) {
	f, err := v.childIn(n, name, cachedOK)
	if errors.Is(err, syscall.ENOENT) {
		return v.childIn(n, name, fresh)
	}
	return f, err
}

func (v *view) childIn(n *viewNode, name string, f freshness) (viewFile, error) {
	switch n.kind {
	case viewTimes:
		return v.timeNamed(n, name)
	case viewHistory, viewAt:
		if found, err := v.nameIn(n, name, f); !errors.Is(err, syscall.ENOENT) {
			return found, err
		}
	}
	entries, err := v.filesIn(n, name, f)
	if err != nil {
		return viewFile{}, err
	}
	for _, e := range entries {
		if e.name == name {
			return e.viewFile, nil
		}
	}
	return viewFile{}, syscall.ENOENT
}

// timeNamed is the tree at a time as people type it.
func (v *view) timeNamed(n *viewNode, name string) (viewFile, error) {
	if known := v.known(viewPlace{n.id, name}); known != nil {
		if age := v.s.now().Sub(known.made); age >= 0 && age < timeHolds {
			return known.viewFile, nil
		}
	}
	if v.parseTime == nil {
		return viewFile{}, syscall.ENOENT
	}
	at, err := v.parseTime(name)
	if err != nil {
		return viewFile{}, syscall.ENOENT
	}
	return viewFile{kind: viewAt, at: at, hasDir: true}, nil
}

// nameIn finds a name of the tree in a directory of history or of a time.
func (v *view) nameIn(n *viewNode, name string, f freshness) (viewFile, error) {
	names, err := v.names(n.path, f)
	if err != nil {
		return viewFile{}, err
	}
	i, ok := slices.BinarySearchFunc(names, name, func(p PastName, name string) int {
		return strings.Compare(p.Name, name)
	})
	if !ok {
		return viewFile{}, syscall.ENOENT
	}
	return v.shown(n, names[i], f)
}

// shown is how a name of the tree shows in a directory of history or of a
// time; ENOENT if it doesn't.
func (v *view) shown(n *viewNode, name PastName, f freshness) (viewFile, error) {
	full := join(n.path, name.Name)
	if n.kind == viewHistory {
		return viewFile{kind: viewHistory, path: full, hasFile: name.File, hasDir: name.Dir}, nil
	}
	if name.Dir {
		if ok, err := v.existed(full, n.at, f); ok || err != nil {
			return viewFile{kind: viewAt, path: full, at: n.at, hasDir: true}, err
		}
	}
	if name.File {
		if version, err := v.versionAt(full, n.at, f); version != nil || err != nil {
			return viewFile{kind: viewVersion, path: full, version: version}, err
		}
	}
	return viewFile{}, syscall.ENOENT
}

// versionAt is the version that a path had at a time, nil if there was none.
func (v *view) versionAt(path string, at time.Time, f freshness) (*PastVersion, error) {
	versions, err := v.versions(path, f)
	if err != nil {
		return nil, err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].Time.After(at) {
			continue
		}
		if versions[i].Removed {
			return nil, nil
		}
		return &versions[i], nil
	}
	return nil, nil
}

// existed tells whether a file was below a directory at a time.
func (v *view) existed(dir string, at time.Time, f freshness) (bool, error) {
	names, err := v.names(dir, f)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if !name.File {
			continue
		}
		if version, err := v.versionAt(join(dir, name.Name), at, f); version != nil || err != nil {
			return true, err
		}
	}
	for _, name := range names {
		if !name.Dir {
			continue
		}
		if ok, err := v.existed(join(dir, name.Name), at, f); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// list is everything in a directory of the view, without repeating a name: a
// version gives way to a file that happens to be called like it.
func (v *view) list(n *viewNode) ([]viewEntry, error) {
	var entries []viewEntry
	taken := map[string]bool{}
	if n.kind == viewHistory || n.kind == viewAt {
		names, err := v.names(n.path, fresh)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			f, err := v.shown(n, name, cachedOK)
			if errors.Is(err, syscall.ENOENT) {
				continue
			}
			if err != nil {
				return nil, err
			}
			entries = append(entries, viewEntry{name.Name, f})
			taken[name.Name] = true
		}
	}
	files, err := v.filesIn(n, "", fresh)
	if err != nil {
		return nil, err
	}
	for _, e := range files {
		if !taken[e.name] {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// filesIn is what is in a directory of the view beside the names of the tree.
// With a name only those that may have it need to be there.
func (v *view) filesIn(n *viewNode, name string, f freshness) ([]viewEntry, error) {
	switch n.kind {
	case viewTop:
		return []viewEntry{
			{"at", viewFile{kind: viewTimes, hasDir: true}},
			{"history", viewFile{kind: viewHistory, hasDir: true}},
			{"rejected", viewFile{kind: viewRejected, hasDir: true}},
		}, nil
	case viewHistory:
		if n.hasFile {
			return v.versionsIn(n, name, f)
		}
	case viewRejected:
		return v.rejectedIn(n, f)
	}
	return nil, nil
}

// versionsIn is the versions of a file as files.
func (v *view) versionsIn(n *viewNode, name string, f freshness) ([]viewEntry, error) {
	versions, err := v.versions(n.path, f)
	if err != nil {
		return nil, err
	}
	if name != "" {
		entries := versionFiles(n.path, sameMoment(versions, name))
		if slices.ContainsFunc(entries, func(e viewEntry) bool { return e.name == name }) {
			return entries, nil
		}
	}
	return versionFiles(n.path, versions), nil
}

// versionFiles is versions of a path as files.
func versionFiles(path string, versions []PastVersion) []viewEntry {
	entries := make([]viewEntry, 0, len(versions))
	ext := extension(path)
	for i := range versions {
		if ver := &versions[i]; !ver.Removed {
			entries = append(entries, viewEntry{
				ver.Time.UTC().Format(viewStamp) + ver.Number + ext,
				viewFile{kind: viewVersion, path: path, version: ver},
			})
		}
	}
	return entries
}

// sameMoment is the versions of the time that a name begins with. Where the
// clock went back once it may miss some.
func sameMoment(versions []PastVersion, name string) []PastVersion {
	at, err := time.Parse(viewStamp, name[:min(len(name), len(viewStamp))])
	if err != nil {
		return nil
	}
	byTime := func(v PastVersion, t time.Time) int { return v.Time.Compare(t) }
	first, _ := slices.BinarySearchFunc(versions, at, byTime)
	end, _ := slices.BinarySearchFunc(versions, at.Add(time.Millisecond), byTime)
	return versions[first:max(first, end)]
}

// extension is the ending of a name that programs know the format by.
func extension(name string) string {
	base := strings.TrimLeft(path.Base(name), ".")
	if ext := path.Ext(base); len(ext) <= 16 {
		return ext
	}
	return ""
}

// rejectedIn is the directories that lead to refused contents, and for a file
// that has some these and their notes.
func (v *view) rejectedIn(n *viewNode, f freshness) ([]viewEntry, error) {
	refusals, err := v.refusals(f)
	if err != nil {
		return nil, err
	}
	var entries []viewEntry
	dirs := map[string]int{}
	for i := range refusals {
		r := &refusals[i]
		if r.Path == n.path {
			base, ext := r.Time.UTC().Format(viewStamp)+r.Number, extension(r.Path)
			entries = append(entries,
				viewEntry{base + ext, viewFile{kind: viewRefusal, path: n.path, refusal: r}},
				viewEntry{base + ".note.json", viewFile{kind: viewNote, path: n.path, refusal: r}})
			continue
		}
		rest, ok := strings.CutPrefix(r.Path, n.path+"/")
		if n.path == "" {
			rest, ok = r.Path, true
		}
		if !ok {
			continue
		}
		name, below, _ := strings.Cut(rest, "/")
		at, known := dirs[name]
		if !known {
			at = len(entries)
			dirs[name] = at
			entries = append(entries, viewEntry{name, viewFile{kind: viewRejected, path: join(n.path, name)}})
		}
		entries[at].hasDir = entries[at].hasDir || below != ""
		entries[at].hasFile = entries[at].hasFile || below == ""
	}
	return entries, nil
}

// names, versions and refusals ask what is kept, or tell what was kept a
// moment ago.

func (v *view) names(dir string, f freshness) ([]PastName, error) {
	return recall(v, &v.knownNames, dir, f, func() ([]PastName, error) { return v.past.Names(v.s.ctx, dir) })
}

func (v *view) versions(path string, f freshness) ([]PastVersion, error) {
	return recall(v, &v.knownVersions, path, f, func() ([]PastVersion, error) { return v.past.Versions(v.s.ctx, path) })
}

func (v *view) refusals(f freshness) ([]PastRefusal, error) {
	return recall(v, &v.knownRefusals, "", f, func() ([]PastRefusal, error) { return v.past.Refused(v.s.ctx) })
}

const (
	memoHolds = time.Second
	memoSize  = 32 // lists
)

// memo is the lists that were asked for last.
type memo[T any] struct {
	mu    sync.Mutex // guards lists
	lists map[string]memoList[T]
}

type memoList[T any] struct {
	list []T
	read time.Time
}

func recall[T any](v *view, m *memo[T], key string, f freshness, read func() ([]T, error)) ([]T, error) {
	now := v.s.now()
	m.mu.Lock()
	known, ok := m.lists[key]
	m.mu.Unlock()
	if age := now.Sub(known.read); ok && f == cachedOK && age >= 0 && age < memoHolds {
		return known.list, nil
	}
	list, err := read()
	if err != nil {
		return nil, v.failed(err, "read", key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lists == nil || len(m.lists) >= memoSize {
		m.lists = map[string]memoList[T]{}
	}
	m.lists[key] = memoList[T]{list, now}
	return list, nil
}
