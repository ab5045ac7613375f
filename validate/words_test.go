package validate

import (
	"bytes"
	"fmt"
	"testing"
	"unicode/utf8"
)

// The functions that look at eight bytes at once find each byte at each place
// as a loop over single bytes does.
func TestRunsAgainstLoops(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func([]byte, int) int
		fill string // bytes that belong to a run
		in   func(byte) bool
	}{
		{"plain", plain, " !#[]^_az~\x7f", func(c byte) bool {
			return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\'
		}},
		{"digits", digits, "0123456789", func(c byte) bool { return c >= '0' && c <= '9' }},
		{"spaces", spaces, " ", func(c byte) bool { return c == ' ' }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for length := range 27 {
				for at := range length {
					for c := range 256 {
						// Two odd bytes: borrows must not reach down.
						p := bytes.Repeat([]byte(test.fill), 27)[:length]
						p[at] = byte(c)
						p[(at*7+c)%length] ^= byte(c >> 3)
						for start := range min(3, length) {
							want := start
							for want < length && test.in(p[want]) {
								want++
							}
							if got := test.run(p, start); got != want {
								t.Fatalf("%q from %d: got %d, want %d", p, start, got, want)
							}
						}
					}
				}
			}
		})
	}
}

// All runes, and all beginnings of wrong ones, against unicode/utf8.
func TestRunesAgainstStandardLibrary(t *testing.T) {
	check := func(text []byte) {
		t.Helper()
		doc := append(append([]byte(`"`), text...), `"    `...)
		s := newScanner(Options{})
		n := s.run(doc)
		if got, want := s.whole(), utf8.Valid(text); got != want {
			t.Fatalf("% x: whole %v after %d bytes, want %v", text, got, n, want)
		}
	}
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			check(utf8.AppendRune(nil, r))
		}
	}
	ends := []byte{0x00 + ' ', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff}
	for lead := 0x80; lead <= 0xff; lead++ {
		check([]byte{byte(lead)})
		for second := 0x80; second <= 0xff; second++ {
			check([]byte{byte(lead), byte(second)})
			for _, third := range ends {
				check([]byte{byte(lead), byte(second), third})
				check([]byte{byte(lead), byte(second), third, 0x80})
				check([]byte{byte(lead), byte(second), 0xbf, third, 'a'})
			}
		}
	}
}

// All short strings of the characters of numbers, against encoding/json.
func TestNumbersAgainstStandardLibrary(t *testing.T) {
	const letters = "0-1.e+ "
	var grow func(doc string)
	grow = func(doc string) {
		verdict, offset := oracle(doc)
		for _, size := range []int{1, 100} {
			got := feed(strict, doc, size)
			if got.Verdict != verdict || got.Fault.Offset != offset {
				t.Fatalf("%q: got %v at %d, want %v at %d", doc, got.Verdict, got.Fault.Offset, verdict, offset)
			}
		}
		if len(doc) == 5 || verdict == Invalid {
			return
		}
		for _, c := range letters {
			grow(doc + string(c))
		}
	}
	grow("")
}

// All pairs of tokens, with every byte between, against encoding/json.
func TestTokensAgainstStandardLibrary(t *testing.T) {
	starts := []string{"", "[", "[1", `["a"`, "[null", "[1,", "[[]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":{}`, `{"a":1,`, "1", `"a"`, "[]"}
	for _, start := range starts {
		for c := range 256 {
			for _, end := range []string{"", " ", "]", "}", `"`, "1", ","} {
				doc := fmt.Sprintf("%s%s%s", start, []byte{byte(c)}, end)
				verdict, offset := oracle(doc)
				got := feed(strict, doc)
				if got.Verdict != verdict || got.Fault.Offset != offset {
					t.Fatalf("%q: got %v at %d (%s), want %v at %d", doc, got.Verdict, got.Fault.Offset,
						got.Fault.Reason, verdict, offset)
				}
			}
		}
	}
}
