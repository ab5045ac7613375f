package product

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/labtest"
	"intactfs/integration/crashlab/volume"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// binary is the path of intact: INTACT_BINARY, or a fresh build.
func binary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("INTACT_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "intact")
	if out, err := exec.Command("go", "build", "-o", path, "intactfs/cmd/intact").CombinedOutput(); err != nil {
		t.Fatalf("build intact: %v\n%s", err, out)
	}
	return path
}

// short is a run that a test has the time for.
func short(kind volume.Type, seed uint64) crashlab.Setup {
	s := WithoutRemovals(Setup(kind, seed))
	s.Workload.Saves = 4
	return s
}

// campaign runs a short campaign and reports what it finds.
func campaign(t *testing.T, name string, states int, subject Subject) {
	t.Helper()
	setup := short
	if subject.Relaxed {
		setup = func(kind volume.Type, seed uint64) crashlab.Setup { return Relaxed(short(kind, seed)) }
	}
	tally := try(t, name, states, subject, setup)
	t.Logf("%d states and %d crashes during recovery, a loss of %v", tally.States, tally.Nested, tally.Loss)
	if got := tally.States + tally.Nested; len(tally.Violations) == 0 && got < states {
		t.Errorf("tried %d states, want %d", got, states)
	}
	for _, v := range tally.Violations {
		t.Error(v)
	}
}

// try runs a campaign until its first violation.
func try(t *testing.T, name string, states int, subject Subject, setup func(volume.Type, uint64) crashlab.Setup) crashlab.Tally {
	t.Helper()
	kind, err := volume.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	labtest.Need(t, kind)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	lab, err := crashlab.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := crashlab.Campaign{
		Type: kind, Subject: subject, Seed: 1, States: states, PerRun: states/2 + 1, Workers: 2,
		Out:   filepath.Join(os.TempDir(), "crashlab-failures"),
		Setup: func(seed uint64) crashlab.Setup { return setup(kind, seed) },
	}
	tally, err := c.Run(ctx, lab)
	if err != nil {
		t.Fatal(err)
	}
	return tally
}

func TestShortCampaign(t *testing.T) {
	intact := binary(t)
	for _, tc := range []struct {
		name   string
		states int
	}{{"ext4", 60}, {"ext4-writeback", 30}, {"xfs", 15}, {"btrfs", 20}} {
		t.Run(tc.name, func(t *testing.T) { campaign(t, tc.name, tc.states, Subject{Binary: intact, Quick: true}) })
	}
}

// TestWithTheCommands: "intact recover" and "intact verify" do what the
// quick way does in the process of the laboratory.
func TestWithTheCommands(t *testing.T) {
	campaign(t, "ext4", 6, Subject{Binary: binary(t)})
}

// TestRelaxed: files are as whole, what was synced is there, and nothing is
// lost that was saved more than a second before.
func TestRelaxed(t *testing.T) {
	campaign(t, "ext4", 20, Subject{Binary: binary(t), Quick: true, Relaxed: true})
}

// TestRelaxedIsNotFull proves that the check can fail: held to what full
// durability promises, relaxed durability is caught.
func TestRelaxedIsNotFull(t *testing.T) {
	tally := try(t, "ext4", 200, Subject{Binary: binary(t), Quick: true, Relaxed: true},
		func(kind volume.Type, seed uint64) crashlab.Setup {
			s := Relaxed(short(kind, seed))
			s.Grace = 0
			return s
		})
	if len(tally.Violations) == 0 {
		t.Fatalf("nothing was lost in %d states", tally.States+tally.Nested)
	}
	for _, v := range tally.Violations {
		if v.Phase != crashlab.PhaseAfter && v.Phase != crashlab.PhaseInspect {
			t.Error(v)
		}
	}
}
