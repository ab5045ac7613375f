package backup

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Where history and quarantine lie on the disk.
const (
	historyRoot    = ".intact/history"
	quarantineRoot = ".intact/quarantine"
)

// A layout maps the paths of files to directories of their own. The
// directory of file "a/b" is "<root>/a/b<leaf>", so that it can lie beside
// the directory of files below "a/b/". Two more rules keep the mapping
// one-to-one and every element within NAME_MAX:
//
//   - a directory element that itself ends in leaf or in ".more", with any
//     number of "=" behind, gets one "=" more
//   - an element longer than maxElement is cut in two, and ".more" marks
//     the first half
type layout struct {
	root string
	leaf string
}

const (
	moreSuffix = ".more"
	maxElement = 240 // bytes
	cutElement = 200
)

var (
	historyLayout    = layout{historyRoot, ".versions"}
	quarantineLayout = layout{quarantineRoot, ".refused"}
)

// checkPath returns ErrBadPath unless path is relative, clean and not empty.
func checkPath(path string) error {
	if path == "" || strings.ContainsRune(path, 0) {
		return fmt.Errorf("%w: %q", ErrBadPath, path)
	}
	for _, e := range strings.Split(path, "/") {
		if e == "" || e == "." || e == ".." {
			return fmt.Errorf("%w: %q", ErrBadPath, path)
		}
	}
	return nil
}

// file returns the directory that belongs to the file at path.
func (l layout) file(path string) string {
	dir, name := splitPath(path)
	return l.dir(dir) + "/" + cut(name) + l.leaf
}

// dir returns the directory that holds what is below the directory at path;
// "" is the root.
func (l layout) dir(path string) string {
	if path == "" {
		return l.root
	}
	parts := strings.Split(path, "/")
	for i, e := range parts {
		if l.reserved(e) {
			e += "="
		}
		parts[i] = cut(e)
	}
	return l.root + "/" + strings.Join(parts, "/")
}

func (l layout) reserved(e string) bool {
	e = strings.TrimRight(e, "=")
	return strings.HasSuffix(e, l.leaf) || strings.HasSuffix(e, moreSuffix)
}

// cut splits an element that would not leave room for a suffix, between two
// characters: some file systems insist on whole ones.
func cut(e string) string {
	if len(e) <= maxElement {
		return e
	}
	at := cutElement
	for at > cutElement-utf8.UTFMax && !utf8.RuneStart(e[at]) {
		at--
	}
	return e[:at] + moreSuffix + "/" + e[at:]
}

// An element is what a name found on disk stands for.
type element struct {
	name string
	kind elementKind
}

type elementKind int

const (
	dirElement  elementKind = iota
	fileElement             // the directory of a file
	moreElement             // the first half of a long name
)

// parse undoes file and dir for one element on disk. before is what halves
// of a long name preceded it.
func (l layout) parse(before, disk string) element {
	switch {
	case strings.HasSuffix(disk, l.leaf):
		return element{before + strings.TrimSuffix(disk, l.leaf), fileElement}
	case strings.HasSuffix(disk, moreSuffix):
		return element{before + strings.TrimSuffix(disk, moreSuffix), moreElement}
	}
	name := before + disk
	if strings.HasSuffix(name, "=") && l.reserved(name) {
		name = name[:len(name)-1]
	}
	return element{name, dirElement}
}

func splitPath(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

func joinPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
