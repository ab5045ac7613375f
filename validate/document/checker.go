package document

import (
	"bytes"
	"unicode/utf8"

	"intactfs/validate"
)

// MaxSize is the size in bytes of the largest document that is judged.
const MaxSize = 64 << 20

// A Judge says what is wrong with a whole document; nil if nothing is. It may
// be called by several goroutines, and does not keep the content.
type Judge func(content []byte) *validate.Error

// All is the judge that finds what the first of some others finds.
func All(judges ...Judge) Judge {
	return func(content []byte) *validate.Error {
		for _, j := range judges {
			if fault := j(content); fault != nil {
				return fault
			}
		}
		return nil
	}
}

// Options tell New about a Judge.
type Options struct {
	// Proven: what the judge finds valid can't be the start of a longer
	// document.
	Proven bool
	// First, if not nil, judges the bytes as they arrive; only what it finds
	// Whole is given to the Judge. It also says what is proven.
	First validate.Checker
}

// New returns a Checker that asks a Judge about the whole document.
func New(j Judge, o Options) validate.Checker {
	return &checker{judge: j, proven: o.Proven, first: o.First}
}

// checker keeps what arrives.
type checker struct {
	judge   Judge
	proven  bool
	first   validate.Checker // nil: none
	content []byte
	large   bool // beyond MaxSize: nothing is kept

	judged bool // fault is of all that was written
	fault  *validate.Error
}

var _ validate.Checker = (*checker)(nil)

// Write implements validate.Checker.
func (c *checker) Write(p []byte) (int, error) {
	c.judged = false
	if c.first != nil {
		_, _ = c.first.Write(p)
	}
	if c.large || len(c.content)+len(p) > MaxSize {
		c.large, c.content = true, nil
		return len(p), nil
	}
	c.content = append(c.content, p...)
	return len(p), nil
}

// AtEnd implements validate.Deferred.
func (c *checker) AtEnd() bool { return true }

// Verdict implements validate.Checker.
func (c *checker) Verdict() validate.Verdict {
	if c.first != nil && c.first.Verdict() != validate.Whole {
		return c.first.Verdict()
	}
	if c.Err() != nil {
		return validate.Invalid
	}
	return validate.Whole
}

// Err implements validate.Checker.
func (c *checker) Err() *validate.Error {
	if c.first != nil {
		if err := c.first.Err(); err != nil {
			return err
		}
	}
	if c.large {
		return nil
	}
	if !c.judged {
		c.fault, c.judged = c.judge(c.content), true
	}
	return c.fault
}

// Proven implements validate.Checker.
func (c *checker) Proven() bool {
	could := c.proven
	if c.first != nil {
		could = c.first.Proven()
	}
	return could && !c.large && c.Verdict() == validate.Whole
}

// Clone implements validate.Checker. The bytes so far are shared.
func (c *checker) Clone() validate.Checker {
	clone := *c
	clone.content = c.content[:len(c.content):len(c.content)]
	if c.first != nil {
		clone.first = c.first.Clone()
	}
	return &clone
}

// at is the fault at a byte of a content.
func at(content []byte, offset int64, reason string) *validate.Error {
	offset = max(0, min(offset, int64(len(content))))
	before := content[:offset]
	return &validate.Error{
		Reason: reason, Offset: offset,
		Line:   int64(bytes.Count(before, []byte("\n"))) + 1,
		Column: offset - int64(bytes.LastIndexByte(before, '\n')),
	}
}

// atLine is the fault at a line and column, both from 1; what is less is taken
// for 1.
func atLine(content []byte, line, column int64, reason string) *validate.Error {
	line, column = max(line, 1), max(column, 1)
	rest := content
	for n := int64(1); n < line; n++ {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	begin, length := int64(len(content)-len(rest)), bytes.IndexByte(rest, '\n')
	if length < 0 {
		length = len(rest)
	}
	return &validate.Error{Reason: reason, Line: line, Column: column, Offset: begin + min(column-1, int64(length))}
}

// text refuses what no text has: NUL bytes, and bytes that are not UTF-8.
func text(content []byte) *validate.Error {
	if i := bytes.IndexByte(content, 0); i >= 0 {
		return at(content, int64(i), "a NUL byte in a text")
	}
	if utf8.Valid(content) {
		return nil
	}
	for off := 0; off < len(content); {
		r, n := utf8.DecodeRune(content[off:])
		if r == utf8.RuneError && n == 1 {
			return at(content, int64(off), "bytes that are not UTF-8")
		}
		off += n
	}
	return nil
}

// mark is the UTF-8 byte order mark.
var mark = []byte("\ufeff")
