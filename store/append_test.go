package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"intactfs/fs"
)

// TestAppend adds lines behind what is newest, and refuses a base that is not.
func TestAppend(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	s := p.open(Options{Create: true})
	add := func(base uint64, size int64, text string) (fs.Version, error) {
		return s.Append(ctx, fs.Append{Path: "l.jsonl", Attr: fs.Attr{Mode: 0o644}, Bytes: []byte(text), Base: base, BaseSize: size})
	}
	first, err := add(0, 0, "1\n")
	if err != nil || first.Size != 2 {
		t.Fatalf("append to nothing: got %+v, %v", first, err)
	}
	second, err := add(first.Tx, first.Size, "2\n")
	if err != nil || second.Size != 4 {
		t.Fatalf("append: got %+v, %v", second, err)
	}
	for name, got := range map[string]error{
		"an older base":   errorOf(add(first.Tx, first.Size, "x\n")),
		"another size":    errorOf(add(0, 3, "x\n")),
		"another version": errorOf(add(first.Tx, second.Size, "x\n")),
	} {
		if !errors.Is(got, fs.ErrMoved) {
			t.Errorf("%s: got %v, want ErrMoved", name, got)
		}
	}
	if _, err := add(second.Tx, 4, strings.Repeat("3", 4<<20)); !errors.Is(err, fs.ErrTooLong) {
		t.Errorf("too much: got %v, want ErrTooLong", err)
	}
	if _, c, ok, err := s.OpenPending("l.jsonl"); !ok || err != nil || readAll(t, c) != "1\n2\n" {
		t.Errorf("the pending version is not both lines: %v, %v", ok, err)
	}
	r, err := s.Verify(ctx, nil) // publishes, and so finds out the checksum
	if err != nil || len(r.Problems)+len(r.Damage) > 0 {
		t.Errorf("verify: %+v, %v", r, err)
	}
	if third, err := add(second.Tx, 4, "3\n"); err != nil || third.Size != 6 {
		t.Errorf("append to what is published: got %+v, %v", third, err)
	}
	log, err := s.Log(ctx, "l.jsonl")
	if err != nil || len(log) == 0 {
		t.Fatalf("log: %v, %v", log, err)
	}
	want := fmt.Sprintf("%x", sha256.Sum256([]byte("1\n2\n3\n")))
	if got := log[len(log)-1].SHA256; got != want {
		t.Errorf("checksum in the log: got %q, want %q", got, want)
	}
}

func errorOf(_ fs.Version, err error) error { return err }
