package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

func (a *app) verifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "check every file, version and commit",
		Long: `Verify reads every protected file and compares it with what was last committed
and with its rule, reads the journal, and every version in history. It exits
with 0 if every byte is what was last committed. DIR may be mounted or not.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.verify(c.Context(), args[0], true)
		},
		ValidArgsFunction: completeDirs,
	}
	return a.withJSON(c)
}

// verify prints what it finds; loud also if that is nothing.
func (a *app) verify(ctx context.Context, arg string, loud bool) error {
	var r store.VerifyReport
	err := a.with(ctx, arg, toRead, func(_ target, c control.Caller) error {
		bar := a.newProgress("verifying")
		defer bar.end()
		return c.Call(ctx, control.OpVerify, nil, &r, control.Sink{Progress: bar.at})
	})
	if err != nil {
		return err
	}
	if a.asJSON {
		err = a.printJSON(r)
	} else if loud || len(r.Problems)+len(r.Damage) > 0 {
		err = a.printVerify(r)
	}
	if err != nil {
		return err
	}
	return verdict(arg, r)
}

func (a *app) printVerify(r store.VerifyReport) error {
	for _, group := range []struct {
		label string
		list  []store.Problem
	}{
		{a.paint(red, "damaged"), r.Damage},
		{a.paint(red, "wrong"), r.Problems},
		{a.paint(yellow, "warning"), r.Warnings},
	} {
		for _, p := range group.list {
			if err := a.printf("%s: %s\n", group.label, problemText(p)); err != nil {
				return err
			}
		}
	}
	state := a.paint(green, "ok")
	if len(r.Damage)+len(r.Problems) > 0 {
		state = a.paint(red, "not ok")
	}
	return a.printf("%s: %s (%s), %s", state, count(r.Files, "file"), size(r.Bytes), count(r.Versions, "version")+pendingText(r.Pending))
}

func pendingText(n int) string {
	if n == 0 {
		return "\n"
	}
	return fmt.Sprintf(", %s only in the journal\n", count(n, "commit"))
}

func problemText(p store.Problem) string {
	text := p.Path
	if p.Line != 0 {
		text += fmt.Sprintf(":%d:%d", p.Line, p.Column)
	}
	text += ": " + p.What
	if p.Good != "" {
		text += fmt.Sprintf(" (last good version: %s)", p.Good)
	}
	return text
}

// verdict makes what was found an error.
func verdict(dir string, r store.VerifyReport) error {
	switch {
	case len(r.Damage) > 0:
		err := fmt.Errorf("%s: %w in %s: %s", dir, store.ErrDamaged, count(len(r.Damage), "place"), problemText(r.Damage[0]))
		return hint(err, "the files themselves are whole; keep a copy of .intact before anything else")
	case len(r.Problems) > 0:
		err := invalid{fmt.Errorf("%s: %s: %s", dir, wrong(len(r.Problems)), problemText(r.Problems[0]))}
		return hint(err, "bring the last good version back with: intact restore FILE@VERSION")
	}
	return nil
}

func wrong(n int) string {
	if n == 1 {
		return "1 file is not what was last committed"
	}
	return fmt.Sprintf("%d files are not what was last committed", n)
}

// count is "1 file", "2 files".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(int64(n)) + " " + what + "s"
}

// size is a byte count for people.
func size(n int64) string {
	if n < 0 {
		n = 0
	}
	return humanize.IBytes(uint64(n))
}
