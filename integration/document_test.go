package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// document is what the writers in testdata/writers save. Its number stands at
// both ends and all over, so that a torn or mixed document can't pass.
type document struct {
	Head int64
	Who  string
	Body []int64
	Tail int64
}

// parse returns the number of a document, or says what is wrong with it.
func parse(content []byte) (int64, error) {
	var d document
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return 0, fmt.Errorf("torn: %w in %d bytes %.80q", err, len(content), content)
	}
	if rest := bytes.TrimSpace(content[dec.InputOffset():]); len(rest) > 0 {
		return 0, fmt.Errorf("mixed: %d bytes follow document %d", len(rest), d.Head)
	}
	if d.Tail != d.Head {
		return 0, fmt.Errorf("mixed: begins as %d and ends as %d", d.Head, d.Tail)
	}
	for _, n := range d.Body {
		if n != d.Head {
			return 0, fmt.Errorf("mixed: %d inside of %d", n, d.Head)
		}
	}
	return d.Head, nil
}

// parseLines returns the number of the last line of a log whose lines have to
// be documents numbered from 1.
func parseLines(content []byte) (int64, error) {
	if len(content) == 0 {
		return 0, nil
	}
	if content[len(content)-1] != '\n' {
		return 0, fmt.Errorf("torn: the last line does not end: %.80q", content[max(0, len(content)-80):])
	}
	var last int64
	for line := range bytes.Lines(content) {
		n, err := parse(line)
		if err != nil {
			return 0, fmt.Errorf("line after %d: %w", last, err)
		}
		if n != last+1 {
			return 0, fmt.Errorf("lost: line %d follows line %d", n, last)
		}
		last = n
	}
	return last, nil
}

// writer is one of the programs in testdata/writers.
type writer struct {
	name   string
	tool   string
	script string
	file   string
	parse  func([]byte) (int64, error)
}

var writers = []writer{
	{"python", "python3", "python.py", "python.json", parse},
	{"python-rplus", "python3", "rplus.py", "rplus.json", parse},
	{"python-replace", "python3", "replace.py", "replace.json", parse},
	{"python-append", "python3", "append.py", "append.jsonl", parseLines},
	{"shell", "sh", "shell.sh", "shell.json", parse},
	{"jq", "sh", "jq.sh", "jq.json", parse},
	{"node", "node", "node.js", "node.json", parse},
	{"perl", "perl", "perl.pl", "perl.json", parse},
}

// start runs the writer on a file, which has version seq.
func (w writer) start(t testing.TB, path string, seq int64, count int) *harness.Proc {
	t.Helper()
	return harness.Cmd{Args: []string{
		harness.Tool(t, w.tool), "testdata/writers/" + w.script, path,
		strconv.FormatInt(seq, 10), strconv.Itoa(count),
	}}.Start(t)
}

// acked is the last number that a writer said it had saved; an unfinished
// line says nothing.
func acked(t testing.TB, p *harness.Proc, before int64) int64 {
	t.Helper()
	out := p.Stdout()
	lines := strings.Split(out[:strings.LastIndexByte(out, '\n')+1], "\n")
	if len(lines) < 2 {
		return before
	}
	n, err := strconv.ParseInt(lines[len(lines)-2], 10, 64)
	if err != nil {
		t.Errorf("the writer said %q", lines[len(lines)-2])
	}
	return n
}

// waitAck returns when the writer has saved once.
func waitAck(t testing.TB, p *harness.Proc) {
	t.Helper()
	harness.Eventually(t, "the first save", func() bool {
		if p.Exited() {
			r := p.Wait(t, 0)
			t.Fatalf("the writer ended: exit %d, signal %v\n%s", r.Code, r.Signal, r.Stderr)
		}
		return strings.Contains(p.Stdout(), "\n")
	})
}

// isDead is what a mount answers whose daemon is gone.
func isDead(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
}

// dies tells whether the daemon is about to be gone. The kernel answers EIO
// where it kills a daemon that is just taking over a request, or handing over
// an answer; from a daemon that lives on, EIO is a fault.
func dies(path string) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.ReadFile(path); isDead(err) {
			return true
		}
	}
	return false
}

// watch reads a file over and over until stop is closed, and reports whatever
// is not a whole document, or older than one it has read before. A dead mount
// is no fault of a document.
func watch(t testing.TB, path string, parse func([]byte) (int64, error), stop <-chan struct{}) (reads int) {
	var last int64
	for {
		select {
		case <-stop:
			return reads
		case <-time.After(time.Duration(rand.IntN(8000)) * time.Microsecond):
		}
		content, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist) && last == 0, isDead(err), errors.Is(err, syscall.EIO) && dies(path):
			continue
		case err != nil:
			t.Errorf("read %s: %v", path, err)
			return reads
		}
		reads++
		n, err := parse(content)
		if err != nil {
			t.Errorf("read %s after document %d: %v", path, last, err)
			return reads
		}
		if n < last {
			t.Errorf("read %s: document %d after document %d", path, n, last)
			return reads
		}
		last = n
	}
}
