package backup

import (
	"io"
	"time"

	"intactfs/journal/disk"
)

// An Item is a version to be kept.
type Item struct {
	Tx     uint64    // never 0, unique within the path, grows with every commit
	Time   time.Time // of the commit
	Size   int64     // of Content
	SHA256 [32]byte  // of Content; Add refuses an item that doesn't match
	// Attr is kept as given, except Atime: it reads back as Mtime.
	Attr    disk.Attr
	Base    uint64 // the version it was derived from; 0 if not known
	PID     uint32
	UID     uint32 // of the writing process, not of the file
	Program string
	Note    string
	// Invalid marks content that its rule calls invalid. It is kept, but
	// is never taken for the last known good version.
	Invalid bool
	Content io.ReaderAt
}

// An Entry is a version in history, or the tombstone that ended one.
type Entry struct {
	Tx      uint64
	Time    time.Time
	Size    int64
	SHA256  [32]byte
	Attr    disk.Attr
	Base    uint64 // Item.Base
	PID     uint32
	UID     uint32
	Program string
	Note    string
	Invalid bool
	// Removed marks a tombstone. It has no content, and its Tx is that of
	// the version it ended, after which it sorts.
	Removed bool
	Pinned  bool

	Stored    int64  // bytes the entry takes in its pack
	DeltaBase uint64 // Tx of the entry its content is a delta against; 0: whole
	Pack      string // disk name of the pack
	Offset    int64  // of the entry in the pack
}

// A Writer is who changed a file.
type Writer struct {
	PID     uint32
	UID     uint32
	Program string
}

// Content is an open version. Its bytes were verified against the entry's
// SHA-256 before the first of them was handed out.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// A Name is an element of a directory as history knows it. File and Dir may
// both be set: a name can have been one and the other.
type Name struct {
	Name string
	File bool
	Dir  bool
}
