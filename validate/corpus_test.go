package validate

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// modes are the corpora of short documents below testdata.
var modes = []struct {
	file  string
	fresh func() Checker
	lines bool
	o     Options
}{
	{file: "strict.txt", o: Options{Strict: true}},
	{file: "tolerant.txt"},
	{file: "comments.txt", o: Options{Comments: true}},
	{file: "lines.txt", lines: true},
	{file: "strict-lines.txt", lines: true, o: Options{Strict: true}},
	{file: "comment-lines.txt", lines: true, o: Options{Comments: true}},
}

// testCase is a line of a corpus file.
type testCase struct {
	name   string // file:line
	want   answer // of Fault only Offset
	doc    string
	offset int64 // of the fault, -1 without
}

// readCorpus returns the cases of a file.
func readCorpus(t testing.TB, file string) []testCase {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for n, line := range strings.Split(string(content), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCase(line)
		if err != nil {
			t.Fatalf("%s:%d: %v", file, n+1, err)
		}
		c.name = fmt.Sprintf("%s:%d", file, n+1)
		cases = append(cases, c)
	}
	return cases
}

func parseCase(line string) (testCase, error) {
	verdict, quoted, _ := strings.Cut(line, " ")
	doc, err := strconv.Unquote(quoted)
	if err != nil {
		return testCase{}, fmt.Errorf("%s: %w", quoted, err)
	}
	c := testCase{doc: doc, offset: -1}
	switch word, at, _ := strings.Cut(verdict, "@"); word {
	case "proven":
		c.want = answer{Verdict: Whole, Proven: true}
	case "whole":
		c.want.Verdict = Whole
	case "unfinished":
		c.offset = int64(len(doc))
	case "invalid":
		c.want.Verdict = Invalid
		c.offset, err = strconv.ParseInt(at, 10, 64)
	default:
		err = fmt.Errorf("unknown verdict %q", word)
	}
	c.want.Fault.Offset = c.offset
	return c, err
}

func (c testCase) check(t *testing.T, fresh func() Checker) {
	t.Helper()
	got := sameInPieces(t, fresh, c.doc)
	reason := got.Fault.Reason
	got.Fault = Error{Offset: got.Fault.Offset}
	if got != c.want {
		t.Errorf("%s: %q: got %v, proven %v, at %d (%s); want %v, %v, %d", c.name, c.doc,
			got.Verdict, got.Proven, got.Fault.Offset, reason,
			c.want.Verdict, c.want.Proven, c.want.Fault.Offset)
	}
	if (got.Verdict == Whole) != (reason == "") {
		t.Errorf("%s: %q: %v with reason %q", c.name, c.doc, got.Verdict, reason)
	}
}

func TestCorpus(t *testing.T) {
	for _, m := range modes {
		t.Run(m.file, func(t *testing.T) {
			cases := readCorpus(t, m.file)
			if len(cases) == 0 {
				t.Fatal("no cases")
			}
			fresh := func() Checker { return JSON(m.o) }
			if m.lines {
				fresh = func() Checker { return JSONLines(m.o) }
			}
			for _, c := range cases {
				c.check(t, fresh)
			}
		})
	}
}

// What is wrong in the corpus but not in the standard library, or the other
// way round, is a fault of the corpus.
func TestCorpusAgreesWithOracle(t *testing.T) {
	for _, c := range readCorpus(t, "strict.txt") {
		verdict, offset := oracle(c.doc)
		if verdict != c.want.Verdict || offset != c.offset {
			t.Errorf("%s: %q: oracle says %v at %d, corpus %v at %d", c.name, c.doc,
				verdict, offset, c.want.Verdict, c.offset)
		}
	}
	for _, m := range modes {
		for _, c := range readCorpus(t, m.file) {
			agrees(t, c.doc)
		}
	}
}

// Every strict document is tolerant, every tolerant one may have comments.
func TestTolerancesGrow(t *testing.T) {
	for _, m := range modes {
		for _, c := range readCorpus(t, m.file) {
			s, o, w := feed(strict, c.doc), feed(tolerant, c.doc), feed(comments, c.doc)
			if s.Verdict != Invalid && s != o {
				t.Errorf("%s: %q: strict %v, tolerant %v", c.name, c.doc, s, o)
			}
			if o.Verdict != Invalid && o != w {
				t.Errorf("%s: %q: tolerant %v, with comments %v", c.name, c.doc, o, w)
			}
			if s.Fault.Offset > o.Fault.Offset && o.Fault.Offset >= 0 {
				t.Errorf("%s: %q: strict goes further than tolerant", c.name, c.doc)
			}
		}
	}
}

// A document on one line is judged alike by JSON and JSONLines.
func TestOneLineIsADocument(t *testing.T) {
	for _, c := range readCorpus(t, "tolerant.txt") {
		if strings.Contains(c.doc, "\n") {
			continue
		}
		got, want := feed(jsonLines, c.doc), feed(tolerant, c.doc)
		if got.Verdict != want.Verdict || got.Fault.Offset != want.Fault.Offset || got.Proven {
			t.Errorf("%s: %q: line %v, document %v", c.name, c.doc, got, want)
		}
	}
}
