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
			if c == s.close {
				s.pop()
				st = s.done
				i++
				continue
			}
		case expectFirstKey, expectNextKey:
			if c == '"' {
				if j := plain(p, i+1); j < len(p) && p[j] == '"' {
					i = j + 1
					st = expectColon
					if len(p)-i > 2 && p[i] == ':' && p[i+1] == ' ' {
						st = expectValue
						i += 2
					}
					continue
				}
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
				if j := plain(p, i+1); j < len(p) && p[j] == '"' && st != expectDocument {
					i = j + 1
					st = expectMore
					continue
				}
			} else if c <= '9' {
				if c >= '0' || c == '-' {
					s.state = first(c)
					i = s.number(p, i+1)
					if st = s.state; st > expectEnd {
						return i
					}
					continue
				}
			} else if n := literal(p, i); n > 0 {
				i += n
				st = s.done
				continue
			}
		}
		s.state = st
		i = s.token(p, i)
		if st = s.state; st > expectEnd {
			return i
		}
	}
	s.state = st
	return i
}

// literal returns the length of true, false or null at p[i], 0 if none is
// there or p ends too soon to tell at once.
func literal(p []byte, i int) int {
	const (
		true4 = 't' | 'r'<<8 | 'u'<<16 | 'e'<<24
		null4 = 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24
		fals4 = 'f' | 'a'<<8 | 'l'<<16 | 's'<<24
	)
	if len(p)-i < 5 {
		return 0
	}
	switch x := binary.LittleEndian.Uint32(p[i:]); {
	case x == true4 || x == null4:
		return 4
	case x == fals4 && p[i+4] == 'e':
		return 5
	}
	return 0
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

// token moves over a bracket or a string, or the start of a word or a comment.
// In any state, it refuses what does not belong there.
func (s *scanner) token(p []byte, i int) int {
	st := s.state
	c := p[i]
	value := st <= expectNextValue
	switch {
	case (c == '{' || c == '[') && value && s.depth < s.limit:
		return s.open(c, i)
	case c == '"' && (value || st == expectFirstKey || st == expectNextKey):
		s.state, s.key = inString, !value
		return s.text(p, i+1)
	case (c == '}' || c == ']') && s.closes(c):
		s.pop()
		s.state = s.done
	case c == '/' && s.comments:
		s.resume, s.state = st, inSlash
	case value && wordRest(c, s.strict) != "":
		s.rest, s.state = wordRest(c, s.strict), inWord
	default:
		return s.fail(st, p, i)
	}
	return i + 1
}

// open moves over an opening bracket.
func (s *scanner) open(c byte, i int) int {
	if c == '{' {
		s.push(1)
		s.state = expectFirstKey
	} else {
		s.push(0)
		s.state = expectFirstValue
	}
	return i + 1
}

// closes tells whether the bracket c may close the innermost container now.
func (s *scanner) closes(c byte) bool {
	switch s.state {
	case expectMore:
		return c == s.close
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
