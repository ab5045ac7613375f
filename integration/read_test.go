package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// TestReadersBesideWriters reads a file 10,000 times in chunks of any size
// while eight programs replace it: no document is ever torn or mixed.
func TestReadersBesideWriters(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	python := harness.Tool(t, "python3")
	script, err := filepath.Abs("testdata/writers/small.py")
	if err != nil {
		t.Fatal(err)
	}
	var procs []*harness.Proc
	for i := range 8 {
		procs = append(procs, harness.Cmd{Args: []string{
			python, script, path, strconv.Itoa(i), strconv.Itoa(300 + 700*i),
		}}.Start(t))
	}
	for _, p := range procs {
		waitAck(t, p)
	}
	var left atomic.Int64
	left.Store(10_000)
	seen := make([]map[int64]bool, 3)
	var readers sync.WaitGroup
	for i := range seen {
		seen[i] = map[int64]bool{}
		readers.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				readInChunks(t, path, seen[i])
			}
		})
	}
	readers.Wait()
	for _, p := range procs {
		if p.Exited() {
			t.Errorf("a writer ended: %s", p.Stderr())
		}
		p.KillGroup()
	}
	if n := len(seen[0]); !t.Failed() && n < 5 {
		t.Errorf("one reader saw %d documents in its reads: the writers did not write beside it", n)
	}
}

func readInChunks(t *testing.T, path string, seen map[int64]bool) {
	f, err := os.Open(path)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	defer func() { _ = f.Close() }()
	// From a few hundred bytes to more than the file at once; half of the
	// readers take chunks of changing sizes.
	size := 400 << rand.IntN(8)
	changing := rand.IntN(2) == 0
	buf := make([]byte, size)
	var content []byte
	for {
		n := size
		if changing {
			n = 1 + rand.IntN(size)
		}
		k, err := f.Read(buf[:n])
		content = append(content, buf[:k]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("read at %d: %v", len(content), err)
			return
		}
	}
	n, err := parse(content)
	if err != nil {
		t.Errorf("in chunks of %d: %v", size, err)
		return
	}
	seen[n] = true
}

// TestReaderHoldsItsVersion reads half of a file, lets it be replaced, and
// reads on: the rest is of the same version. Rewound it reads the new one.
func TestReaderHoldsItsVersion(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	first := makeDocument(1, 20_000)
	save(t, path, first)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got := make([]byte, len(first)/2)
	if _, err := io.ReadFull(f, got); err != nil {
		t.Fatal(err)
	}
	for seq := int64(2); seq < 6; seq++ {
		save(t, path, makeDocument(seq, int(seq)*3000))
	}
	rest, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if got = append(got, rest...); !bytes.Equal(got, first) {
		_, err := parse(got)
		t.Errorf("the reader's %d bytes are not the %d of its version: %v", len(got), len(first), err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	again, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := parse(again); n != 5 || err != nil {
		t.Errorf("rewound: document %d, %v, want the newest, 5", n, err)
	}
}

// makeDocument is what the writers write.
func makeDocument(seq int64, count int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"head": %d, "who": "go", "body": [%d`, seq, seq)
	for range count {
		fmt.Fprintf(&b, ", %d", seq)
	}
	fmt.Fprintf(&b, `], "tail": %d}`, seq)
	return b.Bytes()
}

func save(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBigSaveKilled kills a Python program at random instants of a save of
// 19 MB.
func TestBigSaveKilled(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("big.json")
	var seq int64
	var took time.Duration
	for round := range harness.Scale(5, 60) {
		p := harness.Cmd{
			Args:  []string{harness.Tool(t, "python3"), "testdata/writers/big.py", path, strconv.FormatInt(seq, 10)},
			Stdin: "save\nsave\n",
		}.Start(t)
		harness.Eventually(t, "the program is ready", func() bool { return p.Stdout() != "" })
		if round == 0 { // lets one save finish, to know how long it takes
			start := time.Now()
			harness.Eventually(t, "the first save", func() bool { return p.Stdout() != "ready\n" })
			took = time.Since(start)
		} else {
			time.Sleep(time.Duration(rand.Int64N(int64(took)*5/4 + 1)))
		}
		p.Signal(syscall.SIGKILL)
		p.Wait(t, 0)
		n := checkBig(t, path)
		ack := bigAcked(p, seq)
		if n < ack || n > ack+1 {
			t.Fatalf("round %d: document %d is there, %d was saved", round, n, ack)
		}
		seq = n
	}
}

func bigAcked(p *harness.Proc, before int64) int64 {
	fields := bytes.Fields([]byte(p.Stdout()))
	if n, err := strconv.ParseInt(string(fields[len(fields)-1]), 10, 64); err == nil {
		return n
	}
	return before
}

// checkBig looks at both ends and the size of the big document.
func checkBig(t *testing.T, path string) int64 {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var n, tail int64
	if _, err := fmt.Sscanf(string(content[:min(64, len(content))]), "{\n  \"head\": %d,", &n); err != nil {
		t.Fatalf("the head of %d bytes: %v", len(content), err)
	}
	end := content[max(0, len(content)-40):]
	at := bytes.LastIndex(end, []byte(`"tail": `))
	if at < 0 {
		t.Fatalf("torn: %d bytes end in %q", len(content), end)
	}
	if _, err := fmt.Sscanf(string(end[at:]), "\"tail\": %d\n}", &tail); err != nil || tail != n {
		t.Fatalf("document %d ends as %d: %v", n, tail, err)
	}
	if got := bytes.Count(content, []byte("\n      \"id\": ")); got != 131_000 {
		t.Fatalf("document %d has %d of 131000 rows", n, got)
	}
	return n
}
