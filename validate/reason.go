package validate

import "fmt"

// reason explains why the bytes so far are not a whole document. The subject
// is what a value at the top must fill: "document" or "line".
func (s *scanner) reason(subject string) string {
	if s.state != broken {
		return "the " + subject + " " + s.missing()
	}
	if found := s.special(); found != "" {
		return found
	}
	return fmt.Sprintf("found %s where %s should be", name(s.wrong), s.wanted(subject))
}

// missing says for an unfinished document in the midst of what it ends.
func (s *scanner) missing() string {
	st := s.state
	switch {
	case s.blank():
		return "is empty"
	case st >= inMinus && st <= inExponent:
		return "ends inside a number"
	case st >= inString && st <= inUTFF4 && s.key:
		return "ends inside a key"
	case st >= inString && st <= inUTFF4:
		return "ends inside a string"
	case st == inWord:
		return "ends inside a literal"
	case st >= inSlash && st <= inStar:
		return "ends inside a comment"
	case st == inMark2 || st == inMark1:
		return "ends inside the byte order mark"
	case st == expectColon:
		return "ends after a key"
	case st == expectValue:
		return "ends after a colon"
	case s.inObject():
		return fmt.Sprintf("ends inside an object, %d deep", s.depth)
	}
	return fmt.Sprintf("ends inside an array, %d deep", s.depth)
}

// special explains the faults that deserve more than what was wanted.
func (s *scanner) special() string {
	st, c := s.fault, s.wrong
	value := st <= expectNextValue
	switch {
	case value && (c == '{' || c == '['):
		return fmt.Sprintf("nested deeper than %d levels", s.limit)
	case st == expectNextKey && c == '}', st == expectNextValue && c == ']':
		return fmt.Sprintf("comma before the closing %s", name(c))
	case st <= expectEnd && c == '/':
		return "comments are not allowed"
	case st == expectDocument && c == mark[0]:
		return "a byte order mark is not allowed here"
	case value && c == 'N', (value || st == inMinus) && c == 'I':
		return "NaN and Infinity are not allowed"
	case (value || st == expectFirstKey || st == expectNextKey) && c == '\'':
		return "strings need double quotes"
	case st == inZero:
		return "a number must not begin with a zero and another digit"
	case st == inString && c < ' ':
		return fmt.Sprintf("control character %s inside a string, it needs an escape", name(c))
	case st == inString, st >= inUTF1 && st <= inUTFF4:
		return fmt.Sprintf("invalid UTF-8 inside a string: unexpected %s", name(c))
	}
	return ""
}

// wanted names what the state that failed would have taken. The subject is
// what a value at the top fills: a document or a line.
func (s *scanner) wanted(subject string) string {
	switch st := s.fault; {
	case st <= expectValue:
		return "a value"
	case st == expectFirstValue:
		return "a value or ']'"
	case st == expectNextValue:
		return "a value after the comma"
	case st == expectFirstKey:
		return "a key or '}'"
	case st == expectNextKey:
		return "a key after the comma"
	case st == expectColon:
		return "the colon after a key"
	case st == expectMore && s.inObject():
		return "',' or '}'"
	case st == expectMore:
		return "',' or ']'"
	case st == expectEnd:
		return "the end of the " + subject
	case st <= inExponent:
		return "a digit"
	case st == inEscape:
		return "an escape, one of \"\\/bfnrtu,"
	case st <= inHex1:
		return "a hexadecimal digit of a \\u escape"
	case st == inWord:
		return fmt.Sprintf("the rest of a literal, %q,", s.rest)
	case st == inSlash:
		return "the second byte of a comment"
	}
	return "the rest of a byte order mark"
}

// name shows a byte: itself in quotes if it is printable ASCII, else its
// value.
func name(c byte) string {
	if c > ' ' && c < 0x7f {
		return fmt.Sprintf("'%c'", c)
	}
	return fmt.Sprintf("byte 0x%02x", c)
}
