package stage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Sequential writes are judged once, and the follower leaves little to Judge.
func TestFollowerKeepsUp(t *testing.T) {
	for _, chunk := range []int{4096, 8191, 1 << 20} {
		t.Run(fmt.Sprint(chunk), func(t *testing.T) {
			d, o, fed := setup()
			s := New(o)
			defer s.Discard()
			b := bytes.Repeat([]byte("[abcdef]"), 19<<20/8)
			for off := 0; off < len(b); off += chunk {
				mustWrite(t, s, int64(off), b[off:min(off+chunk, len(b))])
				if lag := int64(off) - fed.Load(); lag > maxLag+1<<20+pieceSize {
					t.Fatalf("follower is %d bytes behind", lag)
				}
			}
			eventually(t, "the follower ends", func() bool { return idle(s) })
			if left := int64(len(b)) - fed.Load(); left >= pieceSize {
				t.Errorf("%d bytes left for Judge, want less than %d", left, pieceSize)
			}
			if r := mustJudge(t, s); r.SHA256 != [32]byte{} || r.Verdict != Whole {
				t.Errorf("wrong result %+v", r)
			}
			if got := fed.Load(); got != int64(len(b)) {
				t.Errorf("judged %d bytes of %d", got, len(b))
			}
			if d.hints < int64(len(b))-writebackEvery-1<<20 || d.hints > int64(len(b)) {
				t.Errorf("writeback hinted for %d of %d bytes", d.hints, len(b))
			}
		})
	}
}

// atEnd is brackets that count how often they are asked.
type atEnd struct {
	brackets
	asked *atomic.Int64
}

func (a *atEnd) AtEnd() bool { return true }

func (a *atEnd) Verdict() Verdict {
	a.asked.Add(1)
	return a.brackets.Verdict()
}

func (a *atEnd) Clone() Validator {
	c := *a
	return &c
}

// Who judges whole documents is asked at the end alone, and not kept.
func TestDeferredIsAskedAtTheEnd(t *testing.T) {
	_, o, fed := setup()
	var asked atomic.Int64
	o.NewValidator = func() Validator { return &atEnd{brackets{fed: fed}, &asked} }
	s := New(o)
	b := bytes.Repeat([]byte("[abcdef]"), 4<<20/8)
	for off := 0; off < len(b); off += 1 << 20 {
		mustWrite(t, s, int64(off), b[off:off+1<<20])
	}
	eventually(t, "the follower ends", func() bool { return idle(s) })
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times before the end", n)
	}
	if r := mustJudge(t, s); r.Verdict != Whole || asked.Load() != 1 {
		t.Errorf("%+v, asked %d times", r, asked.Load())
	}
	mustWrite(t, s, 8, []byte("]"))
	if r := mustJudge(t, s); r.Verdict != Invalid {
		t.Errorf("after a change within: %+v", r)
	}
	mustWrite(t, s, 8, []byte("["))
	if mustSeal(t, s).Resume != nil {
		t.Error("it is kept beyond the stage")
	}
}

func TestSumEndsAtItsLimit(t *testing.T) {
	for _, c := range []struct {
		name      string
		size, cut int64
		want      bool
	}{
		{"at the limit", sumLimit, sumLimit, true},
		{"above it", sumLimit + 1, sumLimit + 1, false},
		{"cut below it", sumLimit + 5*pieceSize, sumLimit - 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, o, _ := setup()
			s := New(o)
			defer s.Discard()
			b := bytes.Repeat([]byte("[]"), int(c.size/2+1))[:c.size]
			mustWrite(t, s, 0, b)
			mustJudge(t, s)
			if err := s.Truncate(c.cut); err != nil {
				t.Fatal(err)
			}
			want := [32]byte{}
			if c.want {
				want = sha256.Sum256(b[:c.cut])
			}
			if r := mustJudge(t, s); r.Verdict != Invalid && r.SHA256 != want {
				t.Errorf("SHA256 = %x, want %x", r.SHA256, want)
			}
			if r := mustJudge(t, s); !r.HasCRC || r.CRC32C != crc32.Checksum(b[:c.cut], castagnoli) {
				t.Errorf("CRC32C = %x, %v", r.CRC32C, r.HasCRC)
			}
		})
	}
}

func TestTailRewriteResumes(t *testing.T) {
	_, o, fed := setup()
	s := New(o)
	defer s.Discard()
	b := append(append([]byte{'['}, bytes.Repeat([]byte("a"), 8<<20)...), ']')
	mustWrite(t, s, 0, b)
	mustJudge(t, s)
	before := fed.Load()
	mustWrite(t, s, int64(len(b))-1, []byte("tail]"))
	if r := mustJudge(t, s); r.Verdict != Whole {
		t.Fatalf("verdict %v", r.Verdict)
	}
	if got := fed.Load() - before; got > 1<<20 {
		t.Errorf("judged %d bytes again for a new tail", got)
	}
	before = fed.Load()
	if _, err := s.Append([]byte("[more]")); err != nil {
		t.Fatal(err)
	}
	mustJudge(t, s)
	if got := fed.Load() - before; got != 6 {
		t.Errorf("judged %d bytes for an append of 6", got)
	}
}

// A follower that is stuck in a read is waited for, and its result dropped if
// the content under it was cut.
func TestCutUnderTheFollower(t *testing.T) {
	d, o, _ := setup()
	s := New(o)
	gate := make(chan struct{})
	d.gate = gate
	mustWrite(t, s, 0, bytes.Repeat([]byte("X"), 1<<20))
	mustTruncate(t, s, 0)
	mustWrite(t, s, 0, []byte("[]"))
	d.mu.Lock()
	d.gate = nil
	d.mu.Unlock()
	close(gate)
	if r := mustJudge(t, s); r.Verdict != Whole || r.SHA256 != sha256.Sum256([]byte("[]")) {
		t.Errorf("Judge() = %+v", r)
	}
	s.Discard()
	if d.open() != 0 {
		t.Error("file left open")
	}
}

