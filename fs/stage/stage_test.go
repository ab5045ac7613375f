package stage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name, content string
		want          Verdict
		proven        bool
		fault         int64 // offset; -1: none
	}{
		{"empty", "", Unfinished, false, 0},
		{"start", "[abc", Unfinished, false, 4},
		{"whole", "[abc]", Whole, true, -1},
		{"invalid", "[aXc]", Invalid, false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, o, fed := setup()
			s := New(o)
			defer s.Discard()
			mustWrite(t, s, 0, []byte(tt.content))
			r := mustJudge(t, s)
			if r.Verdict != tt.want || r.Proven != tt.proven || r.Size != int64(len(tt.content)) {
				t.Errorf("Judge() = %+v, want verdict %v, proven %v", r, tt.want, tt.proven)
			}
			if tt.want != Invalid && r.SHA256 != sha256.Sum256([]byte(tt.content)) {
				t.Errorf("SHA256 = %x", r.SHA256)
			}
			switch {
			case tt.fault < 0 && r.Fault != nil:
				t.Errorf("fault %+v of a whole content", r.Fault)
			case tt.fault >= 0 && (r.Fault == nil || r.Fault.Offset != tt.fault):
				t.Errorf("fault = %+v, want offset %d", r.Fault, tt.fault)
			}
			before := fed.Load()
			if again := mustJudge(t, s); again.Verdict != r.Verdict || fed.Load() != before {
				t.Errorf("judging again read %d bytes", fed.Load()-before)
			}
		})
	}
}

func TestWithoutValidatorEveryContentIsWhole(t *testing.T) {
	s := New(Options{})
	mustWrite(t, s, 0, []byte("anything"))
	if r := mustJudge(t, s); r.Verdict != Whole || r.Proven || r.Fault != nil {
		t.Errorf("Judge() = %+v", r)
	}
}

