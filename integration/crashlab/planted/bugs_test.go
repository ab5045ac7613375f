package planted

import (
	"context"
	"testing"
	"time"

	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/labtest"
	"intactfs/integration/crashlab/volume"
	"intactfs/integration/harness"
)

func openLab(t *testing.T) *crashlab.Lab {
	t.Helper()
	lab, err := crashlab.Open(t.TempDir())
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

func strict(t *testing.T) volume.Type {
	t.Helper()
	kind, err := volume.Find("ext4-strict")
	if err != nil {
		t.Fatal(err)
	}
	labtest.Need(t, kind)
	return kind
}

// TestNoBug: what the bugs are planted in is sound, so that a catch is the
// bug's.
func TestNoBug(t *testing.T) {
	catch, err := Hunt(limited(t), openLab(t), strict(t), Bug{}, 0, 2, 25)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states, %d nested", catch.Tally.States, catch.Tally.Nested)
	if catch.Violation != nil {
		t.Error(catch.Violation)
	}
}

// quick are the bugs that a handful of states shows. The others take dozens
// to hundreds on some days, which is for the long form.
var quick = map[string]bool{
	"stage-unsynced": true, "journal-unsynced": true, "early-acknowledgement": true, "stage-name-reused": true,
	"history-unsynced": true, "temporary-unsynced": true, "directory-unsynced": true, "adoption-skipped": true,
	"record-before-data": true, "relaxed-sold-as-full": true, "unlink-before-rename": true, "fsync-retried": true,
	"journal-fsync-retried": true, "history-skipped": true, "recovery-cleans-staging": true, "link-left-out": true,
}

func TestEveryBugIsCaught(t *testing.T) {
	found := 0
	for _, bug := range Bugs {
		if quick[bug.Name] {
			found++
		} else if !harness.Long() {
			continue
		}
		t.Run(bug.Name, func(t *testing.T) {
			catch, err := Hunt(limited(t), openLab(t), strict(t), bug, 0, Runs, States)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("run %d, state %d", catch.Runs, catch.Tally.States+catch.Tally.Nested)
			if catch.Violation == nil {
				t.Fatalf("not caught: %s", bug.Means)
			}
			t.Log(catch.Violation)
		})
	}
	if found != len(quick) {
		t.Errorf("%d of %d quick bugs exist", found, len(quick))
	}
}