func TestFollowerReadError(t *testing.T) {
	d, o, _ := setup()
	s := New(o)
	d.failRead = true
	mustWrite(t, s, 0, make([]byte, 1<<20))
	eventually(t, "the follower gives up", func() bool { return idle(s) })
	if _, err := s.Judge(); !errors.Is(err, errDisk) {
		t.Errorf("Judge() = %v", err)
	}
	d.failRead = false
	if r := mustJudge(t, s); r.SHA256 != sha256.Sum256(make([]byte, 1<<20)) {
		t.Error("wrong sum after a read error")
	}
	s.Discard()
}

// Everything at once: for the race detector, and no goroutine, file or wait
// may be left.
func TestConcurrent(t *testing.T) {
	before := runtime.NumGoroutine()
	d, o, _ := setup()
	for range 20 {
		s := New(o)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				b := bytes.Repeat([]byte("[]"), 50_000)
				for range 8 {
					_, _ = s.Append(b)
				}
			})
		}
		wg.Go(func() {
			for i := range int64(20) {
				_, _ = s.WriteAt([]byte("[]"), i*20_000)
				_ = s.Truncate(s.Size() - i)
				_ = s.Sync()
			}
		})
		wg.Go(func() {
			for range 10 {
				r, err := s.Judge()
				if err != nil {
					continue
				}
				if _, err := s.Seal(r); err == nil {
					s.Unseal()
				}
				_, _ = s.ReadAt(make([]byte, 100), 0)
			}
		})
		wg.Go(func() {
			// Bounded: every append may meet a seal.
			for i := 0; i < 10_000 && s.Size() < 300_000; i++ {
				runtime.Gosched()
			}
			s.Discard()
		})
		wg.Wait()
	}
	if n := d.open(); n != 0 {
		t.Errorf("%d files left open", n)
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func BenchmarkSave(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10, 19 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			_, o, _ := setup()
			p := bytes.Repeat([]byte("[abcdef]"), size/8)
			b.SetBytes(int64(size))
			for b.Loop() {
				s := New(o)
				for off := 0; off < len(p); off += 1 << 20 {
					if _, err := s.WriteAt(p[off:min(off+1<<20, len(p))], int64(off)); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := s.Judge(); err != nil {
					b.Fatal(err)
				}
				s.Discard()
			}
		})
	}
}

// A save that is discarded while its writer waits for the follower lets both
// go.
func TestDiscardWhileTheWriterWaits(t *testing.T) {
	d, o, _ := setup()
	s := New(o)
	gate := make(chan struct{})
	d.gate = gate // the follower is stuck in its first read
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range int64(maxLag>>20 + 12) {
			if _, err := s.WriteAt(make([]byte, 1<<20), i<<20); err != nil {
				if !errors.Is(err, ErrGone) {
					t.Errorf("WriteAt = %v", err)
				}
				return
			}
		}
	}()
	eventually(t, "the writer is maxLag ahead", func() bool { return s.Size() > maxLag })
	gone := make(chan struct{})
	go func() { defer close(gone); s.Discard() }()
	eventually(t, "the discard is under way", func() bool { return s.Size() == 0 || isGone(s) })
	close(gate)
	<-gone
	<-done
	if d.open() != 0 {
		t.Error("file left open")
	}
}

func isGone(s *Stage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == gone
}

// Checkpoints thin out, but a rewritten tail never costs more than a part.
func TestMarksAreBounded(t *testing.T) {
	_, o, fed := setup()
	s := New(o)
	defer s.Discard()
	const size = 24 << 20
	for off := int64(0); off < size; off += 1 << 20 {
		mustWrite(t, s, off, make([]byte, 1<<20))
	}
	mustJudge(t, s)
	if n := len(s.d.marks); n > maxMarks || n < maxMarks/4 {
		t.Errorf("%d marks", n)
	}
	before := fed.Load()
	mustWrite(t, s, size/2, []byte("[]"))
	mustJudge(t, s)
	if got := fed.Load() - before; got < size/2 || got > size/2+1<<20 {
		t.Errorf("judged %d bytes again after a write in the middle of %d", got, size)
	}
}

// What lags far behind is digested while the file is synced. When that sync
// fails the content is lost for good, whatever a second one says.
func TestFailedSyncBesideJudgePoisons(t *testing.T) {
	d, o, _ := setup()
	s := New(o)
	defer s.Discard()
	b := bytes.Repeat([]byte("[abcdef]"), 1<<20/4)
	mustWrite(t, s, 0, []byte("[")) // a run that starts later is left for Judge
	mustWrite(t, s, int64(len(b)), b)
	mustWrite(t, s, 0, b)
	eventually(t, "the follower ends", func() bool { return idle(s) })
	s.mu.Lock()
	s.d.rollback(0)
	s.mu.Unlock()
	setFailSync := func(on bool) {
		d.mu.Lock()
		d.failSync = on
		d.mu.Unlock()
	}
	setFailSync(true)
	if _, err := s.Judge(); !errors.Is(err, ErrPoisoned) && s.Poisoned() == nil {
		t.Fatalf("got %v, want the failed sync", err)
	}
	setFailSync(false)
	if _, err := s.Judge(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("got %v after the sync works again, want %v", err, ErrPoisoned)
	}
}