func TestMemoryThenFile(t *testing.T) {
	d, o, _ := setup()
	s := New(o)
	mustWrite(t, s, 0, make([]byte, DefaultMemoryLimit))
	if d.made != 0 {
		t.Fatalf("a file for %d bytes", DefaultMemoryLimit)
	}
	if _, err := s.Append([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if d.made != 1 {
		t.Fatalf("%d files for more than the limit, want 1", d.made)
	}
	if got := content(t, s); len(got) != DefaultMemoryLimit+1 || got[len(got)-1] != 'x' {
		t.Errorf("content has %d bytes", len(got))
	}
	s.Discard()
	if d.open() != 0 {
		t.Error("Discard left the file open")
	}
}

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
			if r := mustJudge(t, s); r.SHA256 != sha256.Sum256(b) || r.Verdict != Whole {
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

func TestResumeFromCommit(t *testing.T) {
	_, o, fed := setup()
	s := New(o)
	b := bytes.Repeat([]byte("[a]"), 100_000)
	mustWrite(t, s, 0, b)
	out := mustSeal(t, s)
	before := fed.Load()
	next := NewOn(o, Base{Content: bytes.NewReader(b), Size: out.Size, Resume: out.Resume})
	defer next.Discard()
	if _, err := next.Append([]byte("[z]")); err != nil {
		t.Fatal(err)
	}
	r := mustJudge(t, next)
	if want := sha256.Sum256(append(bytes.Clone(b), "[z]"...)); r.SHA256 != want {
		t.Errorf("SHA256 = %x, want %x", r.SHA256, want)
	}
	if got := fed.Load() - before; got != 3 {
		t.Errorf("judged %d bytes for an append of 3", got)
	}
}

func TestBaseIsCopiedLate(t *testing.T) {
	const size = 1 << 20
	tests := []struct {
		name string
		do   func(t *testing.T, s *Stage)
		read int64 // bytes of the base until the change is complete
	}{
		{"nothing", func(*testing.T, *Stage) {}, 0},
		{"cut", func(t *testing.T, s *Stage) { mustTruncate(t, s, 10) }, 0},
		{"emptied", func(t *testing.T, s *Stage) { mustTruncate(t, s, 0) }, 0},
		{"rewritten", func(t *testing.T, s *Stage) {
			for off := int64(0); off < size; off += 8192 {
				mustWrite(t, s, off, make([]byte, 8192))
			}
		}, 0},
		{"rewritten shorter, then cut", func(t *testing.T, s *Stage) {
			mustWrite(t, s, 0, make([]byte, size/2))
			mustTruncate(t, s, size/2)
		}, 0},
		{"middle", func(t *testing.T, s *Stage) { mustWrite(t, s, 5000, []byte("x")) }, 5000},
		{"append", func(t *testing.T, s *Stage) {
			if _, err := s.Append([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}, size},
		{"extended", func(t *testing.T, s *Stage) { mustTruncate(t, s, size+1) }, size},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, o, _ := setup()
			base := &countedBase{b: bytes.Repeat([]byte("b"), size)}
			s := NewOn(o, Base{Content: base, Size: size})
			defer s.Discard()
			if s.Size() != size || s.Changed() {
				t.Fatalf("fresh stage: %d bytes, changed %v", s.Size(), s.Changed())
			}
			tt.do(t, s)
			if got := base.read.Load(); got != tt.read {
				t.Errorf("read %d bytes of the base, want %d", got, tt.read)
			}
			if want := tt.name != "nothing"; s.Changed() != want {
				t.Errorf("Changed() = %v", s.Changed())
			}
		})
	}
}

func TestPoison(t *testing.T) {
	tests := []struct {
		name  string
		start int64
		arm   func(d *disk)
		do    func(s *Stage) error
	}{
		{"no file", 10, func(d *disk) { d.failNew = true }, func(s *Stage) error { return s.Truncate(1 << 20) }},
		{"spill fails", 10, func(d *disk) { d.failWrite = true }, func(s *Stage) error { return s.Truncate(1 << 20) }},
		{"spill short", 10, func(d *disk) { d.short = true }, func(s *Stage) error { return s.Truncate(1 << 20) }},
		{"write fails", 1 << 20, func(d *disk) { d.failWrite = true }, func(s *Stage) error { _, err := s.WriteAt([]byte("ab"), 5); return err }},
		{"write short", 1 << 20, func(d *disk) { d.short = true }, func(s *Stage) error { _, err := s.WriteAt([]byte("ab"), 5); return err }},
		{"append fails", 1 << 20, func(d *disk) { d.failWrite = true }, func(s *Stage) error { _, err := s.Append([]byte("ab")); return err }},
		{"cut fails", 1 << 20, func(d *disk) { d.failTrunc = true }, func(s *Stage) error { return s.Truncate(3) }},
		{"extend fails", 1 << 20, func(d *disk) { d.failTrunc = true }, func(s *Stage) error { return s.Truncate(2 << 20) }},
		{"allocate fails", 1 << 20, func(d *disk) { d.failTrunc = true }, func(s *Stage) error { return s.Allocate(0, 0, 2<<20) }},
		{"sync fails", 1 << 20, func(d *disk) { d.failSync = true }, func(s *Stage) error { return s.Sync() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, o, _ := setup()
			s := New(o)
			mustWrite(t, s, 0, bytes.Repeat([]byte("["), int(tt.start)))
			tt.arm(d)
			if err := tt.do(s); err == nil {
				t.Fatal("no error")
			}
			*d = disk{live: d.live, made: d.made} // the disk is well again
			for name, f := range map[string]func() error{
				"WriteAt":  func() error { _, err := s.WriteAt([]byte("a"), 0); return err },
				"Append":   func() error { _, err := s.Append([]byte("a")); return err },
				"Truncate": func() error { return s.Truncate(0) },
				"Allocate": func() error { return s.Allocate(0, 0, 1) },
				"Judge":    func() error { _, err := s.Judge(); return err },
				"Seal":     func() error { _, err := s.Seal(Result{}); return err },
				"Sync":     s.Sync,
				"Poisoned": s.Poisoned,
			} {
				if err := f(); !errors.Is(err, ErrPoisoned) {
					t.Errorf("%s = %v, want ErrPoisoned", name, err)
				}
			}
			if err := s.Poisoned(); !errors.Is(err, errDisk) && !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("Poisoned() = %v, without the cause", err)
			}
			out, err := s.Salvage()
			if err != nil || out.Size < tt.start/2 {
				t.Errorf("Salvage() = %d bytes, %v", out.Size, err)
			}
			if out.File != nil {
				_ = out.File.Close()
			}
			if n := d.open(); n != 0 {
				t.Errorf("%d files left open", n)
			}
		})
	}
}

func TestUnreadableBase(t *testing.T) {
	_, o, _ := setup()
	base := &countedBase{b: bytes.Repeat([]byte("b"), 100)}
	base.fail.Store(true)
	s := NewOn(o, Base{Content: base, Size: 100})
	if _, err := s.ReadAt(make([]byte, 1), 0); !errors.Is(err, errDisk) {
		t.Errorf("ReadAt = %v", err)
	}
	if _, err := s.Judge(); !errors.Is(err, errDisk) || s.Poisoned() != nil {
		t.Errorf("Judge = %v, poisoned %v", err, s.Poisoned())
	}
	if _, err := s.WriteAt([]byte("x"), 50); !errors.Is(err, errDisk) {
		t.Errorf("WriteAt = %v", err)
	}
	if err := s.Poisoned(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Poisoned() = %v", err)
	}

	short := NewOn(o, Base{Content: bytes.NewReader([]byte("ab")), Size: 100})
	if _, err := short.Append([]byte("x")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("append to a base that ends early: %v", err)
	}
	out, err := short.Salvage()
	if !errors.Is(err, io.ErrUnexpectedEOF) || out.Size > 2 {
		t.Errorf("Salvage() = %d bytes, %v", out.Size, err)
	}
}

func TestBadArguments(t *testing.T) {
	_, o, _ := setup()
	s := New(o)
	defer s.Discard()
	const top = int64(1<<63 - 1)
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"write before 0", func() error { _, err := s.WriteAt([]byte("a"), -1); return err }, syscall.EINVAL},
		{"write beyond the top", func() error { _, err := s.WriteAt([]byte("ab"), top-1); return err }, syscall.EFBIG},
		{"read before 0", func() error { _, err := s.ReadAt(nil, -1); return err }, syscall.EINVAL},
		{"negative size", func() error { return s.Truncate(-1) }, syscall.EINVAL},
		{"allocate nothing", func() error { return s.Allocate(0, 0, 0) }, syscall.EINVAL},
		{"allocate beyond the top", func() error { return s.Allocate(0, top, 2) }, syscall.EFBIG},
		{"collapse", func() error { return s.Allocate(8, 0, 1) }, syscall.EOPNOTSUPP},
		{"punch without keep", func() error { return s.Allocate(2, 0, 1) }, syscall.EOPNOTSUPP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if s.Poisoned() != nil || s.Changed() {
		t.Errorf("poisoned %v, changed %v", s.Poisoned(), s.Changed())
	}
}

func TestSealIsImmutable(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d, o, _ := setup()
			s := New(o)
			want := bytes.Repeat([]byte("[]"), size/2)
			mustWrite(t, s, 0, want)
			out := mustSeal(t, s)
			if (out.File != nil) != (size > DefaultMemoryLimit) || out.SHA256 != sha256.Sum256(want) {
				t.Fatalf("sealed %d bytes, file %v", out.Size, out.File != nil)
			}
			for name, err := range map[string]error{
				"Truncate": s.Truncate(1), "Allocate": s.Allocate(0, 0, 5), "Sync": s.Sync(),
			} {
				if !errors.Is(err, ErrSealed) {
					t.Errorf("%s while sealed = %v", name, err)
				}
			}
			if _, err := s.Salvage(); !errors.Is(err, ErrSealed) {
				t.Errorf("Salvage while sealed = %v", err)
			}
			if got := content(t, s); !bytes.Equal(got, want) {
				t.Error("a sealed stage reads differently")
			}
			s.Committed(Base{Content: out.File, Size: out.Size})
			if out.File == nil {
				s.base.Content = bytes.NewReader(out.Inline)
			}
			mustWrite(t, s, 1, []byte("changed"))
			if got := sealedBytes(t, out); !bytes.Equal(got, want) {
				t.Error("a write after the commit changed what was committed")
			}
			if got := content(t, s); string(got[:8]) != "[changed" || len(got) != size {
				t.Errorf("content after the commit: %q...", got[:8])
			}
			s.Discard()
			if out.File != nil {
				_ = out.File.Close()
			}
			if d.open() != 0 {
				t.Error("files left open")
			}
		})
	}
}

