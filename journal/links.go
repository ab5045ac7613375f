package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// A file with several names is committed to one of them, its path. The version
// carries the others, its links; publishing gives all of them the new inode, and
// files the version in the history of each. While it is pending all names find
// it. A crash between two of the names leaves whole files, some of them older,
// and recovery publishes the version once more.

// linked says of a name whose version it has.
type linked struct {
	path     string
	versions int // that have the name
}

// checkNames accepts a path and its links: each can name a file, none comes
// twice, and together they fit in a record.
func checkNames(path string, links []string) error {
	for i, name := range append([]string{path}, links...) {
		if err := checkPath(name); err != nil {
			return err
		}
		if i > 0 && (name == path || slices.Contains(links[:i-1], name)) {
			return fmt.Errorf("name %q twice: %w", name, syscall.EINVAL)
		}
	}
	if len(joinNames(path, links)) > maxString {
		return fmt.Errorf("%d names: %w", 1+len(links), ErrTooLarge)
	}
	return nil
}

// joinNames is a path and its links in one string. No name has a zero byte.
func joinNames(path string, links []string) string {
	if len(links) == 0 {
		return path
	}
	return path + "\x00" + strings.Join(links, "\x00")
}

func splitNames(s string) (path string, links []string) {
	path, rest, several := strings.Cut(s, "\x00")
	if several {
		links = strings.Split(rest, "\x00")
	}
	return path, links
}

// find is the newest pending version of a file by any of its names; nil if
// there is none.
func (x *index) find(name string) *version {
	if v := x.newest(name); v != nil {
		return v
	}
	return x.newest(x.links[name].path)
}

// link notes the other names of a version that came to the index.
func (x *index) link(v *version) {
	for _, name := range v.Links {
		l := x.links[name]
		if l.versions == 0 {
			x.enter(name, +1)
		}
		x.links[name] = linked{v.Path, l.versions + 1}
	}
}

// unlink takes back what link noted.
func (x *index) unlink(v *version) {
	for _, name := range v.Links {
		l := x.links[name]
		if l.versions--; l.versions > 0 {
			x.links[name] = l
			continue
		}
		delete(x.links, name)
		x.enter(name, -1)
	}
}

// tangled is a pending path that a version with these names must not come
// beside: a name of the one is a name of the other, and they don't have the same
// path, or the one has names that the other doesn't. Published one after the other
// in the wrong order, or together, a name would get the older, or none.
func (x *index) tangled(path string, links []string) (string, bool) {
	if l, ok := x.links[path]; ok {
		return l.path, true
	}
	if v := x.newest(path); v != nil && !sameNames(v.Links, links) {
		return path, true
	}
	for _, name := range links {
		if x.newest(name) != nil {
			return name, true
		}
		if l, ok := x.links[name]; ok && l.path != path {
			return l.path, true
		}
	}
	return "", false
}

// sameNames tells whether two lists without repetition have the same names.
func sameNames(a, b []string) bool {
	if slices.Equal(a, b) { // as ever, and there may be a thousand
		return true
	}
	return len(a) == len(b) && !slices.ContainsFunc(a, func(name string) bool { return !slices.Contains(b, name) })
}

// tangledError says what has to be published before a version can be committed.
type tangledError struct{ path string }

func (e *tangledError) Error() string { return "pending under another name: " + e.path }

// submitVersion submits a new version, after what is pending of its file under
// another path.
func (j *Journal) submitVersion(ctx context.Context, r *request) error {
	for {
		err := j.submit(r)
		var tangled *tangledError
		if !errors.As(err, &tangled) {
			return err
		}
		if err := j.Settle(ctx, tangled.path); err != nil {
			return err
		}
	}
}

// awaitTurn waits until nothing is on its way into the journal that the new
// version v is tangled with or, as an append, goes on from, and then looks at what
// is in the index. The caller holds mu, and queues v before it gives it back.
func (j *Journal) awaitTurn(v *version) error {
	for j.tangledOnItsWay(v) || v.appended && j.onItsWay(v.Path) {
		j.settled.Wait()
	}
	if err := j.usable(); err != nil {
		return err
	}
	if path, tangled := j.index.tangled(v.Path, v.Links); tangled {
		return &tangledError{path}
	}
	if v.appended {
		return j.checkBase(v)
	}
	return nil
}

func (j *Journal) tangledOnItsWay(v *version) bool {
	for _, list := range [][]*request{j.queue, j.writing} {
		for _, r := range list {
			if r.version != nil && v.tangledWith(r.version) {
				return true
			}
		}
	}
	return false
}

func (v *version) tangledWith(o *version) bool {
	if len(v.Links)+len(o.Links) == 0 {
		return false
	}
	if v.Path == o.Path {
		return !sameNames(v.Links, o.Links)
	}
	return slices.Contains(v.Links, o.Path) || slices.Contains(o.Links, v.Path) ||
		slices.ContainsFunc(v.Links, func(name string) bool { return slices.Contains(o.Links, name) })
}

// names are all names of the file that w publishes.
func (w *job) names() []string { return append([]string{w.path}, w.newest().Links...) }

// putLinks gives the other names of a published file its new inode. What has
// such a name and can't be replaced stays, and is told of: the version is in
// the history of the name.
func (j *Journal) putLinks(w *job) error {
	if len(w.newest().Links) == 0 {
		return nil
	}
	now, err := j.d.Stat(w.path)
	if err != nil {
		return err
	}
	for _, name := range w.newest().Links {
		info, err := j.d.Stat(name)
		switch {
		case err == nil && info.Ino == now.Ino && info.Dev == now.Dev:
			w.linked = append(w.linked, name) // before a crash
			continue
		case err == nil && !info.Mode.IsRegular():
			err = fmt.Errorf("not a regular file (%v): %w", info.Mode.Type(), syscall.EINVAL)
		case err == nil, errors.Is(err, syscall.ENOENT):
			if err = j.putLink(w, name); err != nil && !hopeless(err) {
				return fmt.Errorf("link to %s: %w", name, err)
			}
		case !hopeless(err):
			return err
		}
		if err != nil {
			j.o.Log.Error("a hard link does not get a new version, which is in its history: it can't be replaced",
				"path", name, "link of", w.path, "tx", w.newest().Tx, "error", err)
			continue
		}
		w.linked = append(w.linked, name)
	}
	return nil
}

// putLink gives one other name the inode of the path, or a copy where the file
// system has no more links.
func (j *Journal) putLink(w *job, name string) error {
	temp, err := uniqueName(temporaryPrefix, w.newest().Tx, j.o.Rand)
	if err != nil {
		return err
	}
	err = j.d.Link("publish:link", w.path, temp)
	if noLinks(err) {
		temp, err = j.prepare(w.newest())
	}
	if err == nil {
		err = j.holdOld(w, name)
	}
	if err == nil {
		err = j.rename(temp, name)
	}
	if err != nil {
		j.abandon(temp)
	}
	return err
}
