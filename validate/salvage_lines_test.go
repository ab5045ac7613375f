package validate

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestSalvageLines(t *testing.T) {
	type result struct {
		Out   string
		Lines int64
		Fault *Error
	}
	for _, test := range []struct {
		name, doc string
		want      result
	}{
		{"whole", "{}\n\n1\n", result{"{}\n\n1\n", 0, nil}},
		{"whole without end", "{}\n[1]", result{"{}\n[1]", 0, nil}},
		{"torn last", "{}\n{\"a", result{"{}\n", 1, &Error{"the line ends inside a key", 2, 4, 6}}},
		{"torn first", "{\"a\n{}\n", result{"{}\n", 1, &Error{"the line ends inside a key", 1, 4, 3}}},
		{"torn deep, then whole", "[[[\n[]\n", result{"[]\n", 1, &Error{"the line ends inside an array, 3 deep", 1, 4, 3}}},
		{"spoilt", "1\n2 x\n3\n}\n4\n", result{"1\n3\n4\n", 2, &Error{"found 'x' where the end of the line should be", 2, 3, 4}}},
		{"zeros", "{}\n\x00\x00\x00\n{}\n", result{"{}\n{}\n", 1, &Error{"found byte 0x00 where a value should be", 2, 1, 3}}},
		{"byte order mark", "\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n", result{"\xef\xbb\xbf{}\n", 1,
			&Error{"a byte order mark is not allowed here", 2, 1, 6}}},
		{"blank and value", " \r\n1", result{" \r\n1", 0, nil}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			report, err := SalvageLines(strings.NewReader(test.doc), &out, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := result{out.String(), report.Lines, report.Fault}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", test.doc, diff)
			}
		})
	}
}

func TestSalvageLinesNothing(t *testing.T) {
	for _, doc := range []string{"", "\n \n", "{", "x\ny\n", "{\n}\n"} {
		var out strings.Builder
		_, err := SalvageLines(strings.NewReader(doc), &out, Options{})
		if !errors.Is(err, ErrNothing) || strings.TrimSpace(out.String()) != "" {
			t.Errorf("%q: got %v and %q", doc, err, out.String())
		}
	}
}

// wholeLines is what SalvageLines must write, by the simplest means.
func wholeLines(doc string, o Options) string {
	var out strings.Builder
	for n, line := range strings.SplitAfter(doc, "\n") {
		content := strings.TrimSuffix(line, "\n")
		if n > 0 && strings.HasPrefix(content, "\xef") {
			continue
		}
		first := strings.TrimPrefix(content, "\xef\xbb\xbf")
		blank := strings.Trim(first, " \t\r") == ""
		if blank || feed(func() Checker { return JSON(o) }, content).Verdict == Whole {
			out.WriteString(line)
		}
	}
	return out.String()
}

func mendLines(t fataler, doc string) {
	t.Helper()
	var out strings.Builder
	report, err := SalvageLines(strings.NewReader(doc), &out, Options{})
	want := wholeLines(doc, Options{})
	if out.String() != want {
		t.Fatalf("%.200q: got %.200q, want %.200q", doc, out.String(), want)
	}
	if report.Kept != int64(len(want)) || report.Kept+report.Lost != int64(len(doc)) {
		t.Fatalf("%.200q: report %+v does not add up", doc, report)
	}
	verdict := feed(jsonLines, want).Verdict
	if err == nil && verdict != Whole || err != nil && (!errors.Is(err, ErrNothing) || verdict != Unfinished) {
		t.Fatalf("%.200q: mended is %v, error %v", doc, verdict, err)
	}
}

func TestSalvageLinesCutAndSpoiltAnywhere(t *testing.T) {
	doc := "\xef\xbb\xbf" + string(samples()["lines"][:1500]) + "\n\n1\n\"x\"\n  \nNaN\n"
	random := rand.New(rand.NewPCG(8, 9))
	bad := []byte("\x00\xff{}[]\",:\\ e1/\n")
	for n := range len(doc) + 1 {
		mendLines(t, doc[:n])
		if n < len(doc) {
			mendLines(t, doc[:n]+string(bad[random.IntN(len(bad))])+doc[n+1:])
		}
	}
	for _, m := range modes {
		for _, c := range readCorpus(t, m.file) {
			if !m.o.Comments {
				mendLines(t, c.doc)
			}
		}
	}
}

func TestSalvageLinesLong(t *testing.T) {
	long := `"` + strings.Repeat("a", 2*salvageChunk) + `"`
	for _, doc := range []string{long, long + "\n", long + "\n1", "1\n" + long + "\n2\n", long[1:] + "\n3\n" + long,
		"1\n" + long[:len(long)-1], long[:salvageChunk] + "\n" + long[1:salvageChunk] + "\n" + long} {
		mendLines(t, doc)
	}
}

func TestSalvageLinesErrors(t *testing.T) {
	doc := strings.Repeat("{}\nx\n", 50000)
	full := fullAfter(100)
	if _, err := SalvageLines(strings.NewReader(doc), &full, Options{}); !errors.Is(err, errBroken) {
		t.Errorf("writer: got %v", err)
	}
	for _, n := range []int{0, 10, salvageChunk + 10} {
		in := io.MultiReader(strings.NewReader(doc[:n]), iotest.ErrReader(errBroken))
		if _, err := SalvageLines(in, io.Discard, Options{}); !errors.Is(err, errBroken) {
			t.Errorf("reader of %d bytes: got %v", n, err)
		}
	}
}