func TestSealStale(t *testing.T) {
	_, o, _ := setup()
	s := New(o)
	defer s.Discard()
	mustWrite(t, s, 0, []byte("[]"))
	r := mustJudge(t, s)
	mustWrite(t, s, 0, []byte("["))
	if _, err := s.Seal(r); !errors.Is(err, ErrStale) {
		t.Errorf("Seal() of a stale result = %v", err)
	}
	if _, err := s.Seal(Result{}); !errors.Is(err, ErrStale) {
		t.Errorf("Seal() of no result = %v", err)
	}
	if _, err := s.Seal(mustJudge(t, s)); err != nil {
		t.Errorf("Seal() = %v", err)
	}
}

func TestUnseal(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		_, o, _ := setup()
		s := New(o)
		want := bytes.Repeat([]byte("[]"), size/2)
		mustWrite(t, s, 0, want)
		out := mustSeal(t, s)
		s.Unseal()
		if !s.Changed() {
			t.Error("a failed commit made the stage clean")
		}
		if out.File == nil {
			mustWrite(t, s, 0, []byte("x"))
			if out.Inline[0] != '[' {
				t.Error("a write after Unseal reached the bytes that were handed out")
			}
			mustWrite(t, s, 0, []byte("["))
		}
		if again := mustSeal(t, s); !bytes.Equal(sealedBytes(t, again), want) {
			t.Error("sealed again with other bytes")
		}
	}
}

func TestCommittedFileWithoutBase(t *testing.T) {
	_, o, _ := setup()
	s := New(o)
	mustWrite(t, s, 0, make([]byte, 1<<20))
	mustSeal(t, s)
	s.Committed(Base{})
	if _, err := s.WriteAt([]byte("a"), 0); !errors.Is(err, ErrPoisoned) {
		t.Errorf("WriteAt = %v, want ErrPoisoned", err)
	}
}

func TestGone(t *testing.T) {
	_, o, _ := setup()
	s := New(o)
	mustWrite(t, s, 0, []byte("a"))
	s.Discard()
	s.Discard()
	s.Committed(Base{})
	s.Unseal()
	for name, f := range map[string]func() error{
		"WriteAt": func() error { _, err := s.WriteAt([]byte("a"), 0); return err },
		"ReadAt":  func() error { _, err := s.ReadAt(make([]byte, 1), 0); return err },
		"Judge":   func() error { _, err := s.Judge(); return err },
		"Salvage": func() error { _, err := s.Salvage(); return err },
	} {
		if err := f(); !errors.Is(err, ErrGone) {
			t.Errorf("%s = %v, want ErrGone", name, err)
		}
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
