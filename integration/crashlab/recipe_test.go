package crashlab

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intactfs/integration/crashlab/labtest"
	"intactfs/integration/crashlab/recdisk"
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

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// recipeSetup saves a small and a large file in one way.
func recipeSetup(kind volume.Type, way string, seed uint64) Setup {
	return Setup{Type: kind, Writeback: 0.3, Workload: savers.Workload{Saves: 6, Seed: seed, Files: []savers.File{
		{Name: "small.json", Ways: []string{way}},
		{Name: "large.json", Ways: []string{way}},
	}}}
}

func find(t *testing.T, name string) volume.Type {
	t.Helper()
	kind, err := volume.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	labtest.Need(t, kind)
	return kind
}

func tryRecipe(t *testing.T, lab *Lab, setup Setup, e Effort) Tally {
	t.Helper()
	ctx := limited(t)
	rec, err := lab.Record(ctx, setup, Recipe{})
	if err != nil {
		t.Fatal(err)
	}
	tally, err := lab.Try(ctx, rec, Recipe{}, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Disk.Drop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d operations, %d of %d states and %d nested", len(rec.Ops), tally.States, tally.Enumerated, tally.Nested)
	return tally
}

// TestSafeRecipePasses: the laboratory finds nothing where there is nothing.
func TestSafeRecipePasses(t *testing.T) {
	lab := openLab(t)
	for _, tc := range []struct {
		name, way string
		states    int
	}{
		{"ext4", "atomic", 60}, {"ext4-strict", "atomic", 40}, {"ext4-writeback", "atomic-held", 40},
		{"xfs", "atomic", 30}, {"btrfs", "atomic", 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name, way, states := tc.name, tc.way, tc.states
			tally := tryRecipe(t, lab, recipeSetup(find(t, name), way, 1), Effort{Seed: 1, States: states, Nested: true, Stop: 5})
			if tally.States < states {
				t.Errorf("tried %d states, want %d", tally.States, states)
			}
			for _, v := range tally.Violations {
				t.Error(v)
			}
		})
	}
}

// TestCarelessRecipesAreCaught: each recipe lacks one step, and each must be
// caught on each file system. The bound on states is far above what it takes.
func TestCarelessRecipesAreCaught(t *testing.T) {
	lab := openLab(t)
	for _, kind := range []string{"ext4", "ext4-strict", "ext4-writeback", "xfs", "btrfs"} {
		for _, way := range []string{"rename", "rename-dir", "rename-fsync", "unlink-rename", "truncate", "overwrite", "fsync"} {
			t.Run(kind+"/"+way, func(t *testing.T) { mustCatch(t, lab, find(t, kind), way) })
		}
	}
	t.Run("ext4/barrier=0", func(t *testing.T) { mustCatch(t, lab, find(t, "ext4").With("barrier=0"), "atomic") })
}

// mustCatch tries until a violation turns up. What background writeback
// brings to the disk differs from run to run, so that several are tried.
func mustCatch(t *testing.T, lab *Lab, kind volume.Type, way string) {
	t.Helper()
	for seed := uint64(1); seed <= 5; seed++ {
		tally := tryRecipe(t, lab, recipeSetup(kind, way, seed), Effort{Seed: seed, States: 400, Stop: 1})
		if len(tally.Violations) > 0 {
			t.Log(tally.Violations[0])
			return
		}
	}
	t.Errorf("%s on %s was not caught", way, kind.Name)
}

func TestCampaignAndReplay(t *testing.T) {
	ctx := limited(t)
	c := Campaign{
		Type: find(t, "ext4-strict"), Subject: Recipe{}, Seed: 3, States: 2000, PerRun: 500, Workers: 2, Out: t.TempDir(),
	}
	c.Setup = func(seed uint64) Setup { return recipeSetup(c.Type, "rename-dir", seed) }
	runs := 0
	c.Progress = func(int, Tally, time.Duration) { runs++ }
	tally, err := c.Run(ctx, openLab(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(tally.Violations) == 0 || runs == 0 {
		t.Fatalf("%d runs and %d violations of a careless recipe", runs, len(tally.Violations))
	}
	found := tally.Violations[0]
	if !strings.Contains(found.Error(), "-replay") {
		t.Errorf("the report does not say how to replay: %v", found)
	}
	// Another laboratory, which knows the file alone.
	image := filepath.Join(t.TempDir(), "image")
	state, again, err := openLab(t).Replay(ctx, found.Log, found.State.Number, Recipe{}, image)
	if err != nil {
		t.Fatal(err)
	}
	if again == nil {
		t.Fatalf("%v: a replay finds nothing, the campaign found %v", state, found)
	}
	if state.String() != found.State.String() || again.Phase != found.Phase || again.Err.Error() != found.Err.Error() {
		t.Errorf("replayed:\ngot  %v\nwant %v", again, found)
	}
	loop, err := c.Type.Mount(image, t.TempDir())
	if err != nil {
		t.Fatalf("the kept image: %v", err)
	}
	if err := loop.Unmount(); err != nil {
		t.Error(err)
	}
	if _, _, err := openLab(t).Replay(ctx, found.Log, 1<<30, Recipe{}, ""); err == nil {
		t.Error("a state that does not exist: got no error")
	}
}

// forgetful is a subject whose recovery loses what it should bring back: it
// passes every first look, and is caught by crashes during its recovery or
// by recovering twice.
type forgetful struct {
	Recipe
	recover func(data string) error
}

func (f forgetful) Recover(_ context.Context, data string) error { return f.recover(data) }

func TestBrokenRecoveries(t *testing.T) {
	lab := openLab(t)
	broken := errors.New("broken")
	for _, tc := range []struct {
		name    string
		recover func(data string) error
		want    Phase
		nested  bool
	}{
		{"fails", func(string) error { return broken }, PhaseRecover, false},
		{"loses a file", func(data string) error { return removeFile(data, "small.json") }, PhaseAfter, false},
		{"leaves something new each time", addFile, PhaseAgain, false},
		{"removes and rewrites in place", rewriteInPlace, PhaseBare, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := limited(t)
			rec, err := lab.Record(ctx, recipeSetup(find(t, "ext4"), "atomic", 1), Recipe{})
			if err != nil {
				t.Fatal(err)
			}
			tally, err := lab.Try(ctx, rec, forgetful{recover: tc.recover}, Effort{Seed: 1, States: 400, Nested: true, Stop: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(tally.Violations) == 0 {
				t.Fatal("not caught")
			}
			v := tally.Violations[0]
			t.Log(v)
			if v.Phase != tc.want || (v.Parent != nil) != tc.nested {
				t.Errorf("caught in phase %q, nested %v; want %q, %v", v.Phase, v.Parent != nil, tc.want, tc.nested)
			}
		})
	}
}

func TestTryReportsADeadServer(t *testing.T) {
	ctx := limited(t)
	lab := openLab(t)
	rec, err := lab.Record(ctx, recipeSetup(find(t, "ext4"), "atomic", 1), Recipe{})
	if err != nil {
		t.Fatal(err)
	}
	killed := false
	tally, err := lab.Try(ctx, rec, forgetful{recover: func(string) error {
		lab.server.Kill()
		killed = true
		return nil
	}}, Effort{Seed: 1, States: 10}, func(*Violation, *recdisk.Disk) {})
	if err == nil || !killed {
		t.Errorf("the server was killed (%v): got no error, %+v", killed, tally)
	}
}
