package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand"
	"slices"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// bigSeries is a document of many records, of which each save adds some at
// the end, changes three somewhere and the header: what a program does that
// rewrites its whole state.
type bigSeries struct {
	rng  *rand.Rand
	recs [][]byte
	n    int
}

func newBigSeries(size int) *bigSeries {
	b := &bigSeries{rng: rand.New(rand.NewSource(1))}
	for total := 0; total < size; {
		r := b.record()
		total += len(r)
		b.recs = append(b.recs, r)
	}
	return b
}

func (b *bigSeries) record() []byte {
	b.n++
	return fmt.Appendf(nil, `    {
      "id": %d,
      "name": "user-%06x",
      "mail": "%08x@example.org",
      "token": "%016x%016x",
      "balance": %.2f,
      "tags": ["t%d", "t%d", "t%d"],
      "created": "2026-%02d-%02dT%02d:%02d:%02dZ",
      "comment": "%s"
    }`, b.n, b.rng.Intn(1<<24), b.rng.Uint32(), b.rng.Uint64(), b.rng.Uint64(), b.rng.Float64()*1e4,
		b.rng.Intn(50), b.rng.Intn(50), b.rng.Intn(50), 1+b.rng.Intn(12), 1+b.rng.Intn(28),
		b.rng.Intn(24), b.rng.Intn(60), b.rng.Intn(60), words(b.rng, 60))
}

func words(rng *rand.Rand, n int) []byte {
	vocabulary := []string{"order", "state", "pending", "shipped", "customer", "late", "refund", "north", "south", "invoice"}
	var p []byte
	for range n {
		p = append(append(p, vocabulary[rng.Intn(len(vocabulary))]...), ' ')
	}
	return p
}

// next is the document of the next save.
func (b *bigSeries) next(grow int) []byte {
	for grown := 0; grown < grow; {
		r := b.record()
		grown += len(r)
		b.recs = append(b.recs, r)
	}
	for range 3 {
		b.recs[b.rng.Intn(len(b.recs))] = b.record()
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\n  \"saved\": %d,\n  \"count\": %d,\n  \"records\": [\n", b.rng.Uint32(), len(b.recs))
	out.Write(bytes.Join(b.recs, []byte(",\n")))
	out.WriteString("\n  ]\n}\n")
	return out.Bytes()
}

// smallDocument is a 5.3 KB document of which each save changes two fields.
func smallDocument() func(n int) []byte {
	b := newBigSeries(5300)
	doc := b.next(0)
	return func(n int) []byte {
		p := bytes.Clone(doc)
		p = bytes.Replace(p, []byte(`"saved": `), fmt.Appendf(nil, `"run": %d, "saved": `, n), 1)
		return bytes.Replace(p, []byte(`"balance": `), fmt.Appendf(nil, `"balance": %d`, n*7919%100000), 1)
	}
}

// bytesItem is item for contents that are large.
func bytesItem(tx uint64, content []byte) Item {
	it := item(tx, "")
	it.Size, it.SHA256, it.Content = int64(len(content)), sha256.Sum256(content), bytes.NewReader(content)
	return it
}

// stored is the bytes of all files of history.
func stored(d *disktest.Disk) int64 {
	var sum int64
	for _, content := range d.Tree(historyRoot) {
		sum += int64(len(content))
	}
	return sum
}

func TestLargeSeriesCostsWhatChanged(t *testing.T) {
	const saves, size, grow = 60, 1 << 19, 2 << 10
	b := newBigSeries(size)
	d := disktest.New()
	s := openStore(t, d)
	var sums []digest
	var lens []int64
	for i := range saves {
		doc := b.next(grow)
		sums = append(sums, sha256.Sum256(doc))
		lens = append(lens, int64(len(doc)))
		mustAdd(t, s, "big.json", bytesItem(uint64(i+1), doc))
	}
	// The text compresses to a third; a save must cost what it changed.
	if got, bound := stored(d), int64(3*size/2+saves*(3*grow)); got > bound {
		t.Errorf("%d saves take %d bytes, want at most %d", saves, got, bound)
	}
	fresh := openStore(t, d)
	for _, tx := range []uint64{1, 2, 10, 11, 41, 59, saves} {
		got, err := readVersion(fresh, "big.json", tx)
		if err != nil {
			t.Fatalf("version %d: %v", tx, err)
		}
		if int64(len(got)) != lens[tx-1] || sha256.Sum256([]byte(got)) != sums[tx-1] {
			t.Errorf("version %d is not what was added", tx)
		}
	}
	if deepest := depthOf(mustList(t, fresh, "big.json")); deepest > maxDepth+1 {
		t.Errorf("a restore takes %d steps, want at most %d", deepest, maxDepth+1)
	}
}

// depthOf is the number of frames that the deepest of the entries needs.
func depthOf(entries []Entry) int {
	depth := map[uint64]int{}
	deepest := 0
	for _, e := range entries {
		depth[e.Tx] = 1
		if e.DeltaBase != 0 {
			depth[e.Tx] += depth[e.DeltaBase]
		}
		deepest = max(deepest, depth[e.Tx])
	}
	return deepest
}

