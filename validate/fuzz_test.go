package validate

import (
	"strings"
	"testing"
)

// seed adds the corpus of short documents. Further seeds are committed below
// testdata/fuzz.
func seed(f *testing.F) {
	f.Helper()
	for _, m := range modes {
		for _, c := range readCorpus(f, m.file) {
			f.Add(c.doc)
		}
	}
	f.Add(sample(f))
}

// tooLong keeps the fuzzer from spending its time on size.
func tooLong(doc string) bool { return len(doc) > 4096 }

// FuzzStrict compares verdict and place with encoding/json.
func FuzzStrict(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, doc string) {
		if !tooLong(doc) {
			agrees(t, doc)
		}
	})
}

// FuzzJSON checks what must hold for every tolerance: cuts don't matter, what
// the stricter accepts the looser does, and what is mended is whole.
func FuzzJSON(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, doc string) {
		if tooLong(doc) {
			return
		}
		s, o, w := sameInPieces(t, strict, doc), sameInPieces(t, tolerant, doc), sameInPieces(t, comments, doc)
		if s.Verdict != Invalid && o != s {
			t.Errorf("%q: strict %v, tolerant %v", doc, s, o)
		}
		if o.Verdict != Invalid && w != o {
			t.Errorf("%q: tolerant %v, with comments %v", doc, o, w)
		}
		extras := strings.ContainsAny(doc, "NI") || strings.HasPrefix(doc, "\xef")
		if !extras && s.Verdict != o.Verdict {
			t.Errorf("%q: strict %v, tolerant %v without a reason", doc, s, o)
		}
		mend(t, doc, Options{})
		mend(t, doc, Options{Comments: true})
	})
}

// FuzzJSONLines compares with JSON line by line.
func FuzzJSONLines(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, doc string) {
		if tooLong(doc) {
			return
		}
		linesAgree(t, doc)
		mendLines(t, doc)
	})
}
