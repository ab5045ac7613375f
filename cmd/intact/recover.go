package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"intactfs/store"
)

// recovered is what recover prints with --json.
type recovered struct {
	Records int   `json:"records"`
	Pending int   `json:"pending"`
	Torn    int64 `json:"torn_bytes"`
	Orphans int   `json:"orphans"`
	// Removals is how many files were removed, or came back, without history
	// knowing.
	Removals int `json:"removals"` // and renames
}

func (a *app) recoverCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "recover DIR",
		Short: "replay the journal without mounting",
		Long: `Recover brings every commit that only the journal has to its file, as the next
mount would do, and ends the history of files that were removed while the
machine crashed. DIR must not be mounted. A damaged journal is left as it is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.recover(c.Context(), args[0])
		},
		ValidArgsFunction: completeDirs,
	}
	return a.withJSON(c)
}

func (a *app) recover(ctx context.Context, arg string) error {
	t, err := locate(arg)
	if err != nil {
		return err
	}
	if t.path != "" {
		return usageError{fmt.Errorf("%s is inside %s: name the directory itself", arg, t.dir)}
	}
	if t.mount != nil && !a.dead(*t.mount) {
		return hint(fmt.Errorf("%s is mounted: its daemon has recovered it", t.mount.point), "intact verify checks it")
	}
	if t.mount != nil && t.mount.point == t.dir {
		if err := t.mount.detach(); err != nil {
			return err
		}
		a.tell("cleared a dead mount at %s", t.dir)
	}
	dir, err := os.Open(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	bar := a.newProgress("recovering")
	defer bar.end()
	bar.at(0, 1)
	s, err := store.Open(dir, store.Options{Purpose: "recover", Patience: lockPatience, Now: a.now, Log: a.plainLog()})
	if err != nil {
		return hintDamaged(fmt.Errorf("%s: %w", t.dir, err))
	}
	r := s.Recovered()
	removals := 0
	if err = s.Checkpoint(ctx); err == nil {
		var imperfect error
		if removals, imperfect = s.Reconcile(ctx); imperfect != nil {
			// The commits are where they belong all the same.
			a.tell("warning: %v", imperfect)
		}
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	for _, t := range r.Torn {
		a.tell("warning: torn end of the journal: %v", t)
	}
	if a.asJSON {
		return a.printJSON(recovered{r.Records, r.Pending, r.TornBytes, r.Orphans, removals})
	}
	if removals > 0 {
		if err := a.printf("history caught up with %s that a crash had removed or renamed\n", count(removals, "file")); err != nil {
			return err
		}
	}
	if r.Pending == 0 && r.TornBytes == 0 && removals == 0 {
		return a.printf("nothing to recover\n")
	}
	return a.printf("recovered %s; every file is up to date\n", count(r.Pending, "commit"))
}

// hintDamaged says what can be done with a damaged journal.
func hintDamaged(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return hint(err, "nothing was changed; intact mount serves what precedes the damage, read-only")
	}
	return err
}
