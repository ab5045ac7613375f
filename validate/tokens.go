package validate

import (
	"encoding/binary"
	"math/bits"
)

// tokens moves over white space, punctuation and whatever lies wholly in p
// between, and stops where another function must go on. This is the loop
// that speed depends on: most bytes of a document pass here and in plain.
func (s *scanner) tokens(p []byte, i int) int {
	st := s.state
	for i < len(p) {
		c := p[i]
		if c <= ' ' {
			if c == ' ' || c == '\n' {
				i = spaces(p, i+1)
				continue
			}
			if c == '\r' || c == '\t' {
				i++
				continue
			}
			return s.fail(st, p, i)
		}
		switch st {
		case expectMore:
			if c == ',' {
				st = s.comma
				i++
				continue
			}
		case expectFirstKey, expectNextKey:
			if c == '"' {
				i = plain(p, i+1)
				if i == len(p) || p[i] != '"' {
					s.state, s.key = inString, true
					return i
				}
				i++
				st = expectColon
				if len(p)-i > 2 && p[i] == ':' && p[i+1] == ' ' {
					st = expectValue
					i += 2
				}
				continue
			}
		case expectColon:
			if c == ':' {
				st = expectValue
				i++
				continue
			}
		case expectEnd:
		default:
			if c == '"' {
				i = plain(p, i+1)
				if i == len(p) || p[i] != '"' {
					s.state = inString
					return i
				}
				i++
				st = s.done
				if st == expectEnd {
					s.firm = true
				}
				continue
			}
			if c-'0' <= 9 || c == '-' {
				s.state = first(c)
				i = s.number(p, i+1)
				if st = s.state; st > expectEnd {
					return i
				}
				continue
			}
		}
		s.state = st
		i = s.mark(p, i)
		if st = s.state; st > expectEnd {
			return i
		}
	}
	s.state = st
	return i
}

// first is the state after the first byte of a number.
func first(c byte) state {
	switch c {
	case '-':
		return inMinus
	case '0':
		return inZero
	}
	return inInteger
}

// spaces returns the index of the first byte from i that is no space.
func spaces(p []byte, i int) int {
	for len(p)-i >= 8 {
		other := binary.LittleEndian.Uint64(p[i:]) ^ 0x2020202020202020
		if other != 0 {
			return i + bits.TrailingZeros64(other)>>3
		}
		i += 8
	}
	for i < len(p) && p[i] == ' ' {
		i++
	}
	return i
}

// mark moves over a bracket, or the start of a word or a comment. In any state, it refuses what does not belong there.
func (s *scanner) mark(p []byte, i int) int {
	st := s.state
	switch c := p[i]; c {
	case '{', '[':
		if st > expectNextValue || s.depth == s.limit {
			return s.fail(st, p, i)
		}
		if c == '{' {
			s.push(1)
			s.state = expectFirstKey
		} else {
			s.push(0)
			s.state = expectFirstValue
		}
	case '}', ']':
		if !s.closes(c) {
			return s.fail(st, p, i)
		}
		s.pop()
		s.state = s.done
	case '/':
		if !s.comments {
			return s.fail(st, p, i)
		}
		s.resume, s.state = st, inSlash
	default:
		rest := wordRest(c, s.strict)
		if rest == "" || st > expectNextValue {
			return s.fail(st, p, i)
		}
		return s.begin(rest, p, i+1)
	}
	return i + 1
}

// closes tells whether the bracket c may close the innermost container now.
func (s *scanner) closes(c byte) bool {
	switch s.state {
	case expectMore:
		return s.inObject() == (c == '}')
	case expectFirstKey:
		return c == '}'
	case expectFirstValue:
		return c == ']'
	case expectNextKey:
		return c == '}' && s.comments
	case expectNextValue:
		return c == ']' && s.comments
	}
	return false
}

// wordRest is what must follow c for it to begin a literal, "" if none does.
func wordRest(c byte, strict bool) string {
	switch c {
	case 't':
		return "rue"
	case 'f':
		return "alse"
	case 'n':
		return "ull"
	case 'N':
		if !strict {
			return "aN"
		}
	case 'I':
		if !strict {
			return "nfinity"
		}
	}
	return ""
}

// begin moves over a literal after its first letter, at once if all of it is
// there.
func (s *scanner) begin(rest string, p []byte, i int) int {
	if len(p)-i >= len(rest) && string(p[i:i+len(rest)]) == rest {
		s.state = s.done
		return i + len(rest)
	}
	s.rest, s.state = rest, inWord
	return i
}
