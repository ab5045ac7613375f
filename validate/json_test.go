package validate

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlacesAndReasons(t *testing.T) {
	deep := func() Checker { return JSON(Options{MaxDepth: 3}) }
	for _, test := range []struct {
		name  string
		fresh func() Checker
		doc   string
		want  Error
	}{
		{"empty", tolerant, "", Error{"the document is empty", 1, 1, 0}},
		{"white space", tolerant, " \n\n ", Error{"the document is empty", 3, 2, 4}},
		{"value", tolerant, "{\n \"a\": ?}", Error{"found '?' where a value should be", 2, 7, 8}},
		{"non-ASCII", tolerant, "[é]", Error{"found byte 0xc3 where a value or ']' should be", 1, 2, 1}},
		{"columns count bytes", tolerant, "[\"é\"\n,\"é\" x]", Error{"found 'x' where ',' or ']' should be", 2, 7, 12}},
		{"first value", tolerant, "[,", Error{"found ',' where a value or ']' should be", 1, 2, 1}},
		{"next value", tolerant, "[1,,", Error{"found ',' where a value after the comma should be", 1, 4, 3}},
		{"trailing comma in array", tolerant, "[1,\n]", Error{"comma before the closing ']'", 2, 1, 4}},
		{"trailing comma in object", tolerant, "{\"a\":1,\n}", Error{"comma before the closing '}'", 2, 1, 8}},
		{"first key", tolerant, "{\r\n1", Error{"found '1' where a key or '}' should be", 2, 1, 3}},
		{"next key", tolerant, "{\"a\":1,]", Error{"found ']' where a key after the comma should be", 1, 8, 7}},
		{"colon", tolerant, "{\"a\" 1", Error{"found '1' where the colon after a key should be", 1, 6, 5}},
		{"object goes on", tolerant, "{\"a\":1]", Error{"found ']' where ',' or '}' should be", 1, 7, 6}},
		{"array goes on", tolerant, "[1}", Error{"found '}' where ',' or ']' should be", 1, 3, 2}},
		{"behind the end", tolerant, "{}\n\nx", Error{"found 'x' where the end of the document should be", 3, 1, 4}},
		{"zero bytes", tolerant, "{}\n\x00\x00", Error{"found byte 0x00 where the end of the document should be", 2, 1, 3}},
		{"depth", deep, "[[{\"a\":[", Error{"nested deeper than 3 levels", 1, 8, 7}},
		{"single quotes", tolerant, "{'a", Error{"strings need double quotes", 1, 2, 1}},
		{"leading zero", tolerant, "[01", Error{"a number must not begin with a zero and another digit", 1, 3, 2}},
		{"minus", tolerant, "-x", Error{"found 'x' where a digit should be", 1, 2, 1}},
		{"line feed in a string", tolerant, "\"ab\n", Error{"control character byte 0x0a inside a string, it needs an escape", 1, 4, 3}},
		{"escape", tolerant, `"\q`, Error{"found 'q' where an escape, one of \"\\/bfnrtu, should be", 1, 3, 2}},
		{"hexadecimal", tolerant, `"\u12x`, Error{`found 'x' where a hexadecimal digit of a \u escape should be`, 1, 6, 5}},
		{"UTF-8 lead", tolerant, "\"a\xff", Error{"invalid UTF-8 inside a string: unexpected byte 0xff", 1, 3, 2}},
		{"UTF-8 rest", tolerant, "\"\xe6\"", Error{"invalid UTF-8 inside a string: unexpected '\"'", 1, 3, 2}},
		{"word", tolerant, "[tru]", Error{`found ']' where the rest of a literal, "e", should be`, 1, 5, 4}},
		{"NaN", strict, "[NaN", Error{"NaN and Infinity are not allowed", 1, 2, 1}},
		{"minus infinity", strict, "-I", Error{"NaN and Infinity are not allowed", 1, 2, 1}},
		{"comment", tolerant, "{} // c", Error{"comments are not allowed", 1, 4, 3}},
		{"slash", comments, "[/1", Error{"found '1' where the second byte of a comment should be", 1, 3, 2}},
		{"byte order mark", strict, "\xef\xbb\xbf", Error{"a byte order mark is not allowed here", 1, 1, 0}},
		{"broken mark", tolerant, "\xef\xbb{", Error{"found '{' where the rest of a byte order mark should be", 1, 3, 2}},

		{"ends in a number", tolerant, "[1", Error{"the document ends inside a number", 1, 3, 2}},
		{"ends in a key", tolerant, "{\"a", Error{"the document ends inside a key", 1, 4, 3}},
		{"ends in a string", tolerant, "{\"a\":\"\\", Error{"the document ends inside a string", 1, 8, 7}},
		{"ends in a word", tolerant, "nul", Error{"the document ends inside a literal", 1, 4, 3}},
		{"ends in a comment", comments, "/* \n", Error{"the document ends inside a comment", 2, 1, 4}},
		{"ends in the mark", tolerant, "\xef\xbb", Error{"the document ends inside the byte order mark", 1, 3, 2}},
		{"ends after a key", tolerant, "{\"a\"\n", Error{"the document ends after a key", 2, 1, 5}},
		{"ends after a colon", tolerant, "{\"a\":", Error{"the document ends after a colon", 1, 6, 5}},
		{"ends in an object", tolerant, "[{\"a\":1", Error{"the document ends inside a number", 1, 8, 7}},
		{"ends in an object, after a comma", tolerant, "[{\"a\":1,", Error{"the document ends inside an object, 2 deep", 1, 9, 8}},
		{"ends in an array", tolerant, "{\"a\":[\n", Error{"the document ends inside an array, 2 deep", 2, 1, 7}},

		{"no lines", jsonLines, "\n\n", Error{"the document is empty", 3, 1, 2}},
		{"line goes on", jsonLines, "1\n\n2 x\n", Error{"found 'x' where the end of the line should be", 3, 3, 5}},
		{"line in a line", jsonLines, "1\n[2\n]\n", Error{"the line ends inside a number", 2, 3, 4}},
		{"line ends", jsonLines, "1\n[2, ", Error{"the line ends inside an array, 1 deep", 2, 5, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := sameInPieces(t, test.fresh, test.doc)
			if diff := cmp.Diff(test.want, got.Fault); diff != "" {
				t.Errorf("%q (-want +got):\n%s", test.doc, diff)
			}
			for _, more := range []string{"", "]", "\n{}\n"} {
				if again := feed(test.fresh, test.doc+more); got.Verdict == Invalid && again != got {
					t.Errorf("%q: with %q behind it %v, without %v", test.doc, more, again, got)
				}
			}
		})
	}
}

