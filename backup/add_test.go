package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

var t0 = time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)

// item makes a version; its commit time follows from the number.
func item(tx uint64, content string) Item {
	return Item{
		Tx: tx, Time: t0.Add(time.Duration(tx) * time.Minute), Size: int64(len(content)),
		SHA256: sha256.Sum256([]byte(content)), Attr: disk.Attr{Mode: 0o640, UID: 7, GID: 8},
		PID: 42, UID: 1000, Program: "python3", Content: bytes.NewReader([]byte(content)),
	}
}

func openStore(t testing.TB, d disk.Disk) *Store {
	t.Helper()
	s, err := Open(d, Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func mustAdd(t testing.TB, s *Store, path string, items ...Item) {
	t.Helper()
	if err := s.Add(context.Background(), path, items); err != nil {
		t.Fatalf("add to %s: %v", path, err)
	}
}

func mustList(t testing.TB, s *Store, path string) []Entry {
	t.Helper()
	entries, err := s.List(path)
	if err != nil {
		t.Fatalf("list %s: %v", path, err)
	}
	return entries
}

// readVersion opens and reads a version.
func readVersion(s *Store, path string, tx uint64) (string, error) {
	c, err := s.Open(context.Background(), path, tx)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	p, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	return string(p), err
}

func wantVersion(t testing.TB, s *Store, path string, tx uint64, want string) {
	t.Helper()
	got, err := readVersion(s, path, tx)
	if err != nil {
		t.Errorf("version %d of %s: %v", tx, path, err)
	} else if got != want {
		t.Errorf("version %d of %s: got %d bytes, want %d others", tx, path, len(got), len(want))
	}
}

func TestAddAndRead(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, bytes.Repeat([]byte("ab"), 500+i)))
		mustAdd(t, s, "a/state.json", item(uint64(i+1), want[i]))
	}
	for _, s := range []*Store{s, openStore(t, d)} {
		if got := len(mustList(t, s, "a/state.json")); got != len(want) {
			t.Fatalf("got %d entries, want %d", got, len(want))
		}
		for i, w := range want {
			wantVersion(t, s, "a/state.json", uint64(i+1), w)
		}
	}
	for name, content := range d.Tree("") {
		t.Logf("%s: %d bytes", name, len(content))
	}
}
