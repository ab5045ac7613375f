package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

var background0 = context.Background()

// memoryHistory is a Preserver whose entries are durable at once.
type memoryHistory struct {
	mu      sync.Mutex
	d       disk.Disk // where Adopt reads; nil: adopts nothing
	entries map[string][]entry
	fail    func(path string) error
}

type entry struct {
	tx      TxID // 0: adopted
	content string
}

func newHistory(d disk.Disk) *memoryHistory {
	return &memoryHistory{d: d, entries: map[string][]entry{}}
}

// on is the same history on another disk.
func (h *memoryHistory) on(d disk.Disk) *memoryHistory {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newHistory(d)
	for path, es := range h.entries {
		c.entries[path] = append([]entry(nil), es...)
	}
	return c
}

func (h *memoryHistory) Preserve(_ context.Context, path string, versions []Kept) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		if err := h.fail(path); err != nil {
			return err
		}
	}
	for _, k := range versions {
		if h.has(path, k.Tx) {
			continue
		}
		content, err := io.ReadAll(io.NewSectionReader(k.Content, 0, k.Size))
		if err != nil {
			return err
		}
		if sha256.Sum256(content) != k.SHA256 {
			return fmt.Errorf("preserve %s tx %d: wrong content", path, k.Tx)
		}
		h.entries[path] = append(h.entries[path], entry{k.Tx, string(content)})
	}
	return nil
}

func (h *memoryHistory) has(path string, tx TxID) bool {
	for _, e := range h.entries[path] {
		if e.tx == tx {
			return true
		}
	}
	return false
}

func (h *memoryHistory) Adopt(_ context.Context, path string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.d == nil {
		return nil
	}
	f, err := h.d.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	content, err := io.ReadAll(io.NewSectionReader(f, 0, info.Size))
	if err != nil {
		return err
	}
	for _, e := range h.entries[path] {
		if e.content == string(content) {
			return nil
		}
	}
	h.entries[path] = append(h.entries[path], entry{0, string(content)})
	return nil
}

func (h *memoryHistory) contents(path string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, e := range h.entries[path] {
		all = append(all, e.content)
	}
	return all
}

// small are the options of tests that fill segments on purpose.
func small(p Preserver) Options {
	return Options{SegmentSize: 16 << 10, MaxInline: 2 << 10, Preserver: p,
		Now: func() time.Time { return time.Unix(1_700_000_000, 0) }, Rand: rand.New(rand.NewSource(1)), Manual: true}
}

func mustOpen(t testing.TB, d disk.Disk, o Options) *Journal {
	t.Helper()
	j, report, err := Open(d, o)
	if err != nil {
		t.Fatalf("open: %v (%+v)", err, report)
	}
	return j
}

// put makes a Put with plausible metadata.
func put(path, content string) Put {
	return Put{Path: path, Inline: []byte(content), Size: int64(len(content)), SHA256: sha256.Sum256([]byte(content)),
		Attr: disk.Attr{Mode: 0o640, Mtime: time.Unix(1_600_000_000, 5), Xattrs: map[string][]byte{"user.a": []byte("b")}},
		Who:  Writer{PID: 42, UID: 1000, Program: "editor"}, Note: "test"}
}

// text is a content of n bytes that tells who it is.
func text(label string, n int) string {
	return (label + ":" + strings.Repeat(label+".", n))[:max(n, len(label)+1)]
}

// putStaged commits a content through a stage of the caller's.
func putStaged(ctx context.Context, j *Journal, p Put) (Version, error) {
	name, f, err := j.NewStage()
	if err != nil {
		return Version{}, err
	}
	_, err = f.WriteAt("test:stage", p.Inline, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Version{}, err
	}
	p.Inline, p.Stage = nil, name
	v, err := j.Commit(ctx, p)
	if err != nil {
		_ = j.Discard(name)
	}
	return v, err
}

// current is what a reader sees: the pending version, else the backing file.
func current(t testing.TB, j *Journal, d disk.Disk, path string) (string, bool) {
	t.Helper()
	v, c, ok, err := j.OpenPending(path)
	if err != nil {
		t.Fatalf("open pending %s: %v", path, err)
	}
	if ok {
		defer c.Close()
		b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err != nil || (sha256.Sum256(b) != v.SHA256 && v.SHA256 != [32]byte{}) {
			t.Fatalf("pending %s: %d bytes with a wrong checksum, %v", path, len(b), err)
		}
		return string(b), true
	}
	f, err := d.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.NewSectionReader(f, 0, info.Size)); err != nil {
		t.Fatal(err)
	}
	return b.String(), true
}

