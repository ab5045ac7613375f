package backup

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// undo decodes a patch as any reader of packs does.
func undo(base, frame []byte) ([]byte, error) {
	dec, err := newDecoder(base)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return dec.DecodeAll(frame, nil)
}

// edit changes a document as programs do: bytes replaced, put in, cut out,
// moved, added at both ends.
func edit(rng *rand.Rand, doc []byte) []byte {
	at := rng.Intn(len(doc) + 1)
	to := min(len(doc), at+rng.Intn(1+rng.Intn(5000)))
	insert := words(rng, rng.Intn(60))
	switch rng.Intn(7) {
	case 0:
		insert = []byte(noise(rng.Int63(), rng.Intn(3000)))
	case 1:
		insert, to = nil, min(len(doc), at+rng.Intn(200))
	case 2:
		from := rng.Intn(len(doc) + 1)
		insert, to = doc[from:min(len(doc), from+rng.Intn(300_000))], at
	case 3:
		at, to = 0, rng.Intn(min(len(doc), 40)+1)
	case 4:
		at, to = len(doc), len(doc)
	case 5:
		insert = bytes.Repeat([]byte{'a' + byte(rng.Intn(3))}, rng.Intn(4000))
	}
	return append(append(bytes.Clone(doc[:at]), insert...), doc[to:]...)
}

func TestPatchProperties(t *testing.T) {
	large := newBigSeries(700 << 10).next(0)
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		base := large[:rapid.IntRange(1, len(large)).Draw(t, "size")]
		doc := base
		for range rapid.IntRange(0, 12).Draw(t, "edits") {
			doc = edit(rng, doc)
		}
		frame := patch(base, doc)
		if frame == nil {
			return
		}
		got, err := undo(base, frame)
		if err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%d bytes against %d: got %d others, %v", len(doc), len(base), len(got), err)
		}
	})
}

// patchCases are pairs in which blocks, codes and offsets meet their bounds.
func patchCases() map[string][2][]byte {
	doc := newBigSeries(600 << 10).next(0)
	cut := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	cases := map[string][2][]byte{
		"same":                {doc, doc},
		"cut off":             {doc, doc[:500<<10]},
		"cut off in front":    {doc, doc[100<<10:]},
		"two halves swapped":  {doc, cut(doc[300<<10:], doc[:300<<10])},
		"twice":               {doc, cut(doc, doc)},
		"one byte in front":   {doc, cut([]byte("x"), doc)},
		"zeros":               {make([]byte, 1<<20), make([]byte, 1<<20+5)},
		"noise in the middle": {doc, cut(doc[:200<<10], []byte(noise(1, 40_000)), doc[200<<10:])},
		"noise at the end":    {doc, cut(doc, []byte(noise(1, 50_000)))},
		"many small edits":    {doc, scatter(doc, 700)},
		"blocks of noise":     {bytes.Repeat(doc, 8), cut(bytes.Repeat(doc, 8), []byte(noise(1, 400_000)))},
		"more edits":          {doc, scatter(doc, 5000)},
	}
	for n := fullBlock - 40; n <= fullBlock+40; n++ { // what is shared ends around the end of a block
		cases[fmt.Sprintf("edit at %d", n)] = [2][]byte{doc, cut(doc[:n], []byte("xy"), doc[n:])}
	}
	for _, n := range []int{1, 15, 16, 31, 32, 63, 64, 1023, 1024, 4095, 4096, 16383, 16384, 30000} {
		cases[fmt.Sprintf("%d literals", n)] = [2][]byte{doc, cut(doc[:1000], []byte(noise(2, n)), doc[1000:])}
		cases[fmt.Sprintf("%d words", n)] = [2][]byte{doc, cut(doc[:1000], words(rand.New(rand.NewSource(5)), n)[:n], doc[1000:])}
	}
	return cases
}

// scatter changes a byte in n places.
func scatter(doc []byte, n int) []byte {
	doc = bytes.Clone(doc)
	for i := range n {
		doc[i*(len(doc)/n)] ^= 1
	}
	return doc
}

func TestPatchAtItsBounds(t *testing.T) {
	for name, c := range patchCases() {
		frame := patch(c[0], c[1])
		if frame == nil {
			if name != "more edits" {
				t.Errorf("%s: left to a general encoder", name)
			}
			continue
		}
		got, err := undo(c[0], frame)
		if err != nil || !bytes.Equal(got, c[1]) {
			t.Errorf("%s: got %d bytes, want %d others, %v", name, len(got), len(c[1]), err)
		}
	}
}

// The program of FORMAT.md must undo what this package makes by itself.
func TestZstdUndoesPatches(t *testing.T) {
	tools(t)
	dir := t.TempDir()
	for name, c := range patchCases() {
		frame := patch(c[0], c[1])
		if frame == nil {
			continue
		}
		base, delta, out := filepath.Join(dir, "base"), filepath.Join(dir, "delta"), filepath.Join(dir, "out")
		for file, p := range map[string][]byte{base: c[0], delta: frame} {
			if err := os.WriteFile(file, p, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run1(t, "zstd", "-q", "-d", "-f", "--long=27", "--patch-from="+base, delta, "-o", out)
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, c[1]) {
			t.Errorf("%s: zstd got %d bytes, want %d others, %v", name, len(got), len(c[1]), err)
		}
	}
}

func TestPatchIsLeftToOthers(t *testing.T) {
	doc := newBigSeries(400 << 10).next(0)
	for name, content := range map[string]string{
		"empty":       "",
		"all new":     noise(1, len(doc)),
		"half is new": string(doc[:200<<10]) + noise(2, 200<<10),
	} {
		if frame := patch(doc, []byte(content)); frame != nil {
			t.Errorf("%s: %d bytes", name, len(frame))
		}
	}
}

func TestPatchCostsWhatChanged(t *testing.T) {
	b := newBigSeries(4 << 20)
	base := b.next(0)
	for range 3 {
		doc := b.next(20 << 10)
		if frame := patch(base, doc); frame == nil || len(frame) > 16<<10 {
			t.Errorf("20 KiB more and three edits take %d bytes", len(frame))
		}
		base = doc
	}
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte("the base"), []byte("the content"))
	doc := newBigSeries(2000).next(0)
	f.Add(doc, append(bytes.Clone(doc[500:]), doc[:700]...))
	f.Fuzz(func(t *testing.T, base, content []byte) {
		// Long enough for the shared part to outweigh what is new.
		shared := bytes.Repeat(doc, 1+(len(base)+9*len(content))/len(doc))
		base = append(append(bytes.Clone(base), shared...), base...)
		content = append(append(bytes.Clone(content), shared...), content...)
		frame := patch(base, content)
		if frame == nil {
			return
		}
		if got, err := undo(base, frame); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("got %d bytes, want %d others, %v", len(got), len(content), err)
		}
	})
}
