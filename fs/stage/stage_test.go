package stage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
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

func TestReadAt(t *testing.T) {
	_, o, _ := setup()
	s := NewOn(o, Base{Content: bytes.NewReader([]byte("0123456789")), Size: 10})
	defer s.Discard()
	mustWrite(t, s, 0, []byte("abcd")) // own bytes first, then the base
	tests := []struct {
		name string
		off  int64
		n    int
		want string
		err  error
	}{
		{"own", 0, 3, "abc", nil},
		{"across", 2, 4, "cd45", nil},
		{"base", 5, 2, "56", nil},
		{"all", 0, 10, "abcd456789", nil},
		{"too much", 8, 5, "89", io.EOF},
		{"at the end", 10, 1, "", io.EOF},
		{"beyond the end", 99, 1, "", io.EOF},
		{"nothing", 3, 0, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := make([]byte, tt.n)
			n, err := s.ReadAt(p, tt.off)
			if string(p[:n]) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("ReadAt = %q, %v; want %q, %v", p[:n], err, tt.want, tt.err)
			}
		})
	}
}

func TestAllocate(t *testing.T) {
	const keep, punch, zero = 1, 2, 0x10
	tests := []struct {
		name   string
		mode   uint32
		off, n int64
		want   string
		change bool
	}{
		{"inside", 0, 2, 3, "abcdef", false},
		{"grows", 0, 4, 4, "abcdef\x00\x00", true},
		{"keep", keep, 4, 100, "abcdef", false},
		{"punch", punch | keep, 1, 2, "a\x00\x00def", true},
		{"punch over the end", punch | keep, 4, 100, "abcd\x00\x00", true},
		{"punch beyond the end", punch | keep, 50, 100, "abcdef", false},
		{"zero", zero, 4, 4, "abcd\x00\x00\x00\x00", true},
		{"zero and keep", zero | keep, 4, 4, "abcd\x00\x00", true},
		{"zero beyond the end", zero, 7, 1, "abcdef\x00\x00", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, o, _ := setup()
			s := NewOn(o, Base{Content: bytes.NewReader([]byte("abcdef")), Size: 6})
			defer s.Discard()
			if err := s.Allocate(tt.mode, tt.off, tt.n); err != nil {
				t.Fatal(err)
			}
			if got := content(t, s); string(got) != tt.want || s.Changed() != tt.change {
				t.Errorf("content %q, changed %v; want %q, %v", got, s.Changed(), tt.want, tt.change)
			}
		})
	}
}

// Buffers are reused between stages: nothing of one may show in another.
func TestBuffersDoNotLeak(t *testing.T) {
	_, o, _ := setup()
	for _, size := range []int64{100, 5000, 60_000, 200_000} {
		for range 3 {
			s := New(o)
			mustTruncate(t, s, size)
			if got := content(t, s); bytes.ContainsAny(got, "S") {
				t.Fatalf("bytes of another stage in %d extended ones", size)
			}
			mustWrite(t, s, 0, bytes.Repeat([]byte("S"), int(size)))
			mustTruncate(t, s, 1)
			mustTruncate(t, s, size)
			if got := content(t, s); bytes.Count(got, []byte("S")) != 1 {
				t.Fatal("cut bytes came back")
			}
			s.Discard()
		}
	}
}

// What makes no difference to the verdict is not read: a sparse extension by
// a terabyte after an invalid byte costs nothing.
func TestInvalidIsNotReadFurther(t *testing.T) {
	_, o, fed := setup()
	base := &countedBase{b: append([]byte("[X"), make([]byte, 4<<20)...)}
	s := NewOn(o, Base{Content: base, Size: int64(len(base.b))})
	defer s.Discard()
	if r := mustJudge(t, s); r.Verdict != Invalid || r.Fault.Offset != 1 {
		t.Errorf("Judge() = %+v", r)
	}
	if fed.Load() > pieceSize || base.read.Load() > pieceSize {
		t.Errorf("read %d, judged %d bytes after the fault", base.read.Load(), fed.Load())
	}
	mustTruncate(t, s, 1)
	mustWrite(t, s, 1, []byte("]"))
	if r := mustJudge(t, s); r.Verdict != Whole {
		t.Errorf("Judge() of the mended content = %+v", r)
	}
}
