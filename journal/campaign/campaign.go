package main

import (
	"fmt"
	"math/rand"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// state names one crash.
type state struct {
	workload, operation, variant int
}

func (s state) String() string { return fmt.Sprintf("%d.%d.%d", s.workload, s.operation, s.variant) }

func parseState(text string) (s state, err error) {
	if _, err = fmt.Sscanf(text, "%d.%d.%d", &s.workload, &s.operation, &s.variant); err != nil {
		return s, fmt.Errorf("state %q is not workload.operation.variant: %w", text, err)
	}
	return s, nil
}

// violation is a promise that a state broke.
type violation struct {
	state state
	step  disk.Step
	work  workload
	err   error
}

func (v violation) String() string {
	return fmt.Sprintf("state %s, crash before %s: %v\n  %s", v.state, v.step, v.err, v.work)
}

// config is what to try.
type config struct {
	seed   int64
	states int64 // at least, if nothing is wrong
	every  int   // only workloads whose number this divides
	only   *state
	real   bool      // faults reach the real history too
	broken disk.Step // see workload
	bug    func(disk.Disk) disk.Disk
	links  bool // only files of several names

	lenient bool // see history: the tests here are not those of the history

	// stop ends the campaign at the next workload; nil never does.
	stop <-chan struct{}
}

// stopped tells whether somebody had enough.
func (c config) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// result is what came out.
type result struct {
	states    int64
	sequences int // exhaustive workloads that were crashed everywhere
	random    int // random ones
	wrong     []violation
}

// maxWrong is how many violations end a campaign.
const maxWrong = 20

// number is that of the i-th workload: in every other one files have several
// names.
func (c config) number(i int) int {
	every := max(1, c.every)
	switch {
	case c.links:
		return linkedFrom + i*every
	case i%2 == 1:
		return linkedFrom + i/2*every
	}
	return i / 2 * every
}

// campaign tries states until there are enough.
func campaign(c config) result {
	var (
		next   atomic.Int64
		states atomic.Int64
		mu     sync.Mutex // guards r
		r      result
		wg     sync.WaitGroup
	)
	work := func() {
		for {
			number := c.number(int(next.Add(1) - 1))
			mu.Lock()
			over := states.Load() >= c.states || len(r.wrong) >= maxWrong || c.stopped()
			mu.Unlock()
			if over {
				return
			}
			n, wrong := c.crashEverywhere(newWorkload(c.seed, number))
			states.Add(n)
			mu.Lock()
			r.wrong = append(r.wrong, wrong...)
			if exhaustive(number) {
				r.sequences++
			} else {
				r.random++
			}
			mu.Unlock()
		}
	}
	if c.only != nil {
		r.states, r.wrong = c.crashEverywhere(newWorkload(c.seed, c.only.workload))
		return r
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(work)
	}
	wg.Wait()
	r.states = states.Load()
	sort.Slice(r.wrong, func(i, k int) bool { return r.wrong[i].state.String() < r.wrong[k].state.String() })
	return r
}

// crashEverywhere runs a workload, and examines what crashes leave of it.
func (c config) crashEverywhere(w workload) (n int64, wrong []violation) {
	w.broken, w.bug, w.lenient = c.broken, c.bug, c.lenient
	err := w.run(func(d *disktest.Disk, b *book, at int, step disk.Step) {
		for variant := range len(variants) + 1 {
			s := state{w.number, at, variant}
			if c.only != nil && s != *c.only || (c.broken != "" || c.bug != nil) && len(wrong) > 0 {
				continue
			}
			n++
			rng := rand.New(rand.NewSource(mix(w.seed, int64(at), int64(variant))))
			if err := w.breakOff(d, b, variant, rng); err != nil {
				wrong = append(wrong, violation{s, step, w, err})
			}
		}
	})
	if err != nil {
		wrong = append(wrong, violation{state{w.number, 0, 0}, "no crash", w, err})
	}
	return n, wrong
}
