package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"intactfs/backup"
	"intactfs/control"
	"intactfs/store"
)

func (a *app) rejectedCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rejected",
		Short: "the contents that were refused",
		Long: `A content that its rule calls invalid never replaces a valid one: it goes to
quarantine, with who wrote it and where it is wrong. An ID is what rejected
list prints; the path of a file stands for the latest content refused for it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.rejectedList(c.Context(), ".")
		},
	}
	a.withJSON(c)
	c.AddCommand(a.rejectedListCommand(),
		a.refusalCommand("show ID", "print a refused content; with --json, why it was refused", toRead, a.rejectedShow),
		a.refusalCommand("diff ID", "compare a refused content with the present version", toRead, a.rejectedDiff),
		a.refusalCommand("accept ID", "commit a refused content after all", toWrite, a.rejectedAccept),
		a.rejectedDropCommand(), a.rejectedSalvageCommand())
	return c
}

func (a *app) rejectedListCommand() *cobra.Command {
	return a.withJSON(&cobra.Command{
		Use:   "list [PATH]",
		Short: "list what was refused below a directory, or for a file",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.rejectedList(c.Context(), append(args, ".")[0])
		},
	})
}

func (a *app) rejectedList(ctx context.Context, arg string) error {
	return a.with(ctx, arg, toRead, func(t target, c control.Caller) error {
		list, err := rejectedBelow(ctx, c, t.path)
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.printJSON(quarantinedList(list))
		}
		if len(list) == 0 {
			a.tell("nothing was refused")
			return nil
		}
		return a.printRejected(list)
	})
}

// rejectedBelow lists the quarantine of a path and of all below it.
func rejectedBelow(ctx context.Context, c control.Caller, path string) ([]backup.Rejected, error) {
	var all []backup.Rejected
	if err := c.Call(ctx, control.OpRejected, control.PathArgs{}, &all, control.Sink{}); err != nil {
		return nil, err
	}
	list := []backup.Rejected{}
	for _, r := range all {
		if path == "" || within(path, r.Path) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (a *app) printRejected(list []backup.Rejected) error {
	t := &table{head: []string{"ID", "TIME", "SIZE", "TIMES", "PROGRAM", "REASON"}}
	for _, r := range list {
		reason := r.Reason
		if r.Line != 0 {
			reason = fmt.Sprintf("line %d, column %d: %s", r.Line, r.Column, r.Reason)
		}
		t.row("", r.ID, a.timeText(r.Last), size(r.Size), fmt.Sprint(r.Count), fmt.Sprintf("%s[%d]", r.Program, r.PID), reason)
	}
	return a.printTable(t)
}

// refusal opens the session that a refused content belongs to and calls f
// with its ID there. The argument is a path, a path@digits, or digits alone
// for the directory that one is in.
func (a *app) refusal(ctx context.Context, arg string, what intent, f func(id string, c control.Caller) error) error {
	file, digits := arg, ""
	if i := strings.LastIndex(arg, "@"); i > 0 && isHex(arg[i+1:]) {
		file, digits = arg[:i], arg[i:]
	}
	try := func(t target, id string) error {
		return a.withTarget(ctx, t, what, func(_ target, c control.Caller) error { return f(id, c) })
	}
	t, err := locate(file)
	if digits == "" && isHex(arg) && (errors.Is(err, iofs.ErrNotExist) || err == nil) {
		if here, hereErr := locate("."); hereErr == nil && (err != nil || t.dir == here.dir) {
			return try(here, arg)
		}
	}
	// An ID as the list prints it is relative to the directory, wherever the
	// user is.
	if !filepath.IsAbs(file) && (err != nil || t.path != file) {
		if here, hereErr := locate("."); hereErr == nil {
			if found := try(here, file+digits); !errors.Is(found, store.ErrNotRejected) {
				return found
			}
		}
	}
	if err != nil {
		return err
	}
	return try(t, t.path+digits)
}

func isHex(s string) bool {
	return len(s) >= 4 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// refusalCommand is a subcommand that does f to one refused content.
func (a *app) refusalCommand(use, short string, what intent, f func(ctx context.Context, id string, c control.Caller) error) *cobra.Command {
	return a.withJSON(&cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			return a.refusal(ctx, args[0], what, func(id string, c control.Caller) error { return f(ctx, id, c) })
		},
		ValidArgsFunction: a.completeRejected,
	})
}

func (a *app) rejectedShow(ctx context.Context, id string, c control.Caller) error {
	r, err := showRejected(ctx, c, id, a.contentOut())
	if err == nil && a.asJSON {
		err = a.printJSON(quarantinedOf(r))
	}
	return err
}

func showRejected(ctx context.Context, c control.Caller, id string, w io.Writer) (backup.Rejected, error) {
	var r backup.Rejected
	err := c.Call(ctx, control.OpRejShow, control.RejectedArgs{ID: id}, &r, toWriter(w))
	return r, err
}

func (a *app) rejectedDiff(ctx context.Context, id string, c control.Caller) error {
	var refused, current bytes.Buffer
	r, err := showRejected(ctx, c, id, &refused)
	if err != nil {
		return err
	}
	err = c.Call(ctx, control.OpCurrent, control.PathArgs{Path: r.Path}, nil, toWriter(&current))
	if err != nil {
		return err
	}
	return a.printDiff(r.Path, "present", current.Bytes(), "refused", refused.Bytes())
}

func (a *app) rejectedAccept(ctx context.Context, id string, c control.Caller) error {
	var made control.Committed
	err := c.Call(ctx, control.OpRejAccept, control.RejectedArgs{ID: id, Who: me()}, &made, control.Sink{})
	if err != nil {
		return err
	}
	return a.printResult(made, "%s: accepted, now version %s\n", made.Path, made.Version)
}

func (a *app) rejectedDropCommand() *cobra.Command {
	return a.withJSON(&cobra.Command{
		Use:   "drop ID...",
		Short: "remove refused contents for good",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			dropped := []backup.Rejected{}
			for _, arg := range args {
				err := a.refusal(ctx, arg, toWrite, func(id string, c control.Caller) error {
					var r backup.Rejected
					err := c.Call(ctx, control.OpRejDrop, control.RejectedArgs{ID: id}, &r, control.Sink{})
					if err == nil {
						dropped = append(dropped, r)
					}
					return err
				})
				if err != nil {
					return err
				}
			}
			if a.asJSON {
				return a.printJSON(quarantinedList(dropped))
			}
			for _, r := range dropped {
				if err := a.printf("%s: dropped\n", r.ID); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: a.completeRejected,
	})
}
