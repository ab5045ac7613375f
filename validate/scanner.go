package validate

import "slices"

// state is what the scanner expects next. The order matters: tokens serves
// those from expectDocument to expectEnd, number those from inMinus to inExponent.
type state uint8

const (
	expectStart      state = iota // nothing read: also a byte order mark may come
	expectDocument                // the top-level value
	expectValue                   // a value after a colon
	expectFirstValue              // a value or ] after [
	expectNextValue               // a value after a comma
	expectFirstKey                // a key or } after {
	expectNextKey                 // a key after a comma
	expectColon                   // a colon after a key
	expectMore                    // a comma or the closing bracket after a value
	expectEnd                     // nothing but white space

	inMinus    // after -, before a digit
	inZero     // after a leading 0
	inInteger  // after a digit from 1 to 9
	inPoint    // after the point, before a digit
	inFraction // after a digit behind the point
	inE        // after e, before a sign or digit
	inSign     // after the sign of an exponent, before a digit
	inExponent // after a digit of the exponent

	inString
	inEscape // after a backslash
	inHex4   // four hexadecimal digits to come
	inHex3
	inHex2
	inHex1
	inUTF1  // one continuation byte to come
	inUTF2  // two
	inUTF3  // three
	inUTFE0 // two, the first from A0: else overlong
	inUTFED // two, the first to 9F: else a surrogate
	inUTFF0 // three, the first from 90: else overlong
	inUTFF4 // three, the first to 8F: else past U+10FFFF

	inWord // within true, false, null, NaN, Infinity

	inSlash        // after a slash outside of strings
	inLineComment  // until the end of the line
	inBlockComment // until * and /
	inStar         // after * within a block comment

	inMark2 // two bytes of the byte order mark to come
	inMark1 // one

	broken // a byte was wrong; fault and wrong tell which
)

// scanner is the state machine for JSON. It knows no places: run returns how
// far it got. A copy made by clone goes on independently.
type scanner struct {
	state  state
	done   state // follows a complete value: expectEnd at the top, else expectMore
	comma  state // follows a comma: expectNextKey in an object, else expectNextValue
	resume state // follows a comment
	fault  state // once broken: the state that could not take the byte
	wrong  byte  // once broken: that byte

	close    byte // closes the innermost container
	key      bool // the string being read is a key
	firm     bool // the complete top-level value has a closing mark
	strict   bool
	comments bool

	rest string // letters of the word being read that are still to come

	// kinds holds a bit for each of the innermost open containers, 1 for
	// an object, the innermost lowest; all further ones are in spill, 64
	// at a time, the outermost first.
	kinds uint64
	spill []uint64
	depth int
	limit int
}

func newScanner(o Options) scanner {
	return scanner{
		done:     expectEnd,
		strict:   o.Strict,
		comments: o.Comments,
		limit:    o.maxDepth(),
	}
}

// clone returns an independent copy.
func (s *scanner) clone() scanner {
	c := *s
	c.spill = slices.Clone(s.spill)
	return c
}

// restart expects another document, without a byte order mark.
func (s *scanner) restart() {
	*s = scanner{
		state:    expectDocument,
		done:     expectEnd,
		strict:   s.strict,
		comments: s.comments,
		spill:    s.spill[:0],
		limit:    s.limit,
	}
}

// run moves over p and returns how many bytes were good. Less than len(p)
// means that the scanner is broken now.
func (s *scanner) run(p []byte) int {
	i := 0
	for i < len(p) && s.state != broken {
		switch st := s.state; {
		case st == expectStart:
			i = s.start(p)
		case st <= expectEnd:
			i = s.tokens(p, i)
		case st <= inExponent:
			i = s.number(p, i)
		case st == inString:
			i = s.text(p, i)
		case st <= inUTFF4:
			i = s.escape(p, i)
		default:
			i = s.rare(p, i)
		}
	}
	return i
}

// start moves over the first byte if it begins a byte order mark.
func (s *scanner) start(p []byte) int {
	if p[0] == mark[0] && !s.strict {
		s.state = inMark2
		return 1
	}
	s.state = expectDocument
	return 0
}

// fail breaks the scanner at p[i], which st could not take.
func (s *scanner) fail(st state, p []byte, i int) int {
	s.fault, s.wrong = st, p[i]
	s.state = broken
	return i
}

// push opens a container; bit is 1 for an object. The caller checked limit.
func (s *scanner) push(bit uint64) {
	if s.depth&63 == 0 && s.depth > 0 {
		s.spill = append(s.spill, s.kinds)
	}
	s.depth++
	s.kinds = s.kinds<<1 | bit
	s.settle()
}

// pop closes the innermost container.
func (s *scanner) pop() {
	s.depth--
	s.kinds >>= 1
	if s.depth&63 == 0 && s.depth > 0 {
		last := len(s.spill) - 1
		s.kinds = s.spill[last]
		s.spill = s.spill[:last]
	}
	s.settle()
}

// settle keeps done, comma and close in step with the innermost container.
func (s *scanner) settle() {
	s.done, s.comma, s.close = expectMore, expectNextValue, ']'
	if s.kinds&1 == 1 {
		s.comma, s.close = expectNextKey, '}'
	}
	if s.depth == 0 {
		s.done = expectEnd
		s.firm = true
	}
}

// inObject tells that the innermost open container is an object.
func (s *scanner) inObject() bool { return s.depth > 0 && s.comma == expectNextKey }

// whole tells that the bytes so far are a whole document.
func (s *scanner) whole() bool {
	return s.state == expectEnd ||
		s.state.number() && s.depth == 0 ||
		s.state == inLineComment && s.resume == expectEnd
}

// number tells that the bytes of a number so far are one.
func (st state) number() bool {
	return st == inZero || st == inInteger || st == inFraction || st == inExponent
}

// blank tells that the bytes so far hold no value and could go on without.
func (s *scanner) blank() bool {
	return s.state <= expectDocument || s.state == inLineComment && s.resume <= expectDocument
}

// proven tells that no longer document starts with these bytes, but for
// white space and comments.
func (s *scanner) proven() bool { return s.state == expectEnd && s.firm }

func (s *scanner) verdict() Verdict {
	switch {
	case s.state == broken:
		return Invalid
	case s.whole():
		return Whole
	}
	return Unfinished
}
