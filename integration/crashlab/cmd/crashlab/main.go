// Command crashlab runs campaigns of the crash laboratory and replays what
// they found. It needs root and loop devices. Its exit code is 0 if nothing
// was found, 1 if the laboratory does not work, 3 for usage and 6 if a
// promise was broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/planted"
	"intactfs/integration/crashlab/product"
	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
)

// The exit codes, as the product has them.
const (
	exitFailed   = 1
	exitUsage    = 3
	exitViolated = 6
)

// shown is how many violations of a file system are printed.
const shown = 20

// collectPercent makes the garbage collector rarer: every examination opens
// the history anew and drops it again.
const collectPercent = 400

// errViolated says that a promise was broken; what and where was printed.
var errViolated = errors.New("a promise was broken")

// errUsage is for arguments that make no sense.
var errUsage = errors.New("usage")

// options are the flags.
type options struct {
	fs      string
	states  int
	perRun  int
	seed    uint64
	workers int
	stop    int
	binary  string
	exec    bool
	out     string
	log     string
	replay  int
	image   string
	bugs    bool
	remove  bool
	relaxed bool
}

func main() {
	recdisk.Main()
	o, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(exitUsage)
	}
	if err := volume.Isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		fmt.Fprintln(os.Stderr, "hint: the laboratory needs root")
		os.Exit(exitFailed)
	}
	debug.SetGCPercent(collectPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, os.Stdout)
	stop()
	switch {
	case errors.Is(err, errViolated):
		os.Exit(exitViolated)
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(exitFailed)
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("crashlab", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.fs, "fs", "ext4,ext4-strict,ext4-writeback,xfs,btrfs", "file systems, separated by commas")
	f.IntVar(&o.states, "states", 2000, "distinct crash states to examine on each, crashes during recovery included")
	f.IntVar(&o.perRun, "per-run", 1000, "most states to examine of one recorded run")
	f.Uint64Var(&o.seed, "seed", 1, "where all choices come from")
	f.IntVar(&o.workers, "workers", 2, "states to examine at the same time")
	f.IntVar(&o.stop, "stop", 1, "end at so many violations")
	f.StringVar(&o.binary, "intact", "intact", "the binary to try")
	f.BoolVar(&o.exec, "exec", false, "recover and verify each state with the binary, not in this process: slower")
	f.StringVar(&o.out, "out", "crashlab-failures", "directory for the logs of violations")
	f.StringVar(&o.log, "log", "", "saved log to replay a state of")
	f.IntVar(&o.replay, "replay", -1, "number of the state to replay; needs -log")
	f.StringVar(&o.image, "image", "", "with -replay, keep the disk image before recovery in this file")
	f.BoolVar(&o.remove, "removals", true, "have files removed too")
	f.BoolVar(&o.bugs, "bugs", false, "hunt the planted bugs instead, and print a table")
	durability := f.String("durability", "full", "what intact promises: full, or relaxed, where what is not synced may be lost for a second")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.relaxed = *durability == "relaxed"; !o.relaxed && *durability != "full" {
		fmt.Fprintln(stderr, "error: -durability is full or relaxed")
		return o, errUsage
	}
	if f.NArg() > 0 || (o.log == "") != (o.replay < 0) {
		fmt.Fprintln(stderr, "error: -log FILE and -replay N go together, and nothing else is an argument")
		return o, errUsage
	}
	return o, nil
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "crashlab")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	lab, err := crashlab.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	subject := product.Subject{Binary: o.binary, Quick: !o.exec, Relaxed: o.relaxed}
	switch {
	case o.log != "":
		return replay(ctx, lab, o, subject, out)
	case o.bugs:
		return hunt(ctx, lab, o, out)
	}
	return campaigns(ctx, lab, o, subject, out)
}

func replay(ctx context.Context, lab *crashlab.Lab, o options, subject crashlab.Subject, out io.Writer) error {
	state, violation, err := lab.Replay(ctx, o.log, o.replay, subject, o.image)
	if err != nil {
		return err
	}
	if violation != nil {
		fmt.Fprintln(out, violation)
		return errViolated
	}
	fmt.Fprintf(out, "%v: in order\n", state)
	return nil
}

func campaigns(ctx context.Context, lab *crashlab.Lab, o options, subject crashlab.Subject, out io.Writer) error {
	var found error
	for _, name := range strings.Split(o.fs, ",") {
		kind, err := volume.Find(name)
		if err != nil {
			return err
		}
		start := time.Now()
		runs := 0
		c := crashlab.Campaign{
			Type: kind, Subject: subject, Seed: o.seed, States: o.states, PerRun: o.perRun,
			Workers: o.workers, Stop: o.stop, Out: o.out,
			Setup: func(seed uint64) crashlab.Setup {
				s := product.Setup(kind, seed)
				if !o.remove {
					s = product.WithoutRemovals(s)
				}
				if o.relaxed {
					s = product.Relaxed(s)
				}
				return s
			},
			Progress: func(n int, t crashlab.Tally, spent time.Duration) {
				runs = n
				fmt.Fprintf(os.Stderr, "%s: %d runs, %d crashes, %d of them during recovery, %d violations (last run %v)\n",
					kind.Name, n, t.States+t.Nested, t.Nested, len(t.Violations), spent.Round(time.Millisecond))
			},
		}
		tally, err := c.Run(ctx, lab)
		if err != nil {
			return err
		}
		spent := time.Since(start)
		total := tally.States + tally.Nested
		fmt.Fprintf(out, "%-15s seed %d: %d runs, %d crash states (%d during recovery), %d violations, %v, %.1f states/s\n",
			kind.Name, o.seed, runs, total, tally.Nested, len(tally.Violations), spent.Round(time.Second), float64(total)/spent.Seconds())
		if o.relaxed {
			fmt.Fprintf(out, "%-15s acknowledged saves were missing in %d states, the oldest %d ms old\n",
				kind.Name, tally.Losses, tally.Loss.Milliseconds())
		}
		for i, v := range tally.Violations {
			if i < shown {
				fmt.Fprintln(out, v)
			}
			found = errViolated
		}
	}
	return found
}

// hunt prints how each planted bug is caught on the first file system given.
func hunt(ctx context.Context, lab *crashlab.Lab, o options, out io.Writer) error {
	kind, err := volume.Find(strings.Split(o.fs, ",")[0])
	if err != nil {
		return err
	}
	missed := 0
	fmt.Fprintf(out, "| planted bug | what it means | caught | after states | found in |\n|---|---|---|---|---|\n")
	for _, bug := range append([]planted.Bug{{Name: "(none)", Means: "the control: nothing is broken"}}, planted.Bugs...) {
		runs, states := planted.Runs, planted.States
		if bug.Name == "(none)" {
			runs, states = 2, 100
		}
		catch, err := planted.Hunt(ctx, lab, kind, bug, o.seed, runs, states)
		if err != nil {
			return fmt.Errorf("hunt %s: %w", bug.Name, err)
		}
		caught, phase := "no", ""
		if v := catch.Violation; v != nil {
			caught, phase = "yes", string(v.Phase)
			if v.Parent != nil {
				phase += ", crash during recovery"
			}
		}
		if (catch.Violation == nil) != (bug.Name == "(none)") {
			missed++
		}
		fmt.Fprintf(out, "| %s | %s | %s | %d | %s |\n", bug.Name, bug.Means, caught, catch.Tally.States+catch.Tally.Nested, phase)
	}
	if missed > 0 {
		return errViolated
	}
	return nil
}