// ledger is what a workload asked for and what it was told.
type ledger struct {
	started map[string][]string // all contents in order; the first is what was there before
	acked   map[string]int      // index of the newest acknowledged one
	ackedTx map[string][]TxID
	maxTx   TxID
	links   map[string][]string // other names of a path
}

func newLedger(before map[string]string) *ledger {
	l := &ledger{started: map[string][]string{}, acked: map[string]int{}, ackedTx: map[string][]TxID{}, links: map[string][]string{}}
	for path, content := range before {
		l.started[path] = []string{content}
	}
	return l
}

// commit runs one commit and enters it.
func (l *ledger) commit(j *Journal, path, content string, staged bool) error {
	names := append([]string{path}, l.links[path]...)
	for _, name := range names {
		if len(l.started[name]) == 0 {
			l.started[name] = []string{absent}
		}
		l.started[name] = append(l.started[name], content)
	}
	p := put(path, content)
	p.Links = l.links[path]
	var v Version
	var err error
	if staged {
		v, err = putStaged(background0, j, p)
	} else {
		v, err = j.Commit(background0, p)
	}
	for _, name := range names {
		if started := l.started[name]; err == nil {
			l.acked[name] = len(started) - 1
			l.ackedTx[name] = append(l.ackedTx[name], v.Tx)
			l.maxTx = max(l.maxTx, v.Tx)
		} else {
			// Without a crash the one before is the newest again.
			l.started[name] = append(started, started[len(started)-2])
		}
	}
	return err
}

// wantLinked checks that the names of each file that was committed to are the
// same file beneath.
func (l *ledger) wantLinked(t testing.TB, d *disktest.Disk) {
	t.Helper()
	for path, links := range l.links {
		if len(l.ackedTx[path]) == 0 {
			continue
		}
		of, err := d.Stat(path)
		for _, name := range links {
			if info, lerr := d.Stat(name); err != nil || lerr != nil || info.Ino != of.Ino {
				t.Fatalf("%s is inode %d (%v), %s is %d (%v)", path, of.Ino, err, name, info.Ino, lerr)
			}
		}
	}
}

const absent = "\x00absent"

// wantWhole checks the backing directory alone: each file is one version.
func (l *ledger) wantWhole(t testing.TB, d *disktest.Disk) {
	t.Helper()
	tree := d.Tree("")
	for path, versions := range l.started {
		got, ok := tree[path]
		if !ok {
			got = absent
		}
		if !contains(versions, got) {
			t.Fatalf("%s is not a version: %s", path, brief(got))
		}
		if versions[0] != absent && !ok {
			t.Fatalf("%s is gone", path)
		}
	}
}

// wantDurable checks what a reader sees after recovery: not older than what
// was acknowledged.
func (l *ledger) wantDurable(t testing.TB, j *Journal, d disk.Disk) {
	t.Helper()
	for path, versions := range l.started {
		got, ok := current(t, j, d, path)
		if !ok {
			got = absent
		}
		if !contains(versions[l.acked[path]:], got) {
			t.Fatalf("%s: got %s, acknowledged was %s", path, brief(got), brief(versions[l.acked[path]]))
		}
	}
}

// wantKept checks that the history has every acknowledged version.
func (l *ledger) wantKept(t testing.TB, h *memoryHistory) {
	t.Helper()
	for path, txs := range l.ackedTx {
		for _, tx := range txs {
			if !h.has(path, tx) {
				t.Fatalf("%s: version %d is not in the history", path, tx)
			}
		}
		if before := l.started[path][0]; before != absent && len(txs) > 0 && !contains(h.contents(path), before) {
			t.Fatalf("%s: what was there before is not in the history", path)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func brief(s string) string {
	if len(s) > 24 {
		return fmt.Sprintf("%q… (%d bytes)", s[:24], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// userTree is the backing directory without intact's own files.
func userTree(d *disktest.Disk) map[string]string {
	tree := d.Tree("")
	for name := range tree {
		if strings.HasPrefix(name, privateDir+"/") {
			delete(tree, name)
		}
	}
	return tree
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
