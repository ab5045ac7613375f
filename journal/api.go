package journal

import (
	"context"
	"io"
	"log/slog"
	"time"

	"intactfs/journal/disk"
)

// TxID numbers commits. It grows with every commit in a data directory, and
// no number is used twice, whatever was published or restarted meanwhile.
// Zero is no transaction.
type TxID uint64

// Durability is what a Commit that returned nil survives.
type Durability int

const (
	// Full commits survive power loss.
	Full Durability = iota
	// Relaxed commits survive the end of the process; up to syncEvery of
	// them are lost with the power. Files are as whole as with Full.
	Relaxed
)

// Writer is who made a commit.
type Writer struct {
	PID     uint32
	UID     uint32
	Program string
}

// Put is a content to become the newest version of Path. The bytes are
// either Inline or in Stage; the caller changes neither after Commit began.
type Put struct {
	Path string
	// Links are the other names of the file, which get the version too.
	Links  []string
	Attr   disk.Attr
	Inline []byte
	// Stage is a name from NewStage whose file holds the complete content.
	// Commit syncs it, and owns it from its success on.
	Stage  string
	Size   int64 // bytes
	SHA256 [32]byte
	// CRC32C is the checksum (Castagnoli) of a staged content, if HasCRC;
	// without it Commit reads the stage to find out. It is what tells, after a
	// restart, that the stage still holds what was committed.
	CRC32C uint32
	HasCRC bool
	Base   TxID // version the writer started from; 0: none or unknown
	Who    Writer
	Note   string
}

// Version describes one committed content.
type Version struct {
	Tx     TxID
	Time   time.Time
	Path   string
	Links  []string // other names of the file, as hard links
	Size   int64
	SHA256 [32]byte
	Attr   disk.Attr
	Base   TxID
	Who    Writer
	Note   string
}

// Content is the immutable bytes of one version. It stays readable until it
// is closed, whatever is published or committed meanwhile.
type Content interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Kept is a version on its way into history. Content is valid during the
// call only.
type Kept struct {
	Version
	Content io.ReaderAt
}

// Preserver is the history. The journal calls it before it may forget; calls
// for different paths may come at the same time.
type Preserver interface {
	// Preserve files the versions, oldest first. They are durable when it
	// returns nil. A Tx it already has is skipped.
	Preserve(ctx context.Context, path string, versions []Kept) error
	// Adopt makes the backing file at path an entry of its own if the
	// newest entry is something else. No such file is not an error. After
	// a crash the newest entries may be versions that were preserved and
	// not yet published: a file that equals one shortly before them is
	// known, and needs no other entry.
	Adopt(ctx context.Context, path string) error
}

// Options tune a journal. The zero value of each field is its default.
type Options struct {
	Durability Durability
	// PublishDelay is how long after the first unpublished commit the
	// backing directory is brought up to date; default 2 s.
	PublishDelay time.Duration
	// SegmentSize is the size of new segments in bytes; default 16 MiB.
	SegmentSize int64
	// MaxInline is the largest content that travels inside a record, in
	// bytes; default 256 KiB, at most an eighth of a segment.
	MaxInline int64
	// MaxPending is how many bytes of unpublished contents make Commit
	// wait; default 256 MiB.
	MaxPending int64
	// Preserver keeps the versions; nil keeps none.
	Preserver Preserver
	// Now is the clock that versions are stamped with; default time.Now.
	Now func() time.Time
	// Rand makes the names of stages and the salts of segments; default
	// crypto/rand.
	Rand io.Reader
	// Log takes what no caller can be told; default: discarded.
	Log *slog.Logger
	// ReadOnly serves the pending versions and changes nothing at all on
	// the disk; damage is then not an error of Open, but in the Report.
	ReadOnly bool

	// Rescue keeps a whole content that a torn record at the end of the journal
	// names, and that nobody else will know of: see Torn. Open calls it before
	// it changes anything. nil keeps none.
	Rescue func(v Version, content io.ReaderAt) error

	// Manual starts no goroutine: nothing is published but by Checkpoint,
	// Settle, Close, and by a Commit that finds the journal full. Tests use
	// it, so that the n-th disk operation is the same in every run.
	Manual bool
}

// Report tells what Open found.
type Report struct {
	Segments  int      // segments with live records
	Records   int      // commit records replayed
	Pending   int      // versions not yet published
	TornBytes int64    // length of an unacknowledged end that was dropped
	Torn      []Torn   // the records in it, as far as they can be made out
	Orphans   int      // stages of unfinished transactions that were removed
	Damage    []Damage // what ErrDamaged is about
}

// Stats is a snapshot of counters since Open, and of the present load.
type Stats struct {
	Commits        uint64
	Batches        uint64 // writes of the segment that carried commits
	Syncs          uint64 // syncs of segments
	Published      uint64 // files replaced in the backing directory
	Coalesced      uint64 // versions that went to history only
	Stranded       uint64 // versions whose target could not be replaced, in history only
	PublishErrors  uint64 // attempts that failed and are tried again
	Pending        int    // versions not yet published
	PendingPaths   int
	WaitingPaths   int   // those of them whose appends wait for company
	PendingBytes   int64 // their contents
	MemoryBytes    int64 // the part of them held in memory
	Segments       int
	LastTx         TxID
	OldestPending  time.Time // zero if none
	PublishFailing error     // why the last round could not publish; nil if it could
	Stopped        error     // what stopped the journal; nil if nothing did
}

// CheckReport tells what Check found.
type CheckReport struct {
	Segments  int
	Records   int   // live commit records
	Pending   int   // versions not yet published
	Verified  int64 // bytes of pending contents whose SHA-256 was compared
	TornBytes int64
	Torn      []Torn
	Damage    []Damage
}
