// Package disk is the only way the journal, the history and the quarantine
// reach a file: the few operations they need, as an interface, so that the
// same code runs on a real directory and on a memory twin that can crash and
// fail at every step (package disktest).
//
// Names are slash-separated, relative to the root of the disk, and never
// contain "..", empty elements or symbolic links: an implementation refuses
// to follow one. Sizes and offsets are bytes. Every operation that changes
// something takes the label of the step it belongs to ("commit:append"),
// which names it in errors and lets a test break exactly that one.
//
// Errors wrap the syscall.Errno of the operation. All methods may be called
// from several goroutines.
package disk

import (
	"io"
	iofs "io/fs"
	"time"
)

// A Step labels a changing operation, as "subject:operation".
type Step string

// Attr is what a replaced file must keep: the metadata that belongs to the
// name rather than to the bytes.
type Attr struct {
	Mode   uint32 // permission, setuid, setgid and sticky bits, as in st_mode & 07777
	UID    uint32
	GID    uint32
	Atime  time.Time
	Mtime  time.Time
	Xattrs map[string][]byte // all of them, ACLs and security labels included
}

// Info is what Stat and ReadDir tell of a name.
type Info struct {
	Size  int64
	Mode  iofs.FileMode // type and permission bits
	Mtime time.Time
	Ctime time.Time
	Ino   uint64
	Dev   uint64
	Nlink uint64
	UID   uint32
	GID   uint32
}

// DirEntry is a name in a directory and its type.
type DirEntry struct {
	Name string
	Type iofs.FileMode // type bits only
}

// File is an open file. ReadAt and WriteAt follow io.ReaderAt and
// io.WriterAt; a short write is an error.
type File interface {
	io.ReaderAt
	WriteAt(step Step, p []byte, off int64) (int, error)
	// Sync makes the file's bytes and the metadata needed to read them
	// durable. After an error nothing of the file may be trusted and Sync
	// must not be called again.
	Sync(step Step) error
	Truncate(step Step, size int64) error
	// Allocate reserves space so that later writes below size can't meet
	// ENOSPC, and extends the file to size with zeros.
	Allocate(step Step, size int64) error
	// SetAttr applies a, replacing all extended attributes.
	SetAttr(step Step, a Attr) error
	// Attr reads what SetAttr sets.
	Attr() (Attr, error)
	Stat() (Info, error)
	Close() error
}

// Cloner is a File that can take the bytes of another without moving them
// through this process; the file system may let the two share their blocks.
type Cloner interface {
	// CloneFrom makes the first size bytes of src the content of the file,
	// which is empty. errors.ErrUnsupported tells that nothing was done
	// and never will be, between these two; any other error may leave a
	// part.
	CloneFrom(step Step, src File, size int64) error
}

// Disk is a directory tree.
type Disk interface {
	// Create makes a new file for reading and writing; EEXIST if the name
	// is taken.
	Create(step Step, name string, perm uint32) (File, error)
	// Open opens an existing regular file for reading.
	Open(name string) (File, error)
	// OpenWrite opens an existing regular file for reading and writing.
	OpenWrite(step Step, name string) (File, error)
	// Rename replaces newName in one step, as rename(2) does.
	Rename(step Step, oldName, newName string) error
	// Link gives the file a second name; EEXIST if newName is taken.
	Link(step Step, oldName, newName string) error
	Remove(step Step, name string) error
	// MkdirAll makes the directory and its parents. It does not sync them.
	MkdirAll(step Step, name string, perm uint32) error
	// SyncDir makes the entries of the directory durable. The rule of
	// File.Sync about errors holds.
	SyncDir(step Step, name string) error
	ReadDir(name string) ([]DirEntry, error)
	// Stat does not follow a symbolic link at the last element.
	Stat(name string) (Info, error)
	// Free is the space, in bytes, that an unprivileged user could still
	// write.
	Free() (int64, error)
}
