package validate

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pieces are what drawn documents are made of, right and wrong.
var pieces = []string{
	"{", "}", "[", "]", ",", ":", " ", "\n", "\r\n", "\t",
	`"`, `"a"`, `"key": `, `"`, `\`, `\n`, `\u00e9`, `\ud800`, `\u`, "é", "日本", "😀", "\xe6", "\x97\xa5", "\xf0\x9f",
	"0", "-", "1", "12345678", ".5", "e", "E+", "1e5",
	"true", "false", "null", "tr", "ue", "NaN", "Infinity", "-Infinity",
	"//", "/*", "*/", "// c\n", "/* c */", "\xef\xbb\xbf", "\x00", "x",
	`{"a":1,"b":[1,2,{}]}`, `[[[`, `]]]`, "                 ", `"abcdefghijklmnopqrstuvwxyz"`,
}

func soup() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12),
		func(parts []string) string { return strings.Join(parts, "") })
}

// value draws whole JSON values.
func value(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 4
		if depth == 0 {
			kinds = 2
		}
		space := rapid.SampledFrom([]string{"", "", " ", "\n  ", "\t"})
		var list []string
		switch rapid.IntRange(1, kinds).Draw(t, "kind") {
		case 1:
			return rapid.SampledFrom([]string{"0", "-1", "12.5e-3", "true", "false", "null", "123456789"}).Draw(t, "scalar")
		case 2:
			return rapid.SampledFrom([]string{`""`, `"abc"`, `"é\n\u0041"`, `"日本語の長い文字列"`, `"a longer string, longer than a word"`}).Draw(t, "string")
		case 3:
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				list = append(list, space.Draw(t, "space")+value(depth-1).Draw(t, "element"))
			}
			return "[" + strings.Join(list, ",") + space.Draw(t, "space") + "]"
		}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, space.Draw(t, "space")+`"k"`+space.Draw(t, "space")+":"+value(depth-1).Draw(t, "member"))
		}
		return "{" + strings.Join(list, ",") + space.Draw(t, "space") + "}"
	})
}

// checkers draws one of all kinds of checkers.
func checkers() *rapid.Generator[func() Checker] {
	return rapid.Custom(func(t *rapid.T) func() Checker {
		o := Options{
			Strict:   rapid.Bool().Draw(t, "strict"),
			Comments: rapid.Bool().Draw(t, "comments"),
			MaxDepth: rapid.SampledFrom([]int{0, 1, 3, 100}).Draw(t, "depth"),
		}
		if rapid.Bool().Draw(t, "lines") {
			return func() Checker { return JSONLines(o) }
		}
		return func() Checker { return JSON(o) }
	})
}

func TestStrictAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agrees(t, soup().Draw(t, "document"))
		doc := value(3).Draw(t, "value")
		if verdict, _ := oracle(doc); verdict != Whole {
			t.Fatalf("drawn value %q is %v", doc, verdict)
		}
		agrees(t, doc)
		k := rapid.IntRange(0, len(doc)).Draw(t, "cut")
		agrees(t, doc[:k])
		agrees(t, doc[:k]+rapid.SampledFrom(pieces).Draw(t, "piece")+doc[k:])
	})
}

func TestAnswerDoesNotDependOnCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sameInPieces(t, checkers().Draw(t, "checker"), soup().Draw(t, "document"))
	})
}

// A clone judges on as if it had read the start itself, and neither it nor
// its original sees what the other reads.
func TestCloneResumes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fresh := checkers().Draw(t, "checker")
		start := rapid.OneOf(soup(), value(3), rapid.Just(strings.Repeat("[", 130))).Draw(t, "start")
		tails := rapid.SliceOfN(rapid.OneOf(soup(), rapid.Just(strings.Repeat("]", 70)+`,{"a":[1`)), 1, 4).Draw(t, "tails")
		c := fresh()
		_, _ = c.Write([]byte(start))
		at := ask(c)
		clones := make([]Checker, len(tails))
		for k := range tails {
			clones[k] = c.Clone()
		}
		for k, tail := range tails {
			_, _ = clones[k].Write([]byte(tail))
		}
		for k, tail := range tails {
			if got, want := ask(clones[k]), feed(fresh, start+tail); got != want {
				t.Fatalf("%q then %q: clone says %v, a new checker %v", start, tail, got, want)
			}
		}
		if got := ask(c); got != at {
			t.Fatalf("%q: original says %v after its clones went on, %v before", start, got, at)
		}
		_, _ = c.Write([]byte(tails[0]))
		if got, want := ask(c), feed(fresh, start+tails[0]); got != want {
			t.Fatalf("%q then %q: original says %v, a new checker %v", start, tails[0], got, want)
		}
	})
}

// Checkpoints every few bytes judge an overwritten tail like a new reading.
func TestCheckpoints(t *testing.T) {
	doc := sample(t)
	var points []Checker
	c := tolerant()
	for i := 0; i < len(doc); i += 64 {
		points = append(points, c.Clone())
		_, _ = c.Write([]byte(doc[i:min(i+64, len(doc))]))
	}
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(0, len(points)-1).Draw(t, "checkpoint")
		tail := rapid.OneOf(soup(), rapid.Just(doc[k*64:])).Draw(t, "tail")
		resumed := points[k].Clone()
		_, _ = resumed.Write([]byte(tail))
		if got, want := ask(resumed), feed(tolerant, doc[:k*64]+tail); got != want {
			t.Fatalf("from checkpoint %d with %q: %v, want %v", k, tail, got, want)
		}
	})
}

// Up to the fault all is a valid start, and with it nothing is any more.
func TestVerdictsArePrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fresh := checkers().Draw(t, "checker")
		doc := soup().Draw(t, "document")
		wrong := feed(fresh, doc).Fault.Offset
		for n := range len(doc) + 1 {
			got := feed(fresh, doc[:n])
			past := feed(fresh, doc).Verdict == Invalid && int64(n) > wrong
			if (got.Verdict == Invalid) != past {
				t.Fatalf("%q: %v after %d bytes, fault at %d", doc, got, n, wrong)
			}
			if got.Proven && got.Verdict != Whole {
				t.Fatalf("%q: %v after %d bytes, yet proven", doc, got, n)
			}
		}
	})
}

// What is proven stays whole with white space and nothing else.
func TestProvenHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := value(2).Draw(t, "value")
		proven := strings.ContainsAny(doc[:1], `{["`)
		if got := feed(tolerant, doc); got.Verdict != Whole || got.Proven != proven {
			t.Fatalf("%q: %v, want proven %v", doc, got, proven)
		}
		for c := range 256 {
			got := feed(tolerant, doc+string([]byte{byte(c)}))
			blank := strings.ContainsRune(" \t\r\n", rune(c))
			if proven && (got.Verdict == Whole) != blank || proven && !blank && got.Verdict != Invalid {
				t.Fatalf("%q and byte %#x: %v", doc, c, got)
			}
		}
		for n := range len(doc) {
			if got := feed(tolerant, doc[:n]); got.Proven {
				t.Fatalf("%q: proven after %d bytes", doc, n)
			}
		}
	})
}

// Comments are white space: blanking them changes nothing.
func TestCommentsAreSpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"{", "}", "[", "]", ",", ":", `"a"`, " ", "1", "true", "/* c */", "/***/", "// c\n", "//\n",
		}), 0, 12).Draw(t, "parts")
		doc, blanked := "", ""
		for _, part := range parts {
			doc += part
			if part[0] == '/' {
				part = strings.Repeat(" ", len(part)-1) + part[len(part)-1:]
				part = strings.ReplaceAll(part, "/", " ")
			}
			blanked += part
		}
		if got, want := feed(comments, doc), feed(comments, blanked); got != want {
			t.Fatalf("%q: %v, blanked %v", doc, got, want)
		}
	})
}