func TestErrorIsAnError(t *testing.T) {
	c := tolerant()
	_, _ = c.Write([]byte("[1,\n }"))
	var err error = c.Err()
	if got, want := err.Error(), "line 2, column 2: found '}' where a value after the comma should be"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var place *Error
	if !errors.As(fmt.Errorf("commit: %w", err), &place) || place.Offset != 5 {
		t.Errorf("got place %+v, want offset 5", place)
	}
}

func TestVerdictString(t *testing.T) {
	for verdict, want := range map[Verdict]string{
		Unfinished: "unfinished", Whole: "whole", Invalid: "invalid", 7: "verdict(7)",
	} {
		if got := verdict.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDepth(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 63, 64, 65, 128, 129, 1000} {
		fresh := func() Checker { return JSON(Options{MaxDepth: limit}) }
		most := limit
		if limit == 0 {
			most = DefaultMaxDepth
		}
		for _, pair := range []string{"[]", "{}"} {
			open, shut := pair[:1], pair[1:]
			inner := strings.Repeat(open, most)
			if open == "{" {
				inner = strings.Repeat(`{"a":`, most-1) + "{"
			}
			doc := inner + strings.Repeat(shut, most)
			if got := feed(fresh, doc, 100); !got.Proven {
				t.Errorf("%s %d deep, limit %d: %v", pair, most, limit, got)
			}
			more := inner
			if open == "{" {
				more += `"a":`
			}
			got := feed(fresh, more+open, 100)
			want := fmt.Sprintf("nested deeper than %d levels", most)
			if got.Verdict != Invalid || got.Fault.Reason != want || got.Fault.Offset != int64(len(more)) {
				t.Errorf("%s %d deep, limit %d: %v", pair, most+1, limit, got)
			}
		}
	}
}

// A million brackets are refused at once, without recursion or memory.
func TestDepthBomb(t *testing.T) {
	got := feed(tolerant, strings.Repeat("[", 1e6))
	if got.Verdict != Invalid || got.Fault.Offset != DefaultMaxDepth {
		t.Errorf("got %v", got)
	}
	doc := strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6)
	if got := feed(func() Checker { return JSON(Options{MaxDepth: 1e6}) }, doc, 4096); !got.Proven {
		t.Errorf("limit of a million: got %v", got)
	}
}

