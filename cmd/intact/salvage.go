package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
	"intactfs/validate"
)

func (a *app) salvageCommand() *cobra.Command {
	var commit bool
	c := &cobra.Command{
		Use:   "salvage FILE",
		Short: "mend a torn document",
		Long: `Salvage prints the longest whole start of a torn JSON or JSON Lines document, with
its open objects and arrays closed, and says what was lost. With --commit the
result becomes the newest version of the file; what it replaces stays in
history. It works on any file, also where intact was never used.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := locate(args[0])
			if err != nil && !commit {
				return promptly(c.Context(), func() error { return a.salvagePlain(args[0]) })
			}
			if err != nil {
				return err
			}
			return a.with(c.Context(), args[0], intentOf(commit), func(_ target, caller control.Caller) error {
				return a.salvage(c.Context(), caller, control.SalvageArgs{Path: t.path, Dry: !commit, Who: me()})
			})
		},
		ValidArgsFunction: a.completeFiles,
	}
	c.Flags().BoolVar(&commit, "commit", false, "make the result the newest version of the file")
	return a.withJSON(c)
}

func (a *app) rejectedSalvageCommand() *cobra.Command {
	var commit bool
	c := &cobra.Command{
		Use:   "salvage ID",
		Short: "mend a refused content",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			return a.refusal(ctx, args[0], intentOf(commit), func(id string, c control.Caller) error {
				return a.salvage(ctx, c, control.SalvageArgs{ID: id, Dry: !commit, Who: me()})
			})
		},
		ValidArgsFunction: a.completeRejected,
	}
	c.Flags().BoolVar(&commit, "commit", false, "make the result the newest version of the file")
	return a.withJSON(c)
}

func (a *app) salvage(ctx context.Context, c control.Caller, args control.SalvageArgs) error {
	var out control.Salvaged
	if err := c.Call(ctx, control.OpSalvage, args, &out, toWriter(a.contentOut())); err != nil {
		return mendError(err)
	}
	if a.asJSON {
		return a.printJSON(out)
	}
	a.tellSalvaged(out.Path, out.Report)
	if out.Committed != nil {
		return a.printf("%s: salvaged, now version %s\n", out.Path, out.Committed.Version)
	}
	return nil
}

// salvagePlain mends a file that intact does not look after.
func (a *app) salvagePlain(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	format := store.FormatOf(name)
	if format == store.FormatNone {
		format = store.FormatJSON
	}
	report, err := store.SalvageAs(format, validate.Options{Comments: true}, f, a.contentOut())
	if err != nil {
		return mendError(err)
	}
	if a.asJSON {
		return a.printJSON(control.Salvaged{Path: name, Report: report})
	}
	a.tellSalvaged(name, report)
	return nil
}

func (a *app) tellSalvaged(name string, r validate.Report) {
	if r.Fault == nil {
		a.tell("%s is whole: nothing had to be mended", name)
		return
	}
	a.tell("%s: line %d, column %d: %s", name, r.Fault.Line, r.Fault.Column, r.Fault.Reason)
	a.tell("kept %s, lost %s, closed %s", size(r.Kept), size(r.Lost), count(r.Closed, "bracket"))
}

// mendError gives content without anything whole in it its exit code.
func mendError(err error) error {
	if errors.Is(err, validate.ErrNothing) {
		return invalid{fmt.Errorf("%w: no part of it is whole", err)}
	}
	return err
}
