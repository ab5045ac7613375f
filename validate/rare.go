package validate

import "bytes"

// mark is the UTF-8 byte order mark.
const mark = "\xef\xbb\xbf"

// rare moves over words, comments and the byte order mark, a byte at a time
// where speed does not matter.
func (s *scanner) rare(p []byte, i int) int {
	c := p[i]
	switch s.state {
	case inWord:
		return s.word(p, i)
	case inLineComment, inBlockComment:
		return s.comment(p, i)
	case inSlash:
		switch c {
		case '/':
			s.state = inLineComment
		case '*':
			s.state = inBlockComment
		default:
			return s.fail(inSlash, p, i)
		}
	case inStar:
		switch c {
		case '/':
			s.state = s.resume
		case '*':
		default:
			s.state = inBlockComment
		}
	case inMark2, inMark1:
		if c != mark[int(s.state-inMark2)+1] {
			return s.fail(s.state, p, i)
		}
		if s.state++; s.state > inMark1 {
			s.state = expectDocument
		}
	}
	return i + 1
}

// word moves over the rest of a literal that began with an earlier byte.
func (s *scanner) word(p []byte, i int) int {
	for i < len(p) && s.rest != "" {
		if p[i] != s.rest[0] {
			return s.fail(inWord, p, i)
		}
		s.rest = s.rest[1:]
		i++
	}
	if s.rest == "" {
		s.state = s.done
	}
	return i
}

// comment moves to the byte that may end a comment, and over it.
func (s *scanner) comment(p []byte, i int) int {
	end, next := byte('\n'), s.resume
	if s.state == inBlockComment {
		end, next = '*', inStar
	}
	n := bytes.IndexByte(p[i:], end)
	if n < 0 {
		return len(p)
	}
	s.state = next
	return i + n + 1
}
