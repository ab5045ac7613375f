package validate

import (
	"encoding/binary"
	"math/bits"
)

// number moves over a number, from whichever state of it the scanner is in.
// The byte that ends it is left to tokens.
func (s *scanner) number(p []byte, i int) int {
	st := s.state
	for i < len(p) {
		c := p[i]
		digit := c-'0' <= 9
		switch st {
		case inMinus:
			switch {
			case c == '0':
				st = inZero
			case digit:
				st = inInteger
			case c == 'I' && !s.strict:
				s.rest, s.state = "nfinity", inWord
				return i + 1
			default:
				return s.fail(inMinus, p, i)
			}
		case inZero, inInteger, inFraction, inExponent:
			if digit && st != inZero {
				i = digits(p, i)
				continue
			}
			next := tail(st, c)
			if next == broken {
				return s.fail(st, p, i)
			}
			if next == expectEnd {
				s.state = s.done
				return i
			}
			st = next
		case inE, inPoint, inSign:
			switch {
			case digit && st == inPoint:
				st = inFraction
			case digit:
				st = inExponent
			case st == inE && (c == '+' || c == '-'):
				st = inSign
			default:
				return s.fail(st, p, i)
			}
		}
		i++
	}
	s.state = st
	return i
}

// tail is the state that c leads to from one in which a number is complete:
// expectEnd if c no longer belongs to the number, broken if it must not
// follow it.
func tail(st state, c byte) state {
	switch {
	case c == '.' && st <= inInteger:
		return inPoint
	case (c == 'e' || c == 'E') && st != inExponent:
		return inE
	case st == inZero && c-'0' <= 9:
		return broken
	}
	return expectEnd
}

// digits returns the index of the first byte from i that is no digit.
func digits(p []byte, i int) int {
	for len(p)-i >= 8 {
		x := binary.LittleEndian.Uint64(p[i:])
		// A digit has 3 in its high half, also after adding 6.
		other := ((x ^ 0x3030303030303030) | ((x + 0x0606060606060606) ^ 0x3030303030303030)) & 0xf0f0f0f0f0f0f0f0
		if other != 0 {
			return i + bits.TrailingZeros64(other)>>3
		}
		i += 8
	}
	for i < len(p) && p[i]-'0' <= 9 {
		i++
	}
	return i
}
