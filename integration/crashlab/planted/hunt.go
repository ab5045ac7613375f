package planted

import (
	"context"

	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/volume"
)

// Catch is how a bug was found.
type Catch struct {
	Runs      int // recorded until then
	Tally     crashlab.Tally
	Violation *crashlab.Violation // nil: it was not found
}

// Runs and States bound the hunt for a bug, far above what any takes.
const (
	Runs   = 20
	States = 120
)

// Hunt records and examines runs with a bug until it is caught, at most so
// many. What reaches the disk by itself differs from run to run, and some
// bugs show only in some.
func Hunt(ctx context.Context, lab *crashlab.Lab, kind volume.Type, bug Bug, seed uint64, runs, states int) (Catch, error) {
	var c Catch
	for c.Runs < runs && c.Violation == nil {
		c.Runs++
		seed++
		setup := crashlab.Setup{Type: kind, Workload: Workload(seed)}
		if c.Runs%2 == 0 { // it shows what is written too early, and hides what is never synced
			setup.Writeback = 0.1
		}
		rec, err := lab.Record(ctx, setup, Subject{Bug: bug})
		if err != nil {
			return c, err
		}
		tally, err := lab.Try(ctx, rec, Subject{Bug: bug}, crashlab.Effort{Seed: seed, States: states, Nested: true, Stop: 1}, nil)
		c.Tally.Add(tally)
		if err != nil {
			return c, err
		}
		if len(tally.Violations) > 0 {
			c.Violation = tally.Violations[0]
		}
		if err := rec.Disk.Drop(); err != nil {
			return c, err
		}
	}
	return c, nil
}
