package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
)

// manner is how much a caller wants its paths published.
type manner struct {
	force  bool // paths that failed lately, and short appends to long files, too
	urgent bool // before what others publish
}

// Settle brings the backing directory up to date for path and everything
// below it. When it returns nil the journal holds nothing for these names,
// durably: they can be removed or renamed, and no recovery brings them back.
// It does not wait for other paths, but for those whose publication began
// before: at most one per worker, and what they share at the end.
func (j *Journal) Settle(ctx context.Context, path string) error {
	if j.o.ReadOnly {
		return ErrReadOnly
	}
	if err := j.publish(ctx, path, manner{force: true, urgent: true}); err != nil {
		return fmt.Errorf("settle %s: %w", path, err)
	}
	return nil
}

// Checkpoint publishes everything that is pending when it is called.
func (j *Journal) Checkpoint(ctx context.Context) error {
	if j.o.ReadOnly {
		return ErrReadOnly
	}
	return j.checkpoint(ctx, true)
}

// checkpoint publishes everything, and leaves the journal ready for more.
// What fails costs only its own path: the others are published, what keeps
// their segments is written again, and who waits for room hears of it. Without
// force, paths that failed lately are left out.
func (j *Journal) checkpoint(ctx context.Context, force bool) error {
	err := j.publish(ctx, "", manner{force: force})
	j.mu.Lock()
	j.stats.PublishFailing = nil
	for _, f := range j.failing {
		j.stats.PublishFailing = f.err
	}
	if err != nil && ctx.Err() == nil {
		j.stats.PublishFailing = err
	}
	j.mu.Unlock()
	if merr := j.moveStuck(ctx); err == nil {
		err = merr
	}
	if errors.Is(err, syscall.ENOSPC) {
		// Unused segments are the reserve that publishing lives on.
		err = errors.Join(err, j.shrink(0))
	}
	j.mu.Lock()
	j.signalDrained()
	j.mu.Unlock()
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return j.tidy()
}

// tidy gives back what a burst of commits left behind, and leaves the
// journal ready for more.
func (j *Journal) tidy() error {
	if err := j.shrink(maxFree); err != nil {
		return err
	}
	if err := j.prepareSpare(); err != nil {
		// Commits go on in what there is; the one that needs it will say so.
		j.o.Log.Warn("no spare segment", "error", err)
	}
	return nil
}

// signalDrained wakes the commits that wait for room. The caller holds mu.
func (j *Journal) signalDrained() {
	close(j.drained)
	j.drained = make(chan struct{})
}

// publish brings all pending paths at and below path up to date, oldest
// commits first, and returns the first error; the other paths are published
// nevertheless.
func (j *Journal) publish(ctx context.Context, path string, m manner) error {
	paths := j.due(path, m)
	var all error
	for len(paths) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(roundPaths, len(paths))
		left, err := j.round(ctx, paths[:n], m)
		if all == nil {
			all = err
		}
		if err := j.stoppedErr(); err != nil {
			return err
		}
		paths = slices.Concat(paths[n:], left)
	}
	return all
}

// due lists what is pending at and below path, oldest commits first, without
// the long files whose appends wait for company.
func (j *Journal) due(path string, m manner) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	paths := j.index.below(path, nil)
	first := func(p string) TxID { return j.index.paths[p][0].Tx }
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(first(a), first(b)) })
	paths = slices.Compact(paths) // one may have come by several names
	if !m.force {
		paths = j.withoutWaiting(paths)
	}
	return paths
}
