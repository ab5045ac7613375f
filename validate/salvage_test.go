package validate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestSalvage(t *testing.T) {
	type result struct {
		Out    string
		Kept   int64
		Closed int
		Fault  int64 // offset, -1 without
	}
	for _, test := range []struct {
		name, doc string
		want      result
	}{
		{"whole", "{\"a\":1}\n", result{"{\"a\":1}\n", 8, 0, -1}},
		{"whole number", "12", result{"12", 2, 0, -1}},
		{"open object", `{`, result{`{}`, 1, 1, 1}},
		{"open array", `[`, result{`[]`, 1, 1, 1}},
		{"nested", `{"a":[{"b":[`, result{`{"a":[{"b":[]}]}`, 12, 4, 12}},
		{"in a key", `{"a":1,"b`, result{`{"a":1}`, 6, 1, 9}},
		{"after a key", `{"a":1,"b"`, result{`{"a":1}`, 6, 1, 10}},
		{"after a colon", `{"a":1,"b": `, result{`{"a":1}`, 6, 1, 12}},
		{"in a string", `{"a":1,"b":"xy`, result{`{"a":1}`, 6, 1, 14}},
		{"in an escape", `["a","b\`, result{`["a"]`, 4, 1, 8}},
		{"in a rune", "[\"a\",\"\xe6\x97", result{`["a"]`, 4, 1, 8}},
		{"in a word", `[1,tru`, result{`[1]`, 2, 1, 6}},
		{"in a number", `[1,23`, result{`[1]`, 2, 1, 5}},
		{"in an exponent", `[1,2e`, result{`[1]`, 2, 1, 5}},
		{"in minus infinity", `[1,-Inf`, result{`[1]`, 2, 1, 7}},
		{"only a number", `[1`, result{`[]`, 1, 1, 2}},
		{"after a number", `[1 `, result{`[1 ]`, 3, 1, 3}},
		{"after a comma", "[1,\n ", result{`[1]`, 2, 1, 5}},
		{"after a string", `{"a":"b"`, result{`{"a":"b"}`, 8, 1, 8}},
		{"wrong bracket", `[{"a":1]`, result{`[{"a":1}]`, 7, 2, 7}},
		{"numbers in a row", "12[", result{"12", 2, 0, 2}},
		{"zeros behind", "{\"a\":1}\n\x00\x00", result{"{\"a\":1}\n", 8, 0, 8}},
		{"zeros within", "{\"a\":1,\"b\x00\x00\":2}", result{`{"a":1}`, 6, 1, 9}},
		{"second document", `{"a":1}{"a":2}`, result{`{"a":1}`, 7, 0, 7}},
		{"second value", `[1,2"x"]`, result{`[1,2]`, 4, 1, 4}},
		{"garbage after number", `[1,2x]`, result{`[1]`, 2, 1, 4}},
		{"number and garbage", `1 x`, result{`1 `, 2, 0, 2}},
		{"byte order mark", "\xef\xbb\xbf[1,", result{"\xef\xbb\xbf[1]", 5, 1, 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			report, err := Salvage(strings.NewReader(test.doc), &out, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := result{out.String(), report.Kept, report.Closed, -1}
			if report.Fault != nil {
				got.Fault = report.Fault.Offset
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", test.doc, diff)
			}
			if report.Offset != report.Kept || report.Kept+report.Lost != int64(len(test.doc)) {
				t.Errorf("report %+v does not add up to %d bytes", report, len(test.doc))
			}
		})
	}
}

func TestSalvageComments(t *testing.T) {
	for doc, want := range map[string]string{
		"[1, // one\n":        "[1]",
		"[1 /* one */, 2,":    "[1 /* one */, 2]",
		"[1 /* one":           "[1 ]",
		"{\"a\":1,":           "{\"a\":1}",
		"{} // c":             "{} // c",
		"{} /* c":             "{} ",
		"// c\n{ // d\n\"a\"": "// c\n{ // d\n}",
	} {
		var out strings.Builder
		if _, err := Salvage(strings.NewReader(doc), &out, Options{Comments: true}); err != nil {
			t.Errorf("%q: %v", doc, err)
		}
		if out.String() != want {
			t.Errorf("%q: got %q, want %q", doc, out.String(), want)
		}
	}
}

func TestSalvageReportsPlace(t *testing.T) {
	doc := "{\n  \"a\": [1, 2],\n  \"b\": [true, fal\x00"
	var out strings.Builder
	got, err := Salvage(strings.NewReader(doc), &out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		Kept: 29, Lost: 6, Closed: 2, Line: 3, Column: 13, Offset: 29,
		Fault: &Error{Reason: `found byte 0x00 where the rest of a literal, "se", should be`, Line: 3, Column: 18, Offset: 34},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSalvageNothing(t *testing.T) {
	for _, doc := range []string{"", " \n", `"abc`, "-", "12x", "tru", "x{}", "\x00\x00\x00", "\xef\xbb\xbf"} {
		var out strings.Builder
		report, err := Salvage(strings.NewReader(doc), &out, Options{})
		if !errors.Is(err, ErrNothing) || out.Len() > 0 {
			t.Errorf("%q: got %v and %q, want ErrNothing and no output", doc, err, out.String())
		}
		if report.Lost != int64(len(doc)) || report.Kept != 0 || report.Fault == nil {
			t.Errorf("%q: report %+v", doc, report)
		}
	}
}

// mend salvages doc, checks what every result must be, and returns the bytes
// kept.
func mend(t fataler, doc string, o Options) int64 {
	t.Helper()
	var out strings.Builder
	report, err := Salvage(strings.NewReader(doc), &out, o)
	if report.Kept+report.Lost != int64(len(doc)) {
		t.Fatalf("%.200q: kept %d and lost %d of %d bytes", doc, report.Kept, report.Lost, len(doc))
	}
	if errors.Is(err, ErrNothing) && out.Len() == 0 {
		return 0
	}
	if err != nil {
		t.Fatalf("%.200q: %v", doc, err)
	}
	got := feed(func() Checker { return JSON(o) }, out.String())
	if got.Verdict != Whole {
		t.Fatalf("%.200q: mended %.200q is %v: %s", doc, out.String(), got.Verdict, got.Fault.Reason)
	}
	if out.String()[:report.Kept] != doc[:report.Kept] || strings.Trim(out.String()[report.Kept:], "]}") != "" {
		t.Fatalf("%.200q: mended %.200q is not its start and brackets", doc, out.String())
	}
	if out.Len() != int(report.Kept)+report.Closed {
		t.Fatalf("%.200q: %d bytes out for %d kept, %d closed", doc, out.Len(), report.Kept, report.Closed)
	}
	whole := feed(func() Checker { return JSON(o) }, doc).Verdict == Whole
	if whole != (report.Fault == nil) || whole && out.String() != doc {
		t.Fatalf("%.200q: whole %v, fault %v", doc, whole, report.Fault)
	}
	return report.Kept
}

// sample is a small document with everything in it.
func sample(t testing.TB) string {
	t.Helper()
	pretty, err := json.MarshalIndent(people(2), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return "\xef\xbb\xbf{\"people\": " + string(pretty) +
		", \"é\\u00e9\\n\": [NaN, -Infinity, -0.5e+10, {}, [], [[ ] , 1 ], \"日本語😀\"]}\r\n"
}

func TestSalvageCutAnywhere(t *testing.T) {
	doc := sample(t)
	before := int64(0)
	for n := range len(doc) + 1 {
		kept := mend(t, doc[:n], Options{})
		if kept < before {
			t.Fatalf("cut at %d keeps %d bytes, a byte before %d", n, kept, before)
		}
		if int64(n)-kept > 700 {
			t.Fatalf("cut at %d keeps only %d bytes", n, kept)
		}
		before = kept
	}
	if before != int64(len(doc)) {
		t.Errorf("whole document: kept %d of %d bytes", before, len(doc))
	}
}

func TestSalvageSpoiltAnywhere(t *testing.T) {
	doc := sample(t)
	random := rand.New(rand.NewPCG(5, 6))
	bad := []byte("\x00\xff{}[]\",:\\ e1/\n")
	for i := range len(doc) {
		spoilt := []byte(doc)
		spoilt[i] = bad[random.IntN(len(bad))]
		mend(t, string(spoilt), Options{})
		spoilt[i] = byte(random.IntN(256))
		mend(t, string(spoilt), Options{Comments: true})
	}
}

func TestSalvageCorpus(t *testing.T) {
	for _, m := range modes {
		for _, c := range readCorpus(t, m.file) {
			mend(t, c.doc, m.o)
		}
	}
}

// Tears near the ends of chunks, behind strings longer than chunks.
func TestSalvageLong(t *testing.T) {
	long := strings.Repeat("a", 3*salvageChunk)
	deep := strings.Repeat("[", 200) + "1, 2" + strings.Repeat("]", 200)
	pretty := string(samples()["pretty"][:3*salvageChunk])
	for _, doc := range map[string]string{
		"long string":  `{"a":1,"b":"` + long + `","c":[` + long[:100],
		"long number":  `{"a":1,"b":` + strings.Repeat("1", 2*salvageChunk) + `,"c":[1`,
		"white space":  `{"a":1,"b":[1,` + strings.Repeat(" ", 2*salvageChunk),
		"many strings": `["` + strings.Repeat(long[:50]+`","`, 4000),
		"deep":         `[` + strings.Repeat(deep+",", 500),
		"pretty":       pretty,
	} {
		for _, around := range []int{salvageChunk, 2 * salvageChunk, len(doc)} {
			for d := -15; d <= 15; d += 15 {
				n := min(max(around+d, 0), len(doc))
				mend(t, doc[:n], Options{})
				mend(t, doc[:n]+"\x00"+doc[n:], Options{})
			}
		}
	}
}

func TestSalvageTooLong(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`["`), endlessly('a'))
	if _, err := Salvage(endless, io.Discard, Options{}); !errors.Is(err, ErrTooLong) {
		t.Errorf("document: got %v, want ErrTooLong", err)
	}
	if _, err := SalvageLines(endlessly(' '), io.Discard, Options{}); !errors.Is(err, ErrTooLong) {
		t.Errorf("lines: got %v, want ErrTooLong", err)
	}
}

// endlessly reads as one byte without end.
type endlessly byte

func (c endlessly) Read(p []byte) (int, error) {
	p[0] = byte(c)
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
	return len(p), nil
}

var errBroken = errors.New("broken")

// fullAfter is a writer that breaks after so many bytes.
type fullAfter int

func (n *fullAfter) Write(p []byte) (int, error) {
	if len(p) > int(*n) {
		return int(*n), errBroken
	}
	*n -= fullAfter(len(p))
	return len(p), nil
}

func TestSalvageErrors(t *testing.T) {
	doc := string(samples()["pretty"][:2*salvageChunk+100]) + "\x00"
	var out strings.Builder
	report, err := Salvage(strings.NewReader(doc), &out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 100, salvageChunk, 2 * salvageChunk, int(report.Kept)} {
		full := fullAfter(room)
		if _, err := Salvage(strings.NewReader(doc), &full, Options{}); !errors.Is(err, errBroken) {
			t.Errorf("writer of %d bytes: got %v", room, err)
		}
	}
	for _, n := range []int{0, 1, 100, salvageChunk, salvageChunk + 1, len(doc)} {
		in := io.MultiReader(strings.NewReader(doc[:n]), iotest.ErrReader(errBroken))
		if _, err := Salvage(in, io.Discard, Options{}); !errors.Is(err, errBroken) {
			t.Errorf("reader of %d bytes: got %v", n, err)
		}
	}
	in := io.MultiReader(strings.NewReader(strings.Repeat("x", salvageChunk)), iotest.ErrReader(errBroken))
	if _, err := Salvage(in, io.Discard, Options{}); !errors.Is(err, errBroken) {
		t.Errorf("reader that breaks after the fault: got %v", err)
	}
}

func TestSalvageReadsInPieces(t *testing.T) {
	doc := sample(t)
	for name, in := range map[string]io.Reader{
		"bytes":     iotest.OneByteReader(strings.NewReader(doc[:1000])),
		"data, eof": iotest.DataErrReader(strings.NewReader(doc[:1000])),
	} {
		var got, want strings.Builder
		if _, err := Salvage(in, &got, Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := Salvage(strings.NewReader(doc[:1000]), &want, Options{}); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%s: got %q, want %q", name, got.String(), want.String())
		}
	}
}

func ExampleSalvage() {
	torn := `{"users": [{"name": "ada", "age": 36}, {"name": "gra`
	var out strings.Builder
	report, err := Salvage(strings.NewReader(torn), &out, Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out.String())
	fmt.Printf("%d bytes lost, %s\n", report.Lost, report.Fault.Reason)
	// Output:
	// {"users": [{"name": "ada", "age": 36}, {}]}
	// 12 bytes lost, the document ends inside a string
}
