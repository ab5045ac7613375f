package faults

import (
	"fmt"
	"strings"
	"testing"

	"intactfs/integration/harness"
	"intactfs/journal/disk"
)

// point is a step as a scenario gets to it.
type point struct {
	scenario scenario
	label    string
	times    int
}

// prepared is a rig that is ready for the scenario.
func (s scenario) prepared(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, "")
	if s.prepare != nil {
		s.prepare(r)
	}
	return r
}

// reference performs a scenario without a kill, and returns how often it
// gets to each step.
func (s scenario) reference(t *testing.T) map[string]int {
	t.Helper()
	r := s.prepared(t)
	before := len(r.trace())
	r.plan.set(t, s.faults...)
	seen := s.perform(r)
	for _, err := range seen {
		if !s.failing {
			t.Errorf("%v", err)
		}
	}
	r.checkAfter(t)
	times := map[string]int{}
	for _, l := range r.trace()[before:] {
		label, _, _ := strings.Cut(l, " ")
		times[label]++
	}
	return times
}

// checkAfter is what must hold after any fault: first of the plain directory,
// then of what recovery makes of it.
func (r *rig) checkAfter(t *testing.T) (recovered string) {
	t.Helper()
	if err := r.checkPlain(r.Dir); err != nil {
		t.Errorf("before recovery: %v", err)
	}
	if !initialized(r.Dir) {
		return "never set up"
	}
	recovered = r.mustIntact("recover", r.Dir).Stdout
	if len(r.loose) > 0 && r.intact("verify", r.Dir).Code != 0 {
		// In the middle of a rename the history may still have the old
		// name. The next mount sees the change and files it.
		recovered += "the next mount follows the rename"
		r.plan.set(t)
		r.mustStart()
		r.settleDown(t)
		r.mustStop()
	}
	r.mustIntact("verify", r.Dir)
	for _, err := range []error{r.checkPlain(r.Dir), r.checkSaved(r.Dir), r.checkHistory(r.Dir)} {
		if err != nil {
			t.Errorf("recovered: %v", err)
		}
	}
	return recovered
}

// settleDown waits until the mount has looked at what changed beneath.
func (r *rig) settleDown(t *testing.T) {
	t.Helper()
	harness.Eventually(t, "verify of the mount exits with 0", func() bool { return r.intact("verify", r.Point).Code == 0 })
}

// TestKilled kills the daemon before and after every labelled step of commit,
// checkpoint, history, retention, quarantine and recovery. The plain files
// are whole as they lie there; recovered, the directory verifies and has all
// that was acknowledged.
func TestKilled(t *testing.T) {
	reached := map[string]bool{}
	var points []point
	for _, s := range scenarios() {
		t.Run("reference/"+s.name, func(t *testing.T) {
			for label, times := range s.reference(t) {
				if !reached[label] || harness.Long() {
					points = append(points, point{s, label, times})
				}
				reached[label] = true
			}
		})
	}
	for _, label := range labels(t) {
		if !reached[label] && unreached[label] == "" {
			t.Errorf("no scenario gets to %s", label)
		}
		if reached[label] && unreached[label] != "" {
			t.Errorf("%s is reached after all", label)
		}
	}
	t.Run("at", func(t *testing.T) {
		for _, p := range points {
			for _, n := range p.turns() {
				for i, when := range []act{killBefore, killAfter} {
					if !harness.Long() && i != len(p.label)%2 {
						continue // the other half is for the long form
					}
					t.Run(fmt.Sprintf("%s/%s/%d/%s", p.scenario.name, p.label, n, when), func(t *testing.T) {
						t.Parallel()
						p.kill(t, n, when)
					})
				}
			}
		}
	})
}

// turns are the occurrences that are tried.
func (p point) turns() []int {
	if !harness.Long() || p.times == 1 {
		return []int{1}
	}
	if p.times == 2 {
		return []int{1, 2}
	}
	return []int{1, p.times/2 + 1, p.times}
}

func (p point) kill(t *testing.T, n int, when act) {
	r := p.scenario.prepared(t)
	before := len(r.trace())
	rules := append([]rule{{Step: disk.Step(p.label), Nth: n, Act: when}}, p.scenario.faults...)
	if harness.Long() {
		rules = append(rules, rule{Act: flush})
	}
	r.plan.set(t, rules...)
	var saw []string
	for _, err := range p.scenario.perform(r) {
		saw = append(saw, errnoOf(err))
	}
	struck := false
	for _, l := range r.trace()[before:] {
		struck = struck || l == p.label+" "+string(when)
	}
	if !struck {
		t.Errorf("%s was not reached", p.label)
	}
	r.clear()
	told := r.checkAfter(t)
	table.add("Killed at a step", row{
		fault: fmt.Sprintf("`%s` %s, %s", p.label, strings.TrimPrefix(string(when), "kill-"), p.scenario.name),
		saw:   unique(saw), told: told, left: "whole without recovery; verify 0",
	})
}