// JSON Lines is JSON line by line.
func TestLinesAreDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { linesAgree(t, soup().Draw(t, "document")) })
}

// linesAgree compares JSONLines with JSON on each line.
func linesAgree(t fataler, doc string) {
	t.Helper()
	got := sameInPieces(t, jsonLines, doc)
	verdict, wrong := Unfinished, int64(len(doc))
	offset := int64(0)
	lines := strings.SplitAfter(doc, "\n")
	for n, line := range lines {
		last := n == len(lines)-1
		content := strings.TrimSuffix(line, "\n")
		fresh := tolerant
		if n > 0 && strings.HasPrefix(content, "\xef") {
			fresh = strict
		}
		a := feed(fresh, content)
		blank := strings.Trim(strings.TrimPrefix(content, "\xef\xbb\xbf"), " \t\r") == "" && (n == 0 || !strings.HasPrefix(content, "\xef"))
		switch {
		case a.Verdict == Whole || blank && verdict == Whole:
			verdict, wrong = Whole, -1
		case blank:
		case a.Verdict == Invalid, !last:
			verdict, wrong = Invalid, offset+a.Fault.Offset
		default:
			verdict, wrong = Unfinished, int64(len(doc))
		}
		if verdict == Invalid {
			break
		}
		offset += int64(len(line))
	}
	if got.Verdict != verdict || got.Fault.Offset != wrong || got.Proven {
		t.Fatalf("%q: got %v, want %v at %d", doc, got, verdict, wrong)
	}
}

func TestSalvageDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := rapid.OneOf(soup(), value(3)).Draw(t, "document")
		o := Options{Comments: rapid.Bool().Draw(t, "comments")}
		n := rapid.IntRange(0, len(doc)).Draw(t, "cut")
		cut, whole := mend(t, doc[:n], o), mend(t, doc, o)
		// A number at the top is whole until something else follows.
		number := feed(tolerant, doc[:n]).Verdict == Whole && !feed(tolerant, doc[:n]).Proven
		if cut > whole && !number {
			t.Fatalf("%q: %d bytes kept of the first %d, %d of all", doc, cut, n, whole)
		}
		mendLines(t, doc)
	})
}