// Kinds of brackets are remembered however deep and mixed they are.
func TestMixedNesting(t *testing.T) {
	var open, shut strings.Builder
	stack := []byte{}
	for k := range 700 {
		if k*k%7 < 3 {
			open.WriteString(`{"k":`)
			stack = append(stack, '}')
		} else {
			open.WriteString(`[1,`)
			stack = append(stack, ']')
		}
	}
	for k := len(stack) - 1; k >= 0; k-- {
		shut.WriteByte(stack[k])
	}
	doc := open.String() + "0" + shut.String()
	agrees(t, doc)
	for k := 0; k < shut.Len(); k += 13 {
		wrong := []byte(doc)
		at := len(doc) - 1 - k
		wrong[at] ^= '}' ^ ']'
		got := feed(strict, string(wrong), 50)
		if got.Verdict != Invalid || got.Fault.Offset != int64(at) {
			t.Fatalf("wrong bracket at %d: got %v", at, got)
		}
	}
}

// A clone remembers its own brackets while the original closes and opens
// others, and the other way round.
func TestCloneKeepsBrackets(t *testing.T) {
	objects, arrays := strings.Repeat(`{"k":`, 299)+"{", strings.Repeat("[", 300)
	for _, test := range []struct{ start, others, closing string }{
		{objects, strings.Repeat("}", 299) + `,"l":` + arrays, strings.Repeat("}", 300)},
		{arrays, strings.Repeat("]", 299) + "," + objects, strings.Repeat("]", 300)},
	} {
		original := tolerant()
		_, _ = original.Write([]byte(test.start))
		clone := original.Clone()
		second := clone.Clone()
		_, _ = original.Write([]byte(test.others))
		_, _ = clone.Write([]byte(test.closing))
		if !clone.Proven() {
			t.Errorf("%.10q: clone after its original went on: %v", test.start, clone.Err())
		}
		third := second.Clone()
		_, _ = third.Write([]byte(test.others))
		_, _ = second.Write([]byte(test.closing))
		if !second.Proven() {
			t.Errorf("%.10q: original after its clone went on: %v", test.start, second.Err())
		}
	}
}

func TestOpaque(t *testing.T) {
	for _, doc := range []string{"", "x", "\x00\xff"} {
		got := feed(Opaque, doc)
		if got.Verdict != Whole || got.Proven || got.Fault.Offset != -1 {
			t.Errorf("%q: got %v", doc, got)
		}
	}
	if got := ask(Opaque().Clone()); got.Verdict != Whole {
		t.Errorf("clone: got %v", got)
	}
}

// Write takes everything always, so that io.Copy never stops.
func TestWriteNeverFails(t *testing.T) {
	for name, fresh := range map[string]func() Checker{
		"json": tolerant, "lines": jsonLines, "opaque": Opaque,
	} {
		c := fresh()
		for _, p := range []string{"", "{", "}}", "\n[\n", "x"} {
			if n, err := c.Write([]byte(p)); n != len(p) || err != nil {
				t.Errorf("%s: write %q: %d, %v", name, p, n, err)
			}
		}
		if n, err := io.Copy(c, strings.NewReader("more")); n != 4 || err != nil {
			t.Errorf("%s: copy: %d, %v", name, n, err)
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	doc := []byte(sample(t))
	for name, c := range map[string]Checker{
		"json":     JSON(Options{}),
		"comments": JSON(Options{Comments: true}),
		"lines":    JSONLines(Options{}),
		"opaque":   Opaque(),
	} {
		at := 0
		got := testing.AllocsPerRun(1000, func() {
			_, _ = c.Write(doc[at : at+16])
			_ = c.Verdict()
			_ = c.Proven()
			at = (at + 16) % (len(doc) - 16)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations a write", name, got)
		}
	}
}

// A whole document in one write, with its faults, allocates nothing either.
func TestJudgingDoesNotAllocate(t *testing.T) {
	whole := []byte(sample(t))
	spoilt := append([]byte(nil), whole...)
	spoilt[len(spoilt)/2] = 0
	for name, doc := range map[string][]byte{"whole": whole, "spoilt": spoilt} {
		fresh := JSON(Options{}).(*document)
		got := testing.AllocsPerRun(100, func() {
			c := document{scan: fresh.scan, at: fresh.at}
			_, _ = c.Write(doc)
			_ = c.Verdict()
		})
		if got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func ExampleJSON() {
	c := JSON(Options{})
	for _, piece := range []string{`{"name": "a`, `da", "age": 36`, "}\n", "}"} {
		_, _ = c.Write([]byte(piece))
		fmt.Println(c.Verdict(), c.Proven())
	}
	fmt.Println(c.Err())
	// Output:
	// unfinished false
	// unfinished false
	// whole true
	// invalid false
	// line 2, column 1: found '}' where the end of the document should be
}
