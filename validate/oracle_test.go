package validate

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// fataler is what testing.T, testing.F and rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// answer is all that a Checker says of a document. Offset is -1 for Whole.
type answer struct {
	Verdict Verdict
	Proven  bool
	Fault   Error
}

func ask(c Checker) answer {
	a := answer{Verdict: c.Verdict(), Proven: c.Proven(), Fault: Error{Offset: -1}}
	if err := c.Err(); err != nil {
		a.Fault = *err
	}
	return a
}

// feed writes doc to a new Checker, cut at the given sizes in turn; without
// sizes in one piece.
func feed(fresh func() Checker, doc string, sizes ...int) answer {
	c := fresh()
	for k := 0; len(doc) > 0; k++ {
		n := len(doc)
		if len(sizes) > 0 {
			n = min(n, sizes[k%len(sizes)])
		}
		_, _ = c.Write([]byte(doc[:n]))
		doc = doc[n:]
	}
	return ask(c)
}

// sameInPieces fails unless doc gets one answer however it is cut, and
// returns that.
func sameInPieces(t fataler, fresh func() Checker, doc string) answer {
	t.Helper()
	want := feed(fresh, doc)
	check := func(sizes ...int) {
		t.Helper()
		if diff := cmp.Diff(want, feed(fresh, doc, sizes...)); diff != "" {
			t.Fatalf("%.200q cut at %v: answer differs (-whole +cut):\n%s", doc, sizes, diff)
		}
	}
	check(1)
	check(3)
	check(8)
	if len(doc) < 300 {
		for n := 1; n < len(doc); n++ {
			check(n, len(doc))
		}
	}
	random := rand.New(rand.NewPCG(uint64(len(doc)), 7))
	for range 4 {
		check(1+random.IntN(17), 1+random.IntN(40), 1+random.IntN(5), 1+random.IntN(100))
	}
	return want
}

// oracle is what encoding/json and unicode/utf8 say of a strict document:
// the verdict, and the offset of the first byte that is wrong.
func oracle(doc string) (Verdict, int64) {
	verdict, wrong := Whole, int64(-1)
	if !json.Valid([]byte(doc)) {
		// No document goes on with a control character: if that is the
		// first wrong byte, all before are a valid start.
		var syntax *json.SyntaxError
		var value json.RawMessage
		if err := json.Unmarshal([]byte(doc+"\x01"), &value); !errors.As(err, &syntax) {
			panic(err)
		}
		verdict, wrong = Invalid, syntax.Offset-1
		if wrong == int64(len(doc)) {
			verdict = Unfinished
		}
	}
	if at := firstBadUTF8(doc); at >= 0 && (at < wrong || verdict != Invalid) {
		return Invalid, at
	}
	return verdict, wrong
}

// firstBadUTF8 is the offset of the first byte after which no bytes could
// make doc valid UTF-8, -1 if there is none.
func firstBadUTF8(doc string) int64 {
	for i := 0; i < len(doc); {
		r, n := utf8.DecodeRuneInString(doc[i:])
		if r != utf8.RuneError || n != 1 {
			i += n
			continue
		}
		for m := 1; i+m <= len(doc); m++ {
			if utf8.FullRuneInString(doc[i : i+m]) {
				return int64(i + m - 1)
			}
		}
		return -1
	}
	return -1
}

// agrees fails unless strict JSON and the oracle say the same of doc.
func agrees(t fataler, doc string) {
	t.Helper()
	got := sameInPieces(t, strict, doc)
	verdict, offset := oracle(doc)
	if got.Verdict != verdict || got.Fault.Offset != offset {
		t.Fatalf("%.200q: got %v at %d (%s), want %v at %d", doc,
			got.Verdict, got.Fault.Offset, got.Fault.Reason, verdict, offset)
	}
}

func strict() Checker   { return JSON(Options{Strict: true}) }
func tolerant() Checker { return JSON(Options{}) }
func comments() Checker { return JSON(Options{Comments: true}) }
func jsonLines() Checker {
	return JSONLines(Options{})
}
