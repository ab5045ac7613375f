package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/labtest"
	"intactfs/integration/crashlab/savers"
	"intactfs/integration/crashlab/volume"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		ok   bool
	}{
		{"nothing", nil, true},
		{"a campaign", []string{"-fs", "xfs", "-states", "10", "-seed", "4"}, true},
		{"a replay", []string{"-log", "x", "-replay", "0"}, true},
		{"a log and no number", []string{"-log", "x"}, false},
		{"a number and no log", []string{"-replay", "3"}, false},
		{"an argument", []string{"xfs"}, false},
		{"relaxed", []string{"-durability", "relaxed"}, true},
		{"another durability", []string{"-durability", "eventual"}, false},
		{"an unknown flag", []string{"-frobnicate"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := parse(tc.args, new(bytes.Buffer)); (err == nil) != tc.ok {
				t.Errorf("got %v, want none: %v", err, tc.ok)
			}
		})
	}
}

// TestReplay finds a fault in a careless recipe and replays its log as the
// command does.
func TestReplay(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
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
	kind := volume.Types[0]
	tally, err := crashlab.Campaign{
		Type: kind, Subject: crashlab.Recipe{}, Seed: 1, States: 3000, PerRun: 300, Out: t.TempDir(),
		Setup: func(seed uint64) crashlab.Setup {
			return crashlab.Setup{Type: kind, Workload: savers.Workload{Seed: seed, Saves: 5,
				Files: []savers.File{{Name: "small.json", Ways: []string{"rename-fsync"}}}}}
		},
	}.Run(ctx, lab)
	if err != nil || len(tally.Violations) == 0 {
		t.Fatalf("%d violations, %v", len(tally.Violations), err)
	}
	v := tally.Violations[0]
	var out bytes.Buffer
	err = replay(ctx, lab, options{log: v.Log, replay: v.State.Number}, crashlab.Recipe{}, &out)
	if !errors.Is(err, errViolated) || !strings.Contains(out.String(), v.State.String()) {
		t.Errorf("replay: got %v and %q, want %v and %v", err, out.String(), errViolated, v)
	}
}

func TestUnknownFileSystem(t *testing.T) {
	if err := run(context.Background(), options{fs: "minix", states: 1}, new(bytes.Buffer)); err == nil {
		t.Error("got no error")
	}
}
