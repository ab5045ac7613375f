package fs

import (
	"context"
	"time"
)

// Past is what was: the versions in history and the refused contents, for the
// read-only view of them below .intact in the root of a mount. Paths are as in
// Store; "" is the root. All methods may be called from several goroutines.
type Past interface {
	// Names lists, sorted, the names directly below dir at which versions
	// are kept, or below which they are.
	Names(ctx context.Context, dir string) ([]PastName, error)
	// Versions lists what is kept of path, oldest first, the newest
	// committed version included. Nothing kept is no error.
	Versions(ctx context.Context, path string) ([]PastVersion, error)
	// Open opens a version. Its bytes were verified before it returns. An
	// error wraps io/fs.ErrNotExist if the version is kept no longer.
	Open(ctx context.Context, path string, tx uint64) (Content, error)
	// Refused lists all refused contents, oldest first.
	Refused(ctx context.Context) ([]PastRefusal, error)
	// OpenRefused opens one of them by its ID, as Open does.
	OpenRefused(ctx context.Context, id string) (Content, error)
}

// PastName is a name in a directory as history knows it. File and Dir may
// both be set: a name can have been one and then the other.
type PastName struct {
	Name string
	File bool
	Dir  bool
}

// PastVersion is one version of a path, or the end of one by removal.
type PastVersion struct {
	Tx      uint64
	Number  string    // what people call it; unique within the path
	Time    time.Time // of the commit or the removal
	Size    int64
	Attr    Attr
	Removed bool // no content: the file was removed at Time
}

// PastRefusal is one refused content.
type PastRefusal struct {
	ID     string
	Path   string
	Number string    // digits that are unique within the path
	Time   time.Time // when it was refused first
	Last   time.Time // when it was refused last
	Size   int64     // of what is kept of it
	UID    uint32    // who wrote it
	Note   []byte    // who, when, where and why, as JSON
}
