package stage

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// brackets judges contents of '[', ']' and other bytes: whole while every
// bracket is closed and there was one, invalid after an 'X' or an early ']'.
type brackets struct {
	fed    *atomic.Int64 // bytes judged, by all clones together
	n      int64
	depth  int
	seen   bool
	bad    bool
	badOff int64
}

func (b *brackets) Write(p []byte) {
	b.fed.Add(int64(len(p)))
	for i, c := range p {
		switch {
		case b.bad:
		case c == '[':
			b.depth++
			b.seen = true
		case c == ']' && b.depth > 0:
			b.depth--
		case c == ']' || c == 'X':
			b.bad, b.badOff = true, b.n+int64(i)
		}
	}
	b.n += int64(len(p))
}

func (b *brackets) Verdict() Verdict {
	switch {
	case b.bad:
		return Invalid
	case b.seen && b.depth == 0:
		return Whole
	}
	return Unfinished
}

func (b *brackets) Fault() *Fault {
	if b.bad {
		return &Fault{Reason: "bad byte", Line: 1, Column: b.badOff + 1, Offset: b.badOff}
	}
	if b.Verdict() == Whole {
		return nil
	}
	return &Fault{Reason: "open bracket", Line: 1, Column: b.n + 1, Offset: b.n}
}

func (b *brackets) Proven() bool { return b.seen }

func (b *brackets) Clone() Validator {
	c := *b
	return &c
}

var errDisk = errors.New("disk says no")

// disk makes files in memory, counts them, and can fail.
type disk struct {
	mu        sync.Mutex
	made      int
	live      map[*memFile]bool
	hints     int64 // bytes hinted
	failNew   bool
	failWrite bool
	short     bool
	failTrunc bool
	failSync  bool
	failRead  bool
	gate      chan struct{} // if not nil, reads wait for it to close
}

func (d *disk) newFile() (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failNew {
		return nil, errDisk
	}
	f := &memFile{d: d}
	d.made++
	if d.live == nil {
		d.live = map[*memFile]bool{}
	}
	d.live[f] = true
	return f, nil
}

func (d *disk) discard(f File) { _ = f.Close() }

func (d *disk) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.live)
}

type memFile struct {
	d *disk
	b []byte
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	gate := f.d.gate
	f.d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.failRead {
		return 0, errDisk
	}
	if !f.d.live[f] {
		return 0, errors.New("read of a closed file")
	}
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(p, f.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.failWrite {
		return 0, errDisk
	}
	if f.d.short {
		p = p[:len(p)/2]
	}
	if end := off + int64(len(p)); end > int64(len(f.b)) {
		f.b = append(f.b, make([]byte, end-int64(len(f.b)))...)
	}
	return copy(f.b[off:], p), nil
}

func (f *memFile) Truncate(n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.failTrunc {
		return errDisk
	}
	if n <= int64(len(f.b)) {
		f.b = f.b[:n:n]
	} else {
		f.b = append(f.b, make([]byte, n-int64(len(f.b)))...)
	}
	return nil
}

func (f *memFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.failSync {
		return errDisk
	}
	return nil
}

func (f *memFile) StartWriteback(_, n int64) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.hints += n
}

func (f *memFile) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.live, f)
	return nil
}

// setup is a disk and options on it; fed counts what validators were given.
func setup() (*disk, Options, *atomic.Int64) {
	d, fed := &disk{}, new(atomic.Int64)
	return d, Options{
		NewFile:      d.newFile,
		DiscardFile:  d.discard,
		NewValidator: func() Validator { return &brackets{fed: fed} },
	}, fed
}

// countedBase counts the bytes read from it.
type countedBase struct {
	b    []byte
	read atomic.Int64
	fail atomic.Bool
}

func (c *countedBase) ReadAt(p []byte, off int64) (int, error) {
	if c.fail.Load() {
		return 0, errDisk
	}
	n, err := bytes.NewReader(c.b).ReadAt(p, off)
	c.read.Add(int64(n))
	return n, err
}

func mustWrite(t *testing.T, s *Stage, off int64, b []byte) {
	t.Helper()
	if n, err := s.WriteAt(b, off); n != len(b) || err != nil {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(b), off, n, err)
	}
}

func mustTruncate(t *testing.T, s *Stage, size int64) {
	t.Helper()
	if err := s.Truncate(size); err != nil {
		t.Fatalf("Truncate(%d) = %v", size, err)
	}
}

func mustJudge(t *testing.T, s *Stage) Result {
	t.Helper()
	r, err := s.Judge()
	if err != nil {
		t.Fatalf("Judge() = %v", err)
	}
	return r
}

func mustSeal(t *testing.T, s *Stage) Sealed {
	t.Helper()
	out, err := s.Seal(mustJudge(t, s))
	if err != nil {
		t.Fatalf("Seal() = %v", err)
	}
	return out
}

// content reads the stage in one go.
func content(t *testing.T, s *Stage) []byte {
	t.Helper()
	b := make([]byte, s.Size())
	if n, err := s.ReadAt(b, 0); n != len(b) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("ReadAt(%d bytes, 0) = %d, %v", len(b), n, err)
	}
	return b
}

func sealedBytes(t *testing.T, out Sealed) []byte {
	t.Helper()
	if out.File == nil {
		return out.Inline
	}
	b := make([]byte, out.Size)
	if n, err := out.File.ReadAt(b, 0); n != len(b) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("sealed file: %d, %v", n, err)
	}
	return b
}

// eventually polls for what another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// idle tells that no follower is at work.
func idle(s *Stage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.following && s.users == 0
}
