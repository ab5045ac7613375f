package crashlab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/recdisk"
)

// Effort says how many states of a recording to examine.
type Effort struct {
	Seed    uint64
	States  int // at most so many distinct ones; 0: all
	Workers int // examined at the same time; 0: one
	// Nested examines crashes during the recovery of some states, so that
	// they make a fifth of all.
	Nested bool
	// Stop ends the trial at so many violations; 0: never.
	Stop int
}

// nestedEvery and nestedStates make crashes during recovery a fifth of the
// states: one state in twelve brings three.
const (
	nestedEvery  = 12
	nestedStates = 3
)

// Tally is what a trial came to.
type Tally struct {
	States     int // distinct states examined, without the nested ones
	Nested     int // crashes during recovery
	Enumerated int // states that the recording has, equal ones included
	Violations []*Violation
	// Loss is how old the oldest save was, at its crash, that was
	// acknowledged and lost, and Losses how many states lost any: where a
	// Setup gives grace.
	Loss   time.Duration
	Losses int
}

// Add sums two tallies up.
func (t *Tally) Add(u Tally) {
	t.States += u.States
	t.Nested += u.Nested
	t.Enumerated += u.Enumerated
	t.Violations = append(t.Violations, u.Violations...)
	t.Loss = max(t.Loss, u.Loss)
	t.Losses += u.Losses
}

// plan is how the states of a recording are numbered. Replay must come to
// the same one, so it depends on the seed alone.
func (r *Recording) plan(seed uint64) blocklog.Plan {
	return blocklog.Plan{Seed: seed, From: r.Ledger.Begin, Subsets: 12, Tears: 6, Unit: r.Type.TearUnit, Solid: r.Type.Solid, PerKind: 24}
}

// states enumerates the states of a recording.
func (r *Recording) states(seed uint64) []blocklog.State {
	return blocklog.States(r.Ops, r.plan(seed))
}

// trial is a running Try.
type trial struct {
	lab     *Lab
	rec     *Recording
	subject Subject
	effort  Effort
	save    func(*Violation, *recdisk.Disk)

	mu    sync.Mutex
	seen  map[blocklog.Sum]bool
	tally Tally
}

// Try examines the crash states of a recording. A violation is part of the
// tally; the error is for a laboratory that does not work. save is called
// for each violation with the disk whose log leads to it, one call at a
// time; it may be nil.
func (l *Lab) Try(ctx context.Context, rec *Recording, subject Subject, e Effort, save func(*Violation, *recdisk.Disk)) (Tally, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := rec.states(e.Seed)
	t := &trial{lab: l, rec: rec, subject: subject, effort: e, save: save, seen: map[blocklog.Sum]bool{}}
	t.tally.Enumerated = len(all)
	all = arrange(all, e.Seed)

	states := make(chan blocklog.State)
	var wait sync.WaitGroup
	for range max(1, e.Workers) {
		wait.Go(func() {
			if err := t.work(ctx, states); err != nil {
				cancel(err)
				for range states { // whoever sends must not wait
				}
			}
		})
	}
	for _, s := range all {
		if ctx.Err() != nil || t.enough() {
			break
		}
		states <- s
	}
	close(states)
	wait.Wait()
	if ctx.Err() != nil {
		return t.tally, fmt.Errorf("try %s: %w", rec.Type.Name, context.Cause(ctx))
	}
	return t.tally, nil
}

// arrange puts the states into a random order in which every other one is a
// bare flush boundary, as long as there are any: what was acknowledged and
// is not durable shows there first.
func arrange(all []blocklog.State, seed uint64) []blocklog.State {
	rng := rand.New(rand.NewPCG(seed, 2))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var boundaries, others, out []blocklog.State
	for _, s := range all {
		if s.Kind == "none" {
			boundaries = append(boundaries, s)
		} else {
			others = append(others, s)
		}
	}
	for len(boundaries) > 0 && len(others) > 0 {
		out = append(out, boundaries[0], others[0])
		boundaries, others = boundaries[1:], others[1:]
	}
	return append(append(out, boundaries...), others...)
}

