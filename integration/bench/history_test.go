package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"intactfs/integration/bench/result"
)

func TestGrowingDocuments(t *testing.T) {
	next, again := growing(100_000, 5000, 3), growing(100_000, 5000, 3)
	var before []byte
	for i := range 4 {
		doc := next()
		if !json.Valid(doc) || len(doc) < 100_000+5000*i || len(doc) > 112_000+6000*i {
			t.Errorf("document %d: %d bytes, valid %v", i, len(doc), json.Valid(doc))
		}
		if !bytes.Equal(doc, again()) {
			t.Errorf("document %d is another one for the next contender", i)
		}
		if bytes.Equal(doc, before) {
			t.Errorf("document %d is the one before", i)
		}
		before = doc
	}
}

// Every way to keep versions must give back what it was given; those whose
// program is missing are not measured.
func TestKeepersGiveBackWhatTheyGot(t *testing.T) {
	ctx := context.Background()
	for _, make := range keepers {
		k, err := make(ctx, t.TempDir())
		if errors.Is(err, errMissing) {
			t.Log(err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var r result.Result
		s := series{saves: 3, budget: time.Minute, ours: time.Minute, documents: func() func() []byte { return growing(5300, 100, 2) }}
		if err := s.keep(ctx, k, &r); err != nil {
			t.Errorf("%s: %v", k.name(), err)
		}
		if len(r.Rows) != 1 || len(r.Rows[0].Samples) != 3 || len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "after 3 saves") {
			t.Errorf("%s: got %+v", k.name(), r)
		}
		if err := k.close(); err != nil {
			t.Errorf("%s: %v", k.name(), err)
		}
	}
}

func TestSeriesEndsWithItsBudget(t *testing.T) {
	k, err := newPacks(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var r result.Result
	s := series{saves: 1000, documents: func() func() []byte { return growing(100, 0, 1) }}
	if err := errors.Join(s.keep(context.Background(), k, &r), k.close()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Rows[0].Samples); n != 2 {
		t.Errorf("%d saves with no time left, want 2", n)
	}
}

func TestThin(t *testing.T) {
	for _, tt := range []struct{ have, want int }{{0, 0}, {3, 3}, {5, 5}, {6, 5}, {1000, 5}} {
		samples := make([]time.Duration, tt.have)
		for i := range samples {
			samples[i] = time.Duration(i)
		}
		got := thin(samples, 5)
		if len(got) != tt.want || !slices.IsSorted(got) {
			t.Errorf("of %d samples %v stay, want %d", tt.have, got, tt.want)
		}
	}
}

func TestMissingToolIsNotMeasured(t *testing.T) {
	if _, err := newTool("no-such-program-here", t.TempDir()); !errors.Is(err, errMissing) {
		t.Errorf("got %v, want errMissing", err)
	}
}

func TestAllocatedCountsAllFiles(t *testing.T) {
	dir := t.TempDir()
	before, err := allocated(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "d/b"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(bytes.Repeat([]byte("x"), 100_000))
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := allocated(dir); err != nil || after-before < 1 {
		t.Errorf("two files take %d bytes, %v", after-before, err)
	}
}
