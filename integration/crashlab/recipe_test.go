package crashlab

import (
	"context"
	"testing"
	"time"

	"intactfs/integration/crashlab/savers"
	"intactfs/integration/crashlab/volume"
)

func openLab(t *testing.T) *Lab {
	t.Helper()
	lab, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

func TestRecipes(t *testing.T) {
	lab := openLab(t)
	for _, kind := range volume.Types {
		for _, tc := range []struct {
			way  string
			good bool
		}{
			{"atomic", true}, {"rename", false}, {"rename-dir", false}, {"rename-fsync", false},
			{"unlink-rename", false}, {"truncate", false}, {"overwrite", false}, {"fsync", false},
		} {
			t.Run(kind.Name+"/"+tc.way, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
				defer cancel()
				setup := Setup{Type: kind, Writeback: 0.3, Workload: savers.Workload{Saves: 8, Seed: 1, Files: []savers.File{
					{Name: "small.json", Ways: []string{tc.way}},
					{Name: "large.json", Ways: []string{tc.way}},
				}}}
				start := time.Now()
				rec, err := lab.Record(ctx, setup, Recipe{})
				if err != nil {
					t.Fatal(err)
				}
				recorded := time.Since(start)
				start = time.Now()
				tally, err := lab.Try(ctx, rec, Recipe{}, Effort{Seed: 1, States: 300, Stop: 1}, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d operations in %v; %d of %d states in %v", len(rec.Ops), recorded, tally.States, tally.Enumerated, time.Since(start))
				for _, v := range tally.Violations {
					t.Log(v)
				}
				if good := len(tally.Violations) == 0; good != tc.good {
					t.Errorf("survives: %v, want %v", good, tc.good)
				}
			})
		}
	}
}
