package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// marathonOf runs saves in a plain directory; this process stands in for the
// daemon.
func marathonOf(t *testing.T, saves int64, budget time.Duration) *marathon {
	t.Helper()
	m := &marathon{dir: t.TempDir(), pid: os.Getpid(), saves: saves, end: time.Now().Add(budget)}
	if err := m.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMarathonSavesAndSamples(t *testing.T) {
	m := marathonOf(t, 500, time.Hour)
	if m.done.Load() != 500 || len(m.samples) != 100 {
		t.Fatalf("%d saves, %d samples; want 500 and 100", m.done.Load(), len(m.samples))
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "*.json"))
	if err != nil || len(files) == 0 || len(files) > millionWorkers*millionFiles {
		t.Errorf("%d files, %v", len(files), err)
	}
	for _, s := range m.samples {
		if s.resident <= 0 || s.descriptors <= 0 || s.saves%5 != 0 {
			t.Errorf("sample %+v", s)
		}
	}
	r := m.result(time.Second)
	if len(r.Bars) != 2 || !strings.HasPrefix(r.Name, "500 saves of 200 B") || len(r.Notes) != 11 {
		t.Errorf("result %+v", r)
	}
}

func TestMarathonEndsWhenItsTimeIsUp(t *testing.T) {
	m := marathonOf(t, 1_000_000, -time.Second)
	if m.done.Load() != 0 {
		t.Fatalf("%d saves after the end", m.done.Load())
	}
	if r := m.result(0); len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "0 of 1000000 saves") {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestMarathonJudgesGrowth(t *testing.T) {
	for name, tc := range map[string]struct {
		resident func(i int) int64
		met      bool
	}{
		"flat":             {func(int) int64 { return 30 << 20 }, true},
		"grows at first":   {func(i int) int64 { return 30<<20 - int64(max(0, 20-i))<<20 }, true},
		"grows all along":  {func(i int) int64 { return int64(20+i) << 20 }, false},
		"grows in the end": {func(i int) int64 { return 30<<20 + int64(max(0, i-60))<<20 }, false},
	} {
		m := &marathon{saves: 100}
		for i := range 100 {
			m.samples = append(m.samples, sample{int64(i + 1), tc.resident(i), 9})
		}
		m.done.Store(100)
		if bar := m.result(time.Second).Bars[0]; bar.Met() != tc.met {
			t.Errorf("%s: ratio %.2f, met %v, want %v", name, bar.Ratio, bar.Met(), tc.met)
		}
	}
}
