package fs

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store is where committed versions go and come from. Paths are
// slash-separated and relative to the mount, without a leading slash. All
// methods may be called from several goroutines.
type Store interface {
	// Pending is the newest committed version of path while the backing
	// directory does not hold it yet; false if the backing file, or its
	// absence, is the newest.
	Pending(path string) (Version, bool)
	// OpenPending opens what Pending tells, as one step. The content stays
	// readable after it was checkpointed and replaced.
	OpenPending(path string) (Version, Content, bool, error)
	// PendingNames lists the names directly below dir that only the journal
	// holds: nothing, or an older version, is in the backing directory.
	PendingNames(dir string) []string

	// Links lists the other names that the file beneath path has, below the
	// same directory and protected by the same rule. known are some of its
	// names, path among them: it looks at all of the directory if the file has
	// more. all tells whether these and known are all that the file has; names
	// of the store's own don't count.
	Links(ctx context.Context, path string, known []string) (links []string, all bool, err error)

	// NewStage makes a private file for a content that outgrew memory. The
	// caller closes it; Commit takes it over, Discard removes it.
	NewStage() (Stage, error)
	// Discard removes a stage that was not committed.
	Discard(Stage)

	// Commit makes the content the newest version of the path. When it
	// returns nil the version is visible through Pending and, in full
	// durability, survives power loss. On an error the previous version
	// stands. ENOSPC and EIO come through as they are.
	Commit(ctx context.Context, c Commit) (Version, error)
	// Append makes the newest version with bytes behind it the newest
	// version, as Commit does. What it costs follows the bytes. It returns
	// ErrMoved if the base is no longer the newest version: look again and
	// repeat; ErrTooLong if the bytes are more than an append can carry.
	Append(ctx context.Context, a Append) (Version, error)
	// Refuse keeps a content that must not be committed in quarantine, and
	// says so once in the log, kept or not.
	Refuse(ctx context.Context, r Refusal) error
	// Sync makes every commit so far durable, whatever the durability.
	Sync(ctx context.Context) error

	// Settle brings the backing directory up to date for path, and for all
	// below it, and files its newest version in history. When it returns
	// nil the journal holds nothing for those names, so that they can be
	// removed or renamed beneath.
	Settle(ctx context.Context, path string) error
	// Adopt reads the backing file of path and files it in history if the
	// newest entry there is something else: a file that came to its name
	// without a commit. No file at path is not an error.
	Adopt(ctx context.Context, path string) error
	// Moved tells that a path, or a directory with all below it, now has
	// another name: history follows. Call it after the rename.
	Moved(oldPath, newPath string) error
	// Removed tells that a protected path was unlinked or renamed away.
	Removed(path string, who Writer) error

	// Collided counts and reports that a commit replaced a version its
	// writer had not seen.
	Collided(path string, base, lost Version, who Writer)
}

// Version identifies one committed content of a path.
type Version struct {
	Tx     uint64 // grows with every commit in a directory; 0: never committed here
	Size   int64
	SHA256 [32]byte
	Time   time.Time
	Attr   Attr
	Names  []string // all names of the file, if it is pending and has several
}

// Attr is the metadata that belongs to the name and survives a commit.
type Attr struct {
	Mode   uint32 // st_mode & 07777
	UID    uint32
	GID    uint32
	Atime  time.Time
	Mtime  time.Time
	Xattrs map[string][]byte
}

// Content is the immutable bytes of one version.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Stage is a private file of an open transaction, in the staging directory.
type Stage interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes the bytes durable. After an error the stage is lost: it
	// can't be synced again or committed.
	Sync() error
	// StartWriteback asks the kernel to begin writing a range out, so that
	// Sync finds less to do. It waits for nothing and may do nothing.
	StartWriteback(off, n int64)
	Fd() int
}

