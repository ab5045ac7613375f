package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	debug.SetGCPercent(400) // many short-lived disks, little that stays
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}

// command returns the exit code: 0 no violation, 1 some, 3 usage. When ctx
// ends it prints what was found until then.
func command(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("campaign", flag.ContinueOnError)
	flags.SetOutput(errOut)
	c := config{stop: ctx.Done()}
	flags.Int64Var(&c.seed, "seed", 1, "what all random choices follow from")
	flags.Int64Var(&c.states, "states", 100_000, "`number` of crash states to try")
	flags.BoolVar(&c.links, "links", false, "only workloads in which files have several names, else every other one")
	flags.IntVar(&c.every, "every", 1, "take every `n`-th workload only")
	faults := flags.Bool("faults", false, "let every operation fail instead, with every error, once and from then on")
	flags.BoolVar(&c.real, "real-history", false, "with -faults: the history is on the same disk, and fails too")
	flags.BoolVar(&c.lenient, "lenient", false, "damage to the history that costs no version is no violation")
	replay := flags.String("replay", "", "try one `state` alone: workload.operation.variant")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 3
	}
	if *replay != "" {
		s, err := parseState(*replay)
		if err != nil {
			fmt.Fprintf(errOut, "error: %v\n", err)
			return 3
		}
		c.only = &s
		fmt.Fprintln(out, newWorkload(c.seed, s.workload))
	}
	begin := time.Now()
	try := campaign
	if *faults {
		try = failEverywhere
	}
	r := try(c)
	took := time.Since(begin)
	for _, v := range r.wrong {
		fmt.Fprintln(out, v)
	}
	fmt.Fprintf(out, "seed %d: %d states of %d sequences and %d random workloads, %d violations, %.0f states/s, %s\n",
		c.seed, r.states, r.sequences, r.random, len(r.wrong), float64(r.states)/took.Seconds(), took.Round(time.Second))
	if len(r.wrong) > 0 {
		return 1
	}
	return 0
}
