package caller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The modes of the links in fd/ tell what fdinfo would.
func TestAccessOfOpenFiles(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name  string
		flags int
		fits  []access
	}{
		{"read", unix.O_RDONLY, nil},
		{"write", unix.O_WRONLY, []access{unix.O_WRONLY, anyWriter}},
		{"both", unix.O_RDWR, []access{unix.O_RDWR, anyWriter}},
		{"append", unix.O_WRONLY | unix.O_APPEND, []access{unix.O_WRONLY, anyWriter}},
		{"path", unix.O_PATH, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(dir, tc.name)
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			fd, err := unix.Open(path, tc.flags|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Close(fd) }()
			for _, a := range []access{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, anyWriter} {
				fds, total, err := candidates("/proc/self/fd", a, time.Time{})
				if got, want := slices.Contains(fds, uint32(fd)), slices.Contains(tc.fits, a); got != want || err != nil {
					t.Errorf("access %d: listed %v, %v; want %v", a, got, err, want)
				}
				if total <= len(fds) && a != anyWriter {
					t.Errorf("access %d: %d of %d descriptors", a, len(fds), total)
				}
			}
		})
	}
}

// A look for one kind of access finds that, and knows of the others.
func TestLooksByAccess(t *testing.T) {
	path, ino, m := target(t)
	tab := newTable(t, Options{Mount: m})
	p := start(t, "hold", path)
	for flags, want := range map[uint32]int{unix.O_WRONLY: 1, unix.O_RDWR: 0, unix.O_RDONLY: 0} {
		if l := tab.Copies(p.pid, ino, flags); l.Count != want || !l.Known || !l.Alive {
			t.Errorf("Copies with flags %d = %+v; want %d, of one that is alive", flags, l, want)
		}
	}
}

func TestCandidatesOfNobody(t *testing.T) {
	if fds, n, err := candidates(filepath.Join(t.TempDir(), "gone"), anyWriter, time.Time{}); fds != nil || n != 0 || err != nil {
		t.Errorf("of a process that is gone: %v, %d, %v", fds, n, err)
	}
	if _, _, err := candidates("/proc/self/fd", anyWriter, time.Now().Add(-time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
}

func TestNumbers(t *testing.T) {
	dir := t.TempDir()
	want := []uint32{0, 7, 4294967295}
	for i := range 300 { // more than one call lists
		want = append(want, uint32(1000+i))
	}
	for _, n := range want {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{"self", "12a", "a12", "-3", "99999999999999999999", "42949672990", "4294967296"} {
		if err := os.WriteFile(filepath.Join(dir, other), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := list(dir)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("list = %v, %v; want %v", got, err, want)
	}
	if _, err := numbers(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("numbers of no descriptor: %v", err)
	}
	if n, ok := number([]byte(strings.Repeat("1", 5))); ok {
		t.Errorf("a name without an end is %d", n)
	}
}

// BenchmarkLook is what a close of a changed file costs at least, for a process
// with nine descriptors of which six can be written to.
func BenchmarkLook(b *testing.B) {
	for range 6 {
		f, err := os.CreateTemp(b.TempDir(), "")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
	}
	tab := New(Options{})
	defer tab.Close()
	b.ReportAllocs()
	for b.Loop() {
		if l := tab.look(self(), unix.O_WRONLY); !l.known {
			b.Fatal("not known")
		}
	}
}
