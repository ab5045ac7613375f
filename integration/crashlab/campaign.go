package crashlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/ledger"
	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
)

// maxLogs bounds the logs that a campaign saves; each has some megabytes.
const maxLogs = 20

// Campaign records and examines runs of one subject until enough states
// were tried. Everything it chooses follows from Seed and from the log of
// each run; the log of a run with a violation is saved.
type Campaign struct {
	Type    volume.Type
	Subject Subject
	Setup   func(seed uint64) Setup
	Seed    uint64
	States  int // distinct ones, crashes during recovery included
	// PerRun is how many states of one run are examined at most, so that
	// many runs share in a campaign.
	PerRun  int
	Workers int
	Stop    int    // end at so many violations; 0: at the first run with any
	Out     string // directory for the logs of violations
	// Progress is told after each run; it may be nil.
	Progress func(run int, sofar Tally, spent time.Duration)
}

// meta is the note in a saved log: all that Replay needs beside it.
type meta struct {
	Type   string
	Seed   uint64
	From   int // what blocklog.Plan wants
	Ledger ledger.Ledger
	// Crash is set in the log of a recovery: the crash it recovers from
	// came before this operation of the log that Ledger is about.
	Crash  int
	Nested bool
	Want   digest // what recovery must lead to, of a Nested one
}

// Run runs the campaign. The error is for a laboratory that does not work,
// violations are in the tally.
func (c Campaign) Run(ctx context.Context, lab *Lab) (Tally, error) {
	var total Tally
	saved := 0
	for run := 1; total.States+total.Nested < c.States; run++ {
		start := time.Now()
		seed := c.Seed*1_000_003 + uint64(run)
		rec, err := lab.Record(ctx, c.Setup(seed), c.Subject)
		if err != nil {
			return total, fmt.Errorf("run %d of seed %d: %w", run, c.Seed, err)
		}
		effort := Effort{Seed: seed, Workers: c.Workers, Nested: true, Stop: max(1, c.Stop),
			States: min(c.PerRun, (c.States-total.States-total.Nested+1)*4/5+1)}
		tally, err := lab.Try(ctx, rec, c.Subject, effort, func(v *Violation, log *recdisk.Disk) {
			if saved++; saved > maxLogs {
				return
			}
			v.Log = filepath.Join(c.Out, fmt.Sprintf("%s-seed%d-run%d-%d.log", c.Type.Name, c.Seed, run, v.State.Number))
			if err := saveLog(rec, seed, v, log); err != nil {
				v.Log = err.Error()
			}
		})
		total.Add(tally)
		if err != nil {
			return total, fmt.Errorf("run %d of seed %d: %w", run, c.Seed, err)
		}
		if err := rec.Disk.Drop(); err != nil {
			return total, err
		}
		if c.Progress != nil {
			c.Progress(run, total, time.Since(start))
		}
		if len(total.Violations) >= max(1, c.Stop) {
			break
		}
	}
	return total, nil
}

func saveLog(rec *Recording, seed uint64, v *Violation, log *recdisk.Disk) error {
	m := meta{Type: rec.Type.Name, Seed: seed, From: rec.Ledger.Begin, Ledger: rec.Ledger}
	if v.Parent != nil {
		m.From, m.Crash, m.Nested, m.Want = 0, v.Parent.End, true, v.want
	}
	note, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(v.Log), 0o755); err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	path, err := filepath.Abs(v.Log)
	if err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	return log.Save(path, string(note))
}

// Replay rebuilds one state of a saved log and examines it again. With keep,
// the image before any recovery is written to that file, for a look with
// other tools. The violation is nil if the state is in order.
func (l *Lab) Replay(ctx context.Context, path string, number int, subject Subject, keep string) (blocklog.State, *Violation, error) {
	disk, note, err := l.server.Load(path)
	if err != nil {
		return blocklog.State{}, nil, err
	}
	var m meta
	if err := json.Unmarshal([]byte(note), &m); err != nil {
		return blocklog.State{}, nil, fmt.Errorf("note of %s: %w", path, err)
	}
	kind, err := volume.Find(m.Type)
	if err != nil {
		return blocklog.State{}, nil, err
	}
	ops, err := disk.Headers()
	if err != nil {
		return blocklog.State{}, nil, err
	}
	rec := &Recording{Disk: disk, Type: kind, Ops: ops, Ledger: m.Ledger}
	plan := rec.plan(m.Seed)
	plan.From = m.From
	all := blocklog.States(ops, plan)
	if number < 0 || number >= len(all) {
		return blocklog.State{}, nil, fmt.Errorf("state %d: the log has %d", number, len(all))
	}
	state := all[number]
	image, err := disk.At(state)
	if err != nil {
		return state, nil, err
	}
	if keep != "" {
		if err := copyImage(image.Path(), keep); err != nil {
			return state, nil, err
		}
	}
	x := exam{kind: kind, subject: subject, ledger: m.Ledger, end: state.End}
	if m.Nested {
		x.end, x.want = m.Crash, m.Want
	}
	_, err = l.examine(ctx, image.Path(), x)
	var v *Violation
	if errors.As(err, &v) {
		v.State = state
		return state, v, nil
	}
	return state, nil, err
}
