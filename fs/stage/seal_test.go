package stage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"
)

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

func TestSealIsImmutable(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d, o, _ := setup()
			s := New(o)
			want := bytes.Repeat([]byte("[]"), size/2)
			mustWrite(t, s, 0, want)
			out := mustSeal(t, s)
			if !out.HasCRC || out.CRC32C != crc32.Checksum(want, castagnoli) {
				t.Errorf("sealed with CRC32C %x, %v", out.CRC32C, out.HasCRC)
			}
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
