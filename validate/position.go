package validate

import "bytes"

// position is how far a document was read. Counting lines apart from the
// scanner keeps its loop free of it: bytes.Count runs at memory speed.
type position struct {
	offset int64 // bytes read
	lines  int64 // line feeds among them
	start  int64 // offset of the first byte of the current line
}

// advance moves over p.
func (at *position) advance(p []byte) {
	if n := bytes.Count(p, newline); n > 0 {
		at.lines += int64(n)
		at.start = at.offset + int64(bytes.LastIndexByte(p, '\n')) + 1
	}
	at.offset += int64(len(p))
}

// fault is an Error at this place.
func (at *position) fault(reason string) *Error {
	return &Error{
		Reason: reason,
		Line:   at.lines + 1,
		Column: at.offset - at.start + 1,
		Offset: at.offset,
	}
}

var newline = []byte{'\n'}
