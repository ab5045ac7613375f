package validate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxHeld is how many bytes Salvage and SalvageLines hold back at most. A
// longer scalar with its key, or a longer line, ends them with ErrTooLong.
const MaxHeld = 64 << 20

// Errors of Salvage and SalvageLines.
var (
	// ErrNothing says that no start of a document, and no line, is a whole
	// value: there was nothing to write.
	ErrNothing = errors.New("nothing to salvage")
	// ErrTooLong says that a scalar or a line is longer than MaxHeld.
	ErrTooLong = errors.New("value too long to salvage")
)

// Report says what Salvage or SalvageLines made of a document.
type Report struct {
	Kept   int64 // bytes of the input that were written, as they were
	Lost   int64 // bytes of the input that were left out
	Closed int   // closing brackets that were added; Salvage only
	Lines  int64 // lines that were left out; SalvageLines only
	// Fault is the first reason to leave something out, or to close
	// brackets; nil if the input was whole and was copied.
	Fault *Error
	// Line, Column and Offset are, in the input, the end of what Salvage
	// kept, counted as in Error.
	Line, Column, Offset int64
}

// Salvage reads torn JSON by chunks, and searches the end of each, byte by
// byte, for a place up to which it can write.
const (
	salvageChunk  = 64 << 10
	salvageSearch = 1 << 10
)

// Salvage mends a JSON document that was torn, or spoilt from some byte on.
// It writes the longest start of r that lacks nothing but closing brackets,
// and then these: an unfinished key, string, number or word is left out, and
// so is a comma or colon that nothing follows. A whole document is copied.
// What is written is Whole by the same options.
//
// It reads r once and to its end, and holds back at most MaxHeld bytes. With
// ErrNothing nothing was written. After ErrTooLong, or an error of r or w,
// what was written is not whole, and the Report tells only how far it got.
func Salvage(r io.Reader, w io.Writer, o Options) (Report, error) {
	m := mender{w: w, scan: newScanner(o), base: newScanner(o)}
	chunk := make([]byte, salvageChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return m.report, fmt.Errorf("read document: %w", err)
		}
		good, err := m.take(chunk[:n])
		if err != nil {
			return m.report, err
		}
		if ended || !good {
			break
		}
	}
	rest, err := io.Copy(io.Discard, r)
	m.report.Lost += rest
	if err != nil {
		return m.report, fmt.Errorf("read document: %w", err)
	}
	return m.finish()
}

// mender is the state of Salvage. A place in the input is safe if the bytes
// before it need only closing brackets to be whole. Bytes before a safe place
// are written, those behind are held until the next one shows.
//
// What must hold: every bracket makes a safe place, so that the brackets open
// at the last one are still those open where the document breaks off.
type mender struct {
	w      io.Writer
	report Report
	scan   scanner  // behind held
	base   scanner  // before held
	at     position // before held
	safe   bool     // the place before held is safe
	held   []byte
}

// take reads p, and tells whether all of it was good.
func (m *mender) take(p []byte) (bool, error) {
	m.held = append(m.held, p...)
	search := max(0, len(p)-salvageSearch)
	m.scan.run(p[:search]) // if that breaks, so does the search
	n, safe := m.scan.search(p[search:])
	if n < len(p)-search {
		return false, nil
	}
	if safe >= 0 {
		if err := m.flush(len(m.held) - n + safe); err != nil {
			return false, err
		}
	}
	if len(m.held) > MaxHeld {
		return false, fmt.Errorf("mend at offset %d: %w", m.at.offset, ErrTooLong)
	}
	return true, nil
}

// flush writes the first n held bytes, which end at a safe place.
func (m *mender) flush(n int) error {
	m.base.run(m.held[:n])
	m.at.advance(m.held[:n])
	m.safe = true
	written, err := m.w.Write(m.held[:n])
	m.report.Kept += int64(written)
	if err != nil {
		return fmt.Errorf("write mended document: %w", err)
	}
	m.held = append(m.held[:0], m.held[n:]...)
	return nil
}

// finish writes what it can of the held bytes, and the closing brackets.
func (m *mender) finish() (Report, error) {
	end, at := m.base.clone(), m.at
	n, safe := end.search(m.held)
	at.advance(m.held[:n])
	if end.whole() {
		safe = n
	} else {
		m.report.Fault = at.fault(end.reason("document"))
	}
	if safe >= 0 {
		if err := m.flush(safe); err != nil {
			return m.report, err
		}
	}
	m.report.Lost += int64(len(m.held))
	if !m.safe {
		return m.report, fmt.Errorf("mend document: %w", ErrNothing)
	}
	place := m.at.fault("")
	m.report.Line, m.report.Column, m.report.Offset = place.Line, place.Column, place.Offset
	closing := m.base.closing()
	m.report.Closed = len(closing)
	if _, err := m.w.Write(closing); err != nil {
		return m.report, fmt.Errorf("write closing brackets: %w", err)
	}
	return m.report, nil
}

// search runs over p like run, and returns also the last safe place in it, -1
// if there is none.
func (s *scanner) search(p []byte) (n, safe int) {
	safe = -1
	for i := range p {
		before := s.state
		if s.run(p[i:i+1]) == 0 {
			if before.number() && strings.IndexByte(`[]{},:"`, s.wrong) >= 0 {
				safe = i // out of place, but it ended the number
			}
			return i, safe
		}
		switch s.state {
		case expectFirstValue, expectFirstKey, expectMore, expectEnd:
			safe = i + 1
		default:
			// A number is complete once another byte follows it.
			if before.number() && (s.state < inMinus || s.state > inExponent) {
				safe = i
			}
		}
	}
	return len(p), safe
}

// closing returns the brackets that close all open containers.
func (s *scanner) closing() []byte {
	c := s.clone()
	var closing bytes.Buffer
	for c.depth > 0 {
		closing.WriteByte(c.close)
		c.pop()
	}
	return closing.Bytes()
}