func TestSmallSeriesCostsLittle(t *testing.T) {
	const saves = 5000
	next := smallDocument()
	d := disktest.New()
	s := openStore(t, d)
	var batch []Item
	for i := range saves {
		batch = append(batch, bytesItem(uint64(i+1), next(i)))
	}
	for part := range slices.Chunk(batch, 100) {
		mustAdd(t, s, "small.json", part...)
	}
	if got, bound := stored(d), int64(saves*450); got > bound {
		t.Errorf("%d saves take %d bytes, want at most %d", saves, got, bound)
	}
	if files := len(d.Tree(historyRoot)); files > 5 {
		t.Errorf("%d versions take %d files", saves, files)
	}
	fresh := openStore(t, d)
	for tx := uint64(1); tx <= saves; tx += 97 {
		wantVersion(t, fresh, "small.json", tx, string(next(int(tx-1))))
	}
}

// A document that a program creates as {} and then fills must cost what it
// would have without that.
func TestDocumentThatBeginsAsNothing(t *testing.T) {
	const saves = 200
	next := smallDocument()
	for name, first := range map[string]string{"braces": "{}\n", "empty": "", "an eighth": string(next(0)[:700])} {
		t.Run(name, func(t *testing.T) {
			d := disktest.New()
			s := openStore(t, d)
			mustAdd(t, s, "f.json", bytesItem(1, []byte(first)))
			for tx := uint64(2); tx <= saves; tx++ {
				mustAdd(t, s, "f.json", bytesItem(tx, next(int(tx))))
			}
			if got, bound := stored(d), int64(saves*450+3000); got > bound {
				t.Errorf("%d saves take %d bytes, want at most %d", saves, got, bound)
			}
			whole := 0
			for _, e := range mustList(t, s, "f.json") {
				if e.DeltaBase == 0 {
					whole++
				}
			}
			if whole > 4 {
				t.Errorf("%d of %d versions are whole", whole, saves)
			}
			fresh := openStore(t, d)
			wantVersion(t, fresh, "f.json", 1, first)
			wantVersion(t, fresh, "f.json", 2, string(next(2)))
			wantVersion(t, fresh, "f.json", saves, string(next(saves)))
		})
	}
}

// A content that shares nothing with the one before becomes the base of the
// next instead of hanging on what was.
func TestReplacedDocumentIsAKeyframe(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	rng := rand.New(rand.NewSource(7))
	noise := make([]byte, 6000)
	for tx := uint64(1); tx <= 20; tx++ {
		if tx%10 == 1 {
			_, _ = rng.Read(noise)
		}
		mustAdd(t, s, "f", bytesItem(tx, fmt.Appendf(bytes.Clone(noise), "%d", tx)))
	}
	if got, bound := stored(d), int64(2*6000+20*450); got > bound {
		t.Errorf("20 saves of two documents take %d bytes, want at most %d", got, bound)
	}
}

func TestEmptiedAndFilledAgain(t *testing.T) {
	b := newBigSeries(1 << 20)
	d := disktest.New()
	s := openStore(t, d)
	want := map[uint64]string{}
	for tx := uint64(1); tx <= 20; tx++ {
		doc := b.next(100)
		if tx%2 == 0 {
			doc = nil
		}
		want[tx] = string(doc)
		mustAdd(t, s, "f", bytesItem(tx, doc))
	}
	if got, bound := stored(d), int64(1<<20); got > bound {
		t.Errorf("20 saves take %d bytes, want at most %d", got, bound)
	}
	for tx, w := range want {
		wantVersion(t, openStore(t, d), "f", tx, w)
	}
}

// cpu is the time that this process has computed.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The benchmarks run on a directory, and report bytes and CPU time for one
// save of the two series.
func osDisk(tb testing.TB) *disk.OS {
	tb.Helper()
	d, err := disk.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.Close() })
	return d
}

func entriesSize(tb testing.TB, s *Store, path string) int64 {
	var sum int64
	for _, e := range mustList(tb, s, path) {
		sum += e.Stored
	}
	return sum
}

func BenchmarkLargeSave(b *testing.B) {
	series := newBigSeries(19 << 20)
	s := openStore(b, osDisk(b))
	tx := uint64(1)
	mustAdd(b, s, "big.json", bytesItem(tx, series.next(0)))
	var used time.Duration
	for b.Loop() {
		tx++
		it := bytesItem(tx, series.next(20<<10))
		start := cpu(b)
		mustAdd(b, s, "big.json", it)
		used += cpu(b) - start
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(tx-1), "cpu-ms/save")
	b.ReportMetric(float64(entriesSize(b, s, "big.json"))/float64(tx), "B/save")
	for name, at := range map[string]uint64{"newest": tx, "oldest": 1, "last-of-run": max(1, tx-tx%10)} {
		fresh := openStore(b, s.d)
		start := time.Now()
		if _, err := fresh.Open(context.Background(), "big.json", at); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), name+"-restore-ms")
	}
}

func BenchmarkSmallSave(b *testing.B) {
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			next := smallDocument()
			s := openStore(b, osDisk(b))
			tx := 0
			var used time.Duration
			for b.Loop() {
				var items []Item
				for range batch {
					tx++
					items = append(items, bytesItem(uint64(tx), next(tx)))
				}
				start := cpu(b)
				mustAdd(b, s, "small.json", items...)
				used += cpu(b) - start
			}
			b.ReportMetric(float64(used.Microseconds())/float64(tx), "cpu-us/save")
			b.ReportMetric(float64(entriesSize(b, s, "small.json"))/float64(tx), "B/save")
		})
	}
}
