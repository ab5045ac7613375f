// Command bench measures a mounted intact against the native file system, the
// careful hand-written save and a plain FUSE loopback, in one run.
//
// Every number is a ratio of medians over interleaved rounds: in each round
// every variant runs once, in rotating order, so that noise of the machine
// meets all of them alike. Absolute times are printed to give the ratios a
// scale; they are not comparable between machines.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"intactfs/integration/bench/result"
	"intactfs/integration/crashlab/volume"
)

// config is what the command line decides.
type config struct {
	intact string
	dir    string
	fsType string
	only   []string
	quick  bool
	json   string
	rounds int
	saves  int
	budget time.Duration
	flush  *time.Duration // nil: as the disk has it
}

func main() {
	if is, err := child(os.Args); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	c := parse()
	if c.fsType != "" {
		// However this ends, the kernel then takes the mounts down.
		if err := volume.Isolate(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// parse reads the flags; a wrong one ends the program with status 3.
func parse() config {
	var c config
	var only string
	flag.StringVar(&c.intact, "intact", "bin/intact", "the binary to measure")
	flag.StringVar(&c.dir, "dir", "", "directory to work in (default: a temporary one)")
	flag.StringVar(&c.fsType, "fs", "", "make a file system of this `type` (ext4, xfs, btrfs) in a loop file and work there")
	flag.StringVar(&only, "only", "", "comma-separated `scenarios`: "+strings.Join(scenarioNames(), ", "))
	flag.BoolVar(&c.quick, "quick", false, "fewer rounds and sizes")
	flag.StringVar(&c.json, "json", "", "also write the results to this `file`")
	flag.IntVar(&c.rounds, "rounds", 0, "rounds per scenario (default 11, quick 5)")
	flag.IntVar(&c.saves, "saves", 0, "saves of the scenario million (default 1,000,000, quick 20,000)")
	flag.DurationVar(&c.budget, "budget", 15*time.Minute, "time after which the scenarios matrix and million begin nothing more")
	flag.Func("flush", "let every flush of the disk below -fs take this `time`, and count them: 0, 2ms", func(text string) error {
		d, err := time.ParseDuration(text)
		c.flush = &d
		return err
	})
	flag.Parse()
	if c.flush != nil && c.fsType == "" {
		fmt.Fprintln(os.Stderr, "error: -flush needs a file system to put on such a disk\nhint: -fs ext4")
		os.Exit(3)
	}
	if only != "" {
		c.only = strings.Split(only, ",")
	}
	for _, name := range c.only {
		if !slices.Contains(scenarioNames(), name) {
			fmt.Fprintf(os.Stderr, "error: no scenario %q\nhint: one of %s\n", name, strings.Join(scenarioNames(), ", "))
			os.Exit(3)
		}
	}
	if c.rounds == 0 {
		c.rounds = 11
		if c.quick {
			c.rounds = 5
		}
	}
	return c
}

// run sets the place up, runs the scenarios and reports.
func run(ctx context.Context, c config) (err error) {
	binary, err := filepath.Abs(c.intact)
	if err != nil {
		return fmt.Errorf("find binary: %w", err)
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("find binary: %w (build it with: make build)", err)
	}
	p, err := newPlace(ctx, c, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	report := result.Report{Time: time.Now().UTC(), FileSystem: p.fsName, Rounds: c.rounds}
	fmt.Printf("file system %s, %d rounds, medians of interleaved pairs\n", p.fsName, c.rounds)
	for _, s := range scenarios {
		if len(c.only) > 0 && !slices.Contains(c.only, s.name) {
			continue
		}
		results, err := s.run(ctx, p)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
		for _, r := range results {
			r.Print(os.Stdout)
		}
		report.Results = append(report.Results, results...)
		if err := write(c.json, report); err != nil {
			return err
		}
	}
	return nil
}

// write puts what was measured so far into a file, if there is to be one: a
// run that is ended early leaves that.
func write(file string, report result.Report) error {
	if file == "" {
		return nil
	}
	out, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	return os.WriteFile(file, append(out, '\n'), 0o644)
}
