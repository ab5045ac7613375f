package validate

import "bytes"

// JSONLines returns a Checker for a document of one JSON value a line.
func JSONLines(o Options) Checker {
	return &lines{scan: newScanner(o)}
}

// lines is the Checker of a JSON Lines document. The scanner sees one line at
// a time, without its line feed.
type lines struct {
	scan   scanner
	at     position // after a fault: of the wrong byte
	filled bool     // an earlier line holds a value
	torn   bool     // the fault is a line feed inside a value
}

var _ Checker = (*lines)(nil)

func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && l.Verdict() != Invalid; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			l.line(rest)
			break
		}
		if l.line(rest[:end]) {
			l.feed()
		}
		rest = rest[end+1:]
	}
	return len(p), nil
}

// line moves over bytes within a line and tells whether all were good.
func (l *lines) line(p []byte) bool {
	n := l.scan.run(p)
	l.at.offset += int64(n)
	return l.scan.state != broken
}

// feed moves over a line feed.
func (l *lines) feed() {
	switch {
	case l.scan.whole():
		l.filled = true
	case !l.scan.blank():
		l.torn = true
		return
	}
	l.scan.restart()
	l.at.advance(newline)
}

func (l *lines) Verdict() Verdict {
	switch {
	case l.torn:
		return Invalid
	case l.filled && l.scan.blank():
		return Whole
	}
	return l.scan.verdict()
}

func (l *lines) Err() *Error {
	if l.Verdict() == Whole {
		return nil
	}
	if l.scan.blank() {
		return l.at.fault("the document is empty")
	}
	return l.at.fault(l.scan.reason("line"))
}

// Proven is false: any document of lines may have had more of them.
func (l *lines) Proven() bool { return false }

func (l *lines) Clone() Checker {
	c := *l
	c.scan = l.scan.clone()
	return &c
}
