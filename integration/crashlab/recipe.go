package crashlab

import (
	"context"

	"intactfs/integration/crashlab/savers"
)

// Recipe is the subject that looks after nothing: programs save straight to
// the file system. It proves the laboratory: safe recipes must pass, careless
// ones must be caught.
type Recipe struct{}

var _ Subject = Recipe{}

// Run implements Subject.
func (Recipe) Run(ctx context.Context, run Run) error {
	if err := run.Workload.Link(run.Data, run.Mark); err != nil {
		return err
	}
	return run.Workload.Run(ctx, run.Mark, savers.InDir(run.Data, run.Step))
}

// Recover implements Subject: there is nothing to do.
func (Recipe) Recover(context.Context, string) error { return nil }

// Inspect implements Subject.
func (Recipe) Inspect(context.Context, string, []string) (map[string][]int, error) {
	return nil, ErrNoHistory
}
