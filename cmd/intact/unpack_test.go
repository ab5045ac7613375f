package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// archiveOf makes a tar archive with one file for each header.
func archiveOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	mtime := time.Date(2026, 1, 4, 12, 0, 0, 123456789, time.UTC)
	long := strings.Repeat("n", 255)
	headers := []tar.Header{
		{Name: "a.json", Size: 7, Mode: 0o640},
		{Name: "d/e/b.json", Size: unpackAhead + 1, Mode: 0o600},
		{Name: "d/empty.json", Size: 0, Mode: 0o444},
		{Name: "d/" + long, Size: 1, Mode: 0o644},
	}
	for i := range headers {
		h := &headers[i]
		h.Typeflag, h.ModTime, h.Uid, h.Gid = tar.TypeReg, mtime, os.Getuid(), os.Getgid()
	}
	if os.Getuid() == 0 {
		headers[0].Uid, headers[0].Gid = 12345, 54321
	}
	if err := unpack(archiveOf(t, headers...), dir); err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		st, err := os.Stat(filepath.Join(dir, h.Name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() != h.Size || st.Mode() != os.FileMode(h.Mode) || !st.ModTime().Equal(mtime) {
			t.Errorf("%s: %d bytes, mode %v, %v", h.Name, st.Size(), st.Mode(), st.ModTime())
		}
		owner, ok := st.Sys().(*syscall.Stat_t)
		if !ok {
			t.Fatal("no owner")
		}
		if uid, gid := int(owner.Uid), int(owner.Gid); uid != h.Uid || gid != h.Gid {
			t.Errorf("%s belongs to %d:%d, want %d:%d", h.Name, uid, gid, h.Uid, h.Gid)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".intact-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header tar.Header
	}{
		{"a way out", tar.Header{Name: "../out.json", Typeflag: tar.TypeReg}},
		{"an absolute path", tar.Header{Name: "/tmp/out.json", Typeflag: tar.TypeReg}},
		{"a link", tar.Header{Name: "a.json", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unpack(archiveOf(t, tt.header), dir); err == nil {
				t.Error("no error")
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it wrote %v, %v", left, err)
			}
		})
	}
}

func TestUnpackTellsWhatFails(t *testing.T) {
	whole := archiveOf(t, tar.Header{Name: "d/a.json", Size: 9000, Mode: 0o644, Typeflag: tar.TypeReg})
	if err := unpack(bytes.NewReader(whole.Bytes()[:5000]), t.TempDir()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an archive cut short: %v", err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "d", "a.json", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unpack(whole, dir); err == nil {
		t.Error("a file over a directory: no error")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "d", ".intact-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
