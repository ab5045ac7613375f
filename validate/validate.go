package validate

import "fmt"

// DefaultMaxDepth is how deep arrays and objects may nest when
// [Options.MaxDepth] is zero. It is the limit of encoding/json.
const DefaultMaxDepth = 10000

// Options chooses what counts as valid. The zero value is tolerant JSON.
type Options struct {
	// Strict refuses NaN, Infinity, -Infinity and a byte order mark.
	Strict bool
	// Comments accepts // and /* */ comments wherever white space may be,
	// and a comma after the last member of an object or array.
	Comments bool
	// MaxDepth bounds the nesting of arrays and objects. Zero or less means
	// DefaultMaxDepth.
	MaxDepth int
}

// maxDepth is MaxDepth with its default.
func (o Options) maxDepth() int {
	if o.MaxDepth <= 0 {
		return DefaultMaxDepth
	}
	return o.MaxDepth
}

// Verdict is what a Checker knows of the bytes so far.
type Verdict int

// The verdicts. Only Invalid is final.
const (
	Unfinished Verdict = iota // a valid start, not a whole document
	Whole                     // a whole and valid document
	Invalid                   // no continuation makes it valid
)

// String names the verdict in one lower-case word.
func (v Verdict) String() string {
	switch v {
	case Unfinished:
		return "unfinished"
	case Whole:
		return "whole"
	case Invalid:
		return "invalid"
	}
	return fmt.Sprintf("verdict(%d)", int(v))
}

// Error says where and why a document is not whole and valid.
type Error struct {
	Reason string // one line for a person, lower case
	Line   int64  // from 1
	Column int64  // from 1, in bytes
	Offset int64  // from 0, in bytes
}

// Error is the place and the reason in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Checker judges one document as its bytes arrive. It belongs to one
// goroutine at a time.
type Checker interface {
	// Write takes the next bytes. It returns len(p) and nil always, so that
	// a Checker can stand behind io.Copy and io.MultiWriter; bytes after an
	// invalid one are ignored. It does not keep p.
	Write(p []byte) (int, error)
	// Verdict judges the bytes written so far.
	Verdict() Verdict
	// Err explains Invalid, and Unfinished as if the document ended here.
	// It is nil for Whole: compare the pointer before making it an error.
	Err() *Error
	// Proven says that the document is Whole and can't be the torn start of
	// a longer one.
	Proven() bool
	// Clone returns an independent Checker that goes on from the same place.
	Clone() Checker
}

// Deferred is a Checker of which every answer may cost as much as all bytes so
// far: it judges documents, not bytes as they arrive. Its Invalid is not final.
type Deferred interface {
	Checker
	// AtEnd says that it is better asked at the end alone, and not cloned to
	// be kept.
	AtEnd() bool
}

// AtEnd tells whether a Checker is better asked at the end alone.
func AtEnd(c Checker) bool {
	d, ok := c.(Deferred)
	return ok && d.AtEnd()
}

// Opaque returns a Checker to which everything is Whole, also nothing at
// all, and nothing proven.
func Opaque() Checker { return opaque{} }

type opaque struct{}

func (opaque) Write(p []byte) (int, error) { return len(p), nil }
func (opaque) Verdict() Verdict            { return Whole }
func (opaque) Err() *Error                 { return nil }
func (opaque) Proven() bool                { return false }
func (opaque) Clone() Checker              { return opaque{} }
