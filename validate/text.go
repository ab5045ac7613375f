package validate

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// plain returns the index of the first byte from i that is not an ordinary
// ASCII byte of a string: a quote, a backslash, a control character or part
// of a longer rune; len(p) if there is none.
func plain(p []byte, i int) int {
	const ones = 0x0101010101010101
	for len(p)-i >= 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		// Flipping bit 1 brings the quote next to the control characters.
		// A borrow may mark bytes above the first marked one, never below.
		stop := (((x ^ 2*ones) - 0x21*ones) | ((x ^ '\\'*ones) - ones) | x) & (0x80 * ones)
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)>>3
		}
		i += 8
	}
	for i < len(p) && ordinary[p[i]] {
		i++
	}
	return i
}

// ordinary marks the bytes that plain skips.
var ordinary = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text moves over the inside of a string until the end of it or of p.
func (s *scanner) text(p []byte, i int) int {
	for {
		i = plain(p, i)
		if i == len(p) {
			return i
		}
		switch c := p[i]; {
		case c == '"':
			s.quoted()
			return i + 1
		case c == '\\':
			if len(p)-i > 1 && simple[p[i+1]] {
				i += 2
				continue
			}
			s.state = inEscape
			return i + 1
		case c < ' ':
			return s.fail(inString, p, i)
		}
		j := runes(p, i)
		if j == i {
			return s.lead(p, i)
		}
		i = j
	}
}

// quoted leaves a string behind its closing quote.
func (s *scanner) quoted() {
	if s.key {
		s.state, s.key = expectColon, false
		return
	}
	s.state = s.done
	if s.depth == 0 {
		s.firm = true
	}
}

// runes moves over valid runes longer than one byte. It stops before one that
// is wrong or may be cut: lead and escape take those bytewise, so that the
// place of a fault does not depend on how the document was cut.
func runes(p []byte, i int) int {
	for len(p)-i >= utf8.UTFMax && p[i] >= utf8.RuneSelf {
		x := binary.LittleEndian.Uint32(p[i:])
		if x&0xc0e0 == 0x80c0 && x&0x1e != 0 {
			i += 2 // and not overlong
			continue
		}
		if x&0xc0c0f0 == 0x8080e0 && x&0x0f != 0 && x&0x0f != 0x0d {
			i += 3 // E0 and ED, which bound the next byte, are rare
			continue
		}
		_, n := utf8.DecodeRune(p[i:])
		if n == 1 {
			return i
		}
		i += n
	}
	return i
}

// lead moves over the first byte of a rune longer than one byte.
func (s *scanner) lead(p []byte, i int) int {
	switch c := p[i]; {
	case c >= 0xc2 && c <= 0xdf:
		s.state = inUTF1
	case c == 0xe0:
		s.state = inUTFE0
	case c == 0xed:
		s.state = inUTFED
	case c >= 0xe1 && c <= 0xef:
		s.state = inUTF2
	case c == 0xf0:
		s.state = inUTFF0
	case c >= 0xf1 && c <= 0xf3:
		s.state = inUTF3
	case c == 0xf4:
		s.state = inUTFF4
	default:
		return s.fail(inString, p, i)
	}
	return i + 1
}

// continuation says for each state within a rune which bytes may follow and
// which state comes then.
var continuation = [...]struct {
	low, high byte
	next      state
}{
	0:                {0x80, 0xbf, inString},
	inUTF2 - inUTF1:  {0x80, 0xbf, inUTF1},
	inUTF3 - inUTF1:  {0x80, 0xbf, inUTF2},
	inUTFE0 - inUTF1: {0xa0, 0xbf, inUTF1},
	inUTFED - inUTF1: {0x80, 0x9f, inUTF1},
	inUTFF0 - inUTF1: {0x90, 0xbf, inUTF2},
	inUTFF4 - inUTF1: {0x80, 0x8f, inUTF2},
}

// simple marks the letters of escapes that end with them.
var simple = [256]bool{
	'"': true, '\\': true, '/': true,
	'b': true, 'f': true, 'n': true, 'r': true, 't': true,
}

// escape moves over one byte within an escape or a rune.
func (s *scanner) escape(p []byte, i int) int {
	c := p[i]
	switch st := s.state; {
	case st == inEscape && simple[c]:
		s.state = inString
	case st == inEscape && c == 'u':
		s.state = inHex4
	case st >= inHex4 && st <= inHex1 && hexadecimal(c):
		if s.state++; s.state > inHex1 {
			s.state = inString
		}
	case st >= inUTF1 && c >= continuation[st-inUTF1].low && c <= continuation[st-inUTF1].high:
		s.state = continuation[st-inUTF1].next
	default:
		return s.fail(st, p, i)
	}
	return i + 1
}

func hexadecimal(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' <= 5
}