func (t *trial) enough() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.effort.States > 0 && t.tally.States >= t.effort.States ||
		t.effort.Stop > 0 && len(t.tally.Violations) >= t.effort.Stop
}

// fresh says that no equal content was examined before.
func (t *trial) fresh(sum blocklog.Sum, count *int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen[sum] {
		return false
	}
	t.seen[sum] = true
	*count++
	return true
}

// work examines the states that come, in an image of its own.
func (t *trial) work(ctx context.Context, states <-chan blocklog.State) error {
	image, err := t.lab.server.NewImage(t.rec.Type.Size)
	if err != nil {
		return err
	}
	for s := range states {
		if err := t.state(ctx, image, s); err != nil {
			return errors.Join(err, image.Drop())
		}
	}
	return image.Drop()
}

// state examines one state, and for some of them crashes in its recovery.
func (t *trial) state(ctx context.Context, image *recdisk.Image, s blocklog.State) error {
	sum, err := t.rec.Disk.Sum(s)
	if err != nil || !t.fresh(sum, &t.tally.States) {
		return err
	}
	x := exam{kind: t.rec.Type, subject: t.subject, ledger: t.rec.Ledger, end: s.End}
	if !t.effort.Nested || uint64(s.Number)%nestedEvery != t.effort.Seed%nestedEvery {
		if err := image.Lay(t.rec.Disk, s); err != nil {
			return err
		}
		got, err := t.lab.examine(ctx, image.Path(), x)
		t.lost(got.loss)
		return t.note(err, s, nil, t.rec.Disk)
	}
	// This recovery is recorded, to be crashed.
	disk, err := t.rec.Disk.At(s)
	if err != nil {
		return err
	}
	got, err := t.lab.examine(ctx, disk.Path(), x)
	t.lost(got.loss)
	x.want = got.digest
	if err := t.note(err, s, nil, t.rec.Disk); err != nil {
		return err
	}
	if x.want != nil {
		if err := t.nested(ctx, image, disk, s, x); err != nil {
			return err
		}
	}
	return disk.Drop()
}

// nested examines crashes while the disk of a state was recovered.
func (t *trial) nested(ctx context.Context, image *recdisk.Image, disk *recdisk.Disk, parent blocklog.State, x exam) error {
	ops, err := disk.Headers()
	if err != nil {
		return err
	}
	all := blocklog.States(ops, t.rec.nestedPlan(t.effort.Seed))
	rng := rand.New(rand.NewPCG(t.effort.Seed, uint64(parent.Number)))
	left := nestedStates
	seen := map[blocklog.Sum]bool{}
	for _, i := range rng.Perm(len(all)) {
		s := all[i]
		sum, err := disk.Sum(s)
		if err != nil {
			return err
		}
		if seen[sum] {
			continue
		}
		seen[sum] = true
		if left--; left < 0 {
			return nil
		}
		if err := t.nestedState(ctx, image, disk, s, parent, x); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) nestedState(ctx context.Context, image *recdisk.Image, disk *recdisk.Disk, s, parent blocklog.State, x exam) error {
	t.mu.Lock()
	t.tally.Nested++
	t.mu.Unlock()
	if err := image.Lay(disk, s); err != nil {
		return err
	}
	_, err := t.lab.examine(ctx, image.Path(), x)
	return t.note(err, s, &parent, disk)
}

// nestedPlan is plan for the log of a recovery, from its mount on.
func (r *Recording) nestedPlan(seed uint64) blocklog.Plan {
	p := r.plan(seed)
	p.From = 0
	return p
}

// lost takes the loss of a state into the tally.
func (t *trial) lost(loss time.Duration) {
	if loss == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tally.Loss = max(t.tally.Loss, loss)
	t.tally.Losses++
}

// note takes a violation into the tally and passes any other error on.
func (t *trial) note(err error, s blocklog.State, parent *blocklog.State, log *recdisk.Disk) error {
	var v *Violation
	if !errors.As(err, &v) {
		return err
	}
	v.State, v.Parent = s, parent
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tally.Violations = append(t.tally.Violations, v)
	if t.save != nil {
		t.save(v, log)
	}
	return nil
}
