package main

import (
	"errors"

	"github.com/spf13/cobra"

	"intactfs/backup"
	"intactfs/control"
	"intactfs/store"
)

func (a *app) pinCommand() *cobra.Command {
	var remove bool
	c := &cobra.Command{
		Use:   "pin FILE@VERSION",
		Short: "keep a version for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			file, version := a.splitVersion(args[0])
			if version == "" {
				return usageError{errors.New("pin needs a version: intact pin FILE@VERSION")}
			}
			return a.with(ctx, file, toWrite, func(t target, c control.Caller) error {
				e, err := a.pickVersion(ctx, c, t.path, version)
				if err != nil {
					return err
				}
				err = c.Call(ctx, control.OpPin, control.PinArgs{Path: t.path, Tx: e.Tx, On: !remove}, nil, control.Sink{})
				if err != nil {
					return err
				}
				state := "pinned"
				if remove {
					state = "no longer pinned"
				}
				return a.printResult(map[string]any{"path": e.Path, "version": e.Version, "pinned": !remove},
					"%s: version %s is %s\n", e.Path, e.Version, state)
			})
		},
		ValidArgsFunction: a.completeVersions,
	}
	c.Flags().BoolVar(&remove, "remove", false, "give the version back to retention")
	return a.withJSON(c)
}

// pruned is one file in the output of prune --json.
type pruned struct {
	Path    string   `json:"path"`
	Dropped []string `json:"dropped"`
	Kept    int      `json:"kept"`
	Freed   int64    `json:"freed"`
}

func (a *app) pruneCommand() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "prune PATH",
		Short: "drop the versions that retention does not keep, now",
		Long: `Prune applies the retention of config.toml to PATH and all below it; the daemon
does so by itself. Pinned versions, the last good one and those around a
drastic shrink always stay. intact log --why shows what keeps each version.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			return a.with(ctx, args[0], intentOf(!dry), func(t target, c control.Caller) error {
				var plans []backup.PlanResult
				err := c.Call(ctx, control.OpPrune, control.PruneArgs{Path: t.path, Dry: dry}, &plans, control.Sink{})
				if err != nil {
					return err
				}
				return a.printPruned(plans, dry)
			})
		},
		ValidArgsFunction: a.completeFiles,
	}
	c.Flags().BoolVarP(&dry, "dry-run", "n", false, "only show what would go")
	return a.withJSON(c)
}

func (a *app) printPruned(plans []backup.PlanResult, dry bool) error {
	list := []pruned{}
	for _, plan := range plans {
		p := pruned{Path: plan.Path, Dropped: []string{}, Freed: plan.Freed}
		for _, d := range plan.Decisions {
			if d.Keep {
				p.Kept++
			} else {
				p.Dropped = append(p.Dropped, store.FormatTx(d.Entry.Tx))
			}
		}
		list = append(list, p)
	}
	if a.asJSON {
		return a.printJSON(list)
	}
	verb := "dropped"
	if dry {
		verb = "would drop"
	}
	total := 0
	for _, p := range list {
		total += len(p.Dropped)
		if len(p.Dropped) == 0 {
			continue
		}
		if err := a.printf("%s: %s %s, keeps %d, frees %s\n", p.Path, verb, count(len(p.Dropped), "version"), p.Kept, size(p.Freed)); err != nil {
			return err
		}
	}
	if total == 0 {
		a.tell("nothing to drop")
	}
	return nil
}
