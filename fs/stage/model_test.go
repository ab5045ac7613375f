package stage

import (
	"bytes"
	"crypto/sha256"
	"hash/crc32"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// model is a content as plain bytes.
type model struct{ b []byte }

func (m *model) write(p []byte, off int) {
	m.resize(max(len(m.b), off+len(p)))
	copy(m.b[off:], p)
}

func (m *model) resize(n int) {
	if n <= len(m.b) {
		m.b = m.b[:n:n]
		return
	}
	m.b = append(m.b, make([]byte, n-len(m.b))...)
}

func (m *model) zero(off, end int) {
	for i := off; i < min(end, len(m.b)); i++ {
		m.b[i] = 0
	}
}

func judgeAll(b []byte) *brackets {
	v := &brackets{fed: new(atomic.Int64)}
	v.Write(b)
	return v
}

// checkSame compares size, bytes, digest and verdict with the model.
func checkSame(t *rapid.T, s *Stage, m *model) Result {
	if got, want := s.Size(), int64(len(m.b)); got != want {
		t.Fatalf("Size() = %d, want %d", got, want)
	}
	got := make([]byte, len(m.b))
	if n, _ := s.ReadAt(got, 0); n != len(got) || !bytes.Equal(got, m.b) {
		t.Fatalf("content differs from the model (%d of %d bytes read)", n, len(got))
	}
	r, err := s.Judge()
	if err != nil {
		t.Fatalf("Judge() = %v", err)
	}
	v := judgeAll(m.b)
	if r.Verdict != v.Verdict() || r.Size != int64(len(m.b)) {
		t.Fatalf("Judge() = %v of %d bytes, want %v of %d", r.Verdict, r.Size, v.Verdict(), len(m.b))
	}
	if want := sha256.Sum256(m.b); r.Verdict != Invalid && r.SHA256 != want {
		t.Fatalf("SHA256 = %x, want %x", r.SHA256, want)
	}
	if want := crc32.Checksum(m.b, castagnoli); r.HasCRC && r.CRC32C != want || !r.HasCRC && r.Verdict != Invalid {
		t.Fatalf("CRC32C = %x, %v, want %x", r.CRC32C, r.HasCRC, want)
	}
	if r.Verdict == Invalid && r.Fault.Offset != v.badOff {
		t.Fatalf("fault at %d, want %d", r.Fault.Offset, v.badOff)
	}
	return r
}

func fill(t *rapid.T, n int) []byte {
	set := rapid.SampledFrom([]string{"a", "[]", "[a]b", "[", "]", "aX"}).Draw(t, "pattern")
	return bytes.Repeat([]byte(set), n/len(set)+1)[:n]
}

// TestModel runs random operations, commits and failed commits against plain
// bytes, with a small memory limit so that all of it crosses into files.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o, _ := setup()
		o.MemoryLimit = int64(rapid.SampledFrom([]int{1, 5000, 100_000, 256 << 10}).Draw(t, "limit"))
		m := &model{}
		var base Base
		if n := rapid.SampledFrom([]int{0, 10, 70_000, 200_000}).Draw(t, "base"); n > 0 {
			m.b = fill(t, n)
			base = Base{Content: bytes.NewReader(bytes.Clone(m.b)), Size: int64(n)}
		}
		s := NewOn(o, base)
		var given []File
		size := func(label string) int {
			return rapid.OneOf(rapid.IntRange(0, 300_000), rapid.Just(len(m.b)), rapid.IntRange(0, 200)).Draw(t, label)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"write", "write", "append", "run", "truncate", "allocate", "judge", "commit", "unseal"}).Draw(t, "op") {
			case "write":
				off, p := size("off"), fill(t, rapid.IntRange(0, 90_000).Draw(t, "n"))
				if _, err := s.WriteAt(p, int64(off)); err != nil {
					t.Fatalf("WriteAt: %v", err)
				}
				if len(p) > 0 {
					m.write(p, off)
				}
				clear(p) // nothing may have retained it
			case "append":
				p := fill(t, rapid.IntRange(1, 1000).Draw(t, "n"))
				if off, err := s.Append(p); err != nil || off != int64(len(m.b)) {
					t.Fatalf("Append = %d, %v; want %d", off, err, len(m.b))
				}
				m.write(p, len(m.b))
			case "run":
				p, off := fill(t, 40_000), size("off")
				for range 5 {
					if _, err := s.WriteAt(p, int64(off)); err != nil {
						t.Fatalf("WriteAt: %v", err)
					}
					m.write(p, off)
					off += len(p)
				}
			case "truncate":
				n := size("size")
				if err := s.Truncate(int64(n)); err != nil {
					t.Fatalf("Truncate: %v", err)
				}
				m.resize(n)
			case "allocate":
				off, n := size("off"), rapid.IntRange(1, 90_000).Draw(t, "n")
				mode := rapid.SampledFrom([]uint32{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE,
					unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE}).Draw(t, "mode")
				if err := s.Allocate(mode, int64(off), int64(n)); err != nil {
					t.Fatalf("Allocate: %v", err)
				}
				if mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
					m.resize(max(len(m.b), off+n))
				}
				if mode&^uint32(unix.FALLOC_FL_KEEP_SIZE) != 0 {
					m.zero(off, off+n)
				}
			case "judge":
				checkSame(t, s, m)
			case "commit":
				out, err := s.Seal(checkSame(t, s, m))
				if err != nil {
					t.Fatalf("Seal: %v", err)
				}
				if out.File != nil {
					given = append(given, out.File)
					s.Committed(Base{Content: out.File, Size: out.Size})
				} else {
					s.Committed(Base{})
				}
				if s.Changed() {
					t.Fatal("changed right after a commit")
				}
				if rapid.Bool().Draw(t, "reopen") {
					content := Base{Content: bytes.NewReader(bytes.Clone(m.b)), Size: out.Size, Resume: out.Resume}
					s.Discard()
					s = NewOn(o, content)
				}
			case "unseal":
				if _, err := s.Seal(checkSame(t, s, m)); err != nil {
					t.Fatalf("Seal: %v", err)
				}
				s.Unseal()
			}
		}
		checkSame(t, s, m)
		out, err := s.Salvage()
		if err != nil || out.Size != int64(len(m.b)) {
			t.Fatalf("Salvage = %d bytes, %v; want %d", out.Size, err, len(m.b))
		}
		if out.File != nil {
			given = append(given, out.File)
		}
		for _, f := range given {
			_ = f.Close()
		}
		if n := d.open(); n != 0 {
			t.Fatalf("%d files left open", n)
		}
	})
}