// Commit is a content to become the newest version of Path. Exactly one of
// Inline and Stage holds the bytes; the caller changes neither afterwards.
// A zero SHA256 is computed when the version is published.
type Commit struct {
	Path   string
	Links  []string // other names of the file, which get the version too; see FitNames
	Attr   Attr
	Inline []byte
	Stage  Stage
	Size   int64
	SHA256 [32]byte
	// CRC32C is the checksum (Castagnoli) of the content, if HasCRC. Without,
	// the store reads a stage once more.
	CRC32C uint32
	HasCRC bool
	Base   uint64 // Tx of the version the writer started from; 0: none or unknown
	Who    Writer
	Note   string // why, when it was not a close: "fsync", "unlock", "idle", "rename from x", ...
}

// A version is for so many names at most, and for so many bytes of them with one
// between each and the next.
const (
	maxNames     = 1000
	maxNameBytes = 1<<16 - 1
)

// FitNames is how many names, from the first on, a version can be for.
func FitNames(names []string) int {
	bytes := -1
	for i, name := range names {
		if bytes += 1 + len(name); i == maxNames || bytes > maxNameBytes {
			return i
		}
	}
	return len(names)
}

// Append is bytes to follow the newest version of Path, which has Base as its
// number, 0 if that is not known, and BaseSize bytes. SHA256 is of the whole;
// zero: found out when it is published. The caller doesn't change Bytes
// afterwards.
type Append struct {
	Path     string
	Links    []string // other names of the file, which get the version too; see FitNames
	Attr     Attr
	Bytes    []byte
	Base     uint64
	BaseSize int64
	SHA256   [32]byte
	Who      Writer
	Note     string
}

// Errors of Store.Append.
var (
	ErrMoved   = errors.New("another version was committed meanwhile")
	ErrTooLong = errors.New("more bytes than an append can carry")
)

// Refusal is a content to keep in quarantine.
type Refusal struct {
	Path   string
	Inline []byte
	Stage  Stage
	Size   int64
	Attr   Attr
	Who    Writer
	Reason string // one line for a person
	Line   int64  // 1-based place of the fault; 0: no place
	Column int64
	Offset int64 // 0-based
}

// Writer is who made a change.
type Writer struct {
	PID     uint32 `json:"pid"` // thread group id; 0: unknown
	UID     uint32 `json:"uid"`
	Program string `json:"program"` // comm
}

// Rules says which paths are protected, and how their content is judged.
type Rules interface {
	// For returns nil for a path that no rule protects.
	For(path string) *Rule
}

// Rule is how one protected path is judged.
type Rule struct {
	// ID tells rules apart. Names that hard links make of one file belong
	// together if the same rule protects them.
	ID     int
	Format string // "json", "jsonl", ...
	// NewValidator starts judging an empty document.
	NewValidator func() Validator
	// Lines: the file is a sequence of lines that each stand alone, so
	// that O_APPEND adds to the newest version instead of replacing it.
	Lines bool
	// AllowEmpty lets an empty file replace a full one.
	AllowEmpty bool
	// RefuseConflict answers a commit whose base was replaced meanwhile
	// with ESTALE.
	RefuseConflict bool
}

// Verdict is what a validator knows of the bytes so far.
type Verdict int

// The verdicts.
const (
	Unfinished Verdict = iota // a valid start, not a whole document; empty is unfinished
	Whole                     // a whole and valid document
	Invalid                   // no continuation makes it valid
)

// Validator judges bytes that arrive in order. It belongs to one goroutine
// at a time.
type Validator interface {
	// Write takes the next bytes; it never fails.
	Write(p []byte)
	Verdict() Verdict
	// Fault explains Invalid, and Unfinished as if the document ended here;
	// nil for Whole.
	Fault() *Fault
	// Proven says that a whole document can't be the torn start of a longer
	// one: a closed JSON object or array, never a bare number or a line.
	Proven() bool
	// Clone returns an independent copy that judges on from the same place.
	Clone() Validator
}

// Deferred is a Validator that judges whole documents: what it answers costs as
// much as all bytes so far. While AtEnd is true it is asked at the end alone.
type Deferred interface {
	Validator
	AtEnd() bool
}

// Fault is where and why a content is not valid.
type Fault struct {
	Reason string
	Line   int64 // 1-based
	Column int64 // 1-based, in bytes
	Offset int64 // 0-based, in bytes
}
