// Package stage holds the bytes of one open transaction: what a program has
// written through a handle and nobody else may see yet.
//
// A stage starts empty, or from a base that is copied lazily. Its own bytes
// are a prefix [0, w) of the content; the base, while it lasts, supplies
// [w, limit) at the same offsets. A write moves w forward and copies only
// what it skips, a truncation lowers limit, so that a program that rewrites
// its whole file and then cuts it never pays for the copy.
//
// Own bytes live in memory up to Options.MemoryLimit and in a private file
// beyond. A digest (a validator, CRC-32C and, up to 1 MiB, SHA-256) follows
// sequential writes from a goroutine of its own, at most maxLag bytes behind; checkpoints of it let
// an append or a rewritten tail resume instead of start over. Judge digests
// what is left and gives the verdict.
//
// Life of a stage:
//
//	open --Seal--> sealed --Committed--> open, clean, based on the commit
//	               sealed --Unseal-----> open, as before
//	any  --Salvage--> gone, bytes handed over for quarantine
//	any  --Discard--> gone
//
// A write or truncation that failed poisons the stage for good: from then on
// every change, Judge and Seal fail with ErrPoisoned and the first cause.
//
// All methods may be called from several goroutines. No method retains the
// caller's buffer.
package stage

import (
	"errors"
	"io"
)

// Errors of a stage; each is wrapped with its cause, if it has one.
var (
	// ErrPoisoned is returned by everything that would change, judge or
	// seal a stage after one of its changes failed.
	ErrPoisoned = errors.New("stage is poisoned by a failed write")
	// ErrSealed is returned by a change while a commit holds the content.
	ErrSealed = errors.New("stage is sealed")
	// ErrStale is returned by Seal if the content changed after the Result.
	ErrStale = errors.New("stage changed since it was judged")
	// ErrGone is returned after Salvage or Discard.
	ErrGone = errors.New("stage is gone")
)

// Verdict is what a validator knows of the bytes so far.
type Verdict int

// The verdicts.
const (
	Unfinished Verdict = iota // a valid start, not a whole document; empty is unfinished
	Whole                     // a whole and valid document
	Invalid                   // no continuation makes it valid
)

// Fault is where and why a content is not valid.
type Fault struct {
	Reason string
	Line   int64 // 1-based
	Column int64 // 1-based, in bytes
	Offset int64 // 0-based, in bytes
}

// Validator judges bytes that arrive in order. It is used by one goroutine at
// a time; a clone is independent of its origin.
type Validator interface {
	Write(p []byte)
	Verdict() Verdict
	Fault() *Fault
	Proven() bool
	Clone() Validator
}

// Deferred is a Validator that judges whole documents: what it answers costs as
// much as all bytes so far. While AtEnd is true it is asked for a verdict once,
// at the end, and no checkpoints are kept of it.
type Deferred interface {
	Validator
	AtEnd() bool
}

// File is a private file for a content that outgrew memory.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes the bytes durable.
	Sync() error
	// StartWriteback asks the kernel to begin writing a range out; it waits
	// for nothing and may do nothing.
	StartWriteback(off, n int64)
}

// Options is what a stage needs from outside.
type Options struct {
	// NewFile makes a private file, empty.
	NewFile func() (File, error)
	// DiscardFile closes and removes a file from NewFile that was not
	// handed over. It is called without locks held.
	DiscardFile func(File)
	// NewValidator starts judging an empty document. Without it every
	// content is whole and proves nothing.
	NewValidator func() Validator
	// MemoryLimit is the size in bytes up to which a content stays in
	// memory; 0 means DefaultMemoryLimit.
	MemoryLimit int64
}

// DefaultMemoryLimit is the largest content that stays in memory, in bytes.
const DefaultMemoryLimit = 256 << 10

// Base is the content a stage starts from. It must not change; whoever made
// the stage closes it, after the stage is gone or has got another base.
type Base struct {
	Content io.ReaderAt
	Size    int64
	// Resume, if not nil, is the Resume of the Sealed that is this content:
	// appends then digest only what they add.
	Resume *Resume
}

// Result is what Judge found out about the content at one moment.
type Result struct {
	Verdict Verdict
	// Fault explains every verdict but Whole.
	Fault  *Fault
	SHA256 [32]byte // zero for Invalid content and above 1 MiB
	Size   int64
	// CRC32C is the checksum (Castagnoli) of the content, if HasCRC: Invalid
	// content may not have been read to its end.
	CRC32C uint32
	HasCRC bool
	// Proven says that this whole document can't be the torn start of a
	// longer one.
	Proven bool

	gen uint64 // the change the result was computed after
}

// Sealed is a content that can no longer change. Exactly one of Inline and
// File holds it; an empty content is inline with a nil or empty slice.
type Sealed struct {
	Inline []byte
	File   File
	Size   int64
	SHA256 [32]byte // zero above 1 MiB
	CRC32C uint32   // of the content, if HasCRC
	HasCRC bool
	Resume *Resume
}
