package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"intactfs/journal/disk"
)

const (
	// roundPaths is how many paths share one mark. A Settle waits for one
	// round at most.
	roundPaths = 64
	// workers publish different paths of a round at the same time: the
	// file system then shares its own flushes among them.
	workers = 8
	// maxRest is how many rounds a path that can't be published sits out.
	maxRest = 15
	// maxOwn bounds what is remembered of published files.
	maxOwn = 1 << 16
)

// row is a run of failures of one path.
type row struct {
	failures int
	rest     int // rounds to sit out
	err      error
}

// seen identifies a state of a backing file.
type seen struct {
	ino, size    int64
	mtime, ctime time.Time
}

func seenOf(info disk.Info) seen {
	return seen{int64(info.Ino), info.Size, info.Mtime, info.Ctime}
}

// job is one path in a round.
type job struct {
	path     string
	versions []*version // as pending when the round began, oldest first
	err      error
	stranded error // why the target can't be replaced, now or later
}

func (w *job) newest() *version { return w.versions[len(w.versions)-1] }

// Settle brings the backing directory up to date for path and everything
// below it. When it returns nil the journal holds nothing for these names,
// durably: they can be removed or renamed, and no recovery brings them back.
func (j *Journal) Settle(ctx context.Context, path string) error {
	if j.o.ReadOnly {
		return ErrReadOnly
	}
	if err := j.publish(ctx, path, true); err != nil {
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
// Without force, paths that failed lately are left out.
func (j *Journal) checkpoint(ctx context.Context, force bool) error {
	err := j.publish(ctx, "", force)
	j.mu.Lock()
	j.stats.PublishFailing = nil
	for _, f := range j.failing {
		j.stats.PublishFailing = f.err
	}
	if err != nil && ctx.Err() == nil {
		j.stats.PublishFailing = err
	}
	j.mu.Unlock()
	if merr := j.moveStuck(); err == nil {
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
func (j *Journal) publish(ctx context.Context, path string, force bool) error {
	j.mu.Lock()
	paths := j.index.below(path, nil)
	first := make(map[string]TxID, len(paths))
	for _, p := range paths {
		first[p] = j.index.paths[p][0].Tx
	}
	j.mu.Unlock()
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	var all error
	for chunk := range slices.Chunk(paths, roundPaths) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.round(ctx, chunk, force); err != nil && all == nil {
			all = err
		}
		if err := j.stoppedErr(); err != nil {
			return err
		}
	}
	return all
}

// round publishes some paths and marks them with one record.
func (j *Journal) round(ctx context.Context, paths []string, force bool) error {
	j.pubMu.Lock()
	defer j.pubMu.Unlock()
	// A version must be durable here before it is anywhere else: its
	// number would be given away twice after a crash.
	if err := j.syncSegment(); err != nil {
		return err
	}
	jobs := j.takeJobs(paths, force)
	j.work(jobs, func(w *job) { w.err = j.publishPath(ctx, w) })
	j.syncParents(jobs)
	err := j.markJobs(jobs)
	j.settleAccounts(jobs)
	if err != nil {
		return err
	}
	for _, w := range jobs {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// syncSegment is Sync, also while the journal closes.
func (j *Journal) syncSegment() error {
	if j.o.Durability == Full {
		return nil
	}
	r := newRequest(recordNone)
	defer r.release()
	r.sync, r.internal = true, true
	return j.submit(r)
}

// takeJobs collects what is pending of the paths.
func (j *Journal) takeJobs(paths []string, force bool) []*job {
	j.mu.Lock()
	defer j.mu.Unlock()
	var jobs []*job
	for _, path := range paths {
		vs := j.index.paths[path]
		if len(vs) == 0 {
			continue
		}
		if f := j.failing[path]; f != nil && f.rest > 0 && !force {
			f.rest--
			continue
		}
		jobs = append(jobs, &job{path: path, versions: slices.Clone(vs)})
	}
	return jobs
}

// work calls f for each job, for several at a time.
func (j *Journal) work(jobs []*job, f func(*job)) {
	n := min(workers, len(jobs))
	if j.o.manual || n < 2 {
		for _, w := range jobs {
			f(w)
		}
		return
	}
	var wg sync.WaitGroup
	next := make(chan *job)
	for range n {
		wg.Go(func() {
			for w := range next {
				f(w)
			}
		})
	}
	for _, w := range jobs {
		next <- w
	}
	close(next)
	wg.Wait()
}

// syncParents syncs each touched directory once.
func (j *Journal) syncParents(jobs []*job) {
	dirs := map[string]error{}
	for _, w := range jobs {
		if w.err != nil || w.stranded != nil {
			continue
		}
		dir := parentOf(w.path)
		err, done := dirs[dir]
		if !done {
			err = j.d.SyncDir("publish:sync-dir", dir)
			dirs[dir] = err
		}
		if err != nil {
			w.err = fmt.Errorf("publish %s: %w", w.path, err)
		}
	}
}

// markJobs records what was published. If that is impossible it was not: the
// versions stay pending and are published again.
func (j *Journal) markJobs(jobs []*job) error {
	var txs []TxID
	for _, w := range jobs {
		if w.err == nil {
			txs = append(txs, w.newest().Tx)
		}
	}
	if len(txs) == 0 {
		return nil
	}
	err := j.mark(txs)
	if err != nil {
		for _, w := range jobs {
			w.err = cmp.Or(w.err, err)
		}
	}
	return err
}

// settleAccounts forgets what was published, and remembers what was not.
func (j *Journal) settleAccounts(jobs []*job) {
	var stages []string
	j.mu.Lock()
	for _, w := range jobs {
		if w.err != nil {
			j.noteFailure(w)
			continue
		}
		delete(j.failing, w.path)
		if w.stranded != nil {
			j.stats.Stranded++
			j.o.Log.Error("version kept in history only: its target can't be replaced",
				"path", w.path, "tx", w.newest().Tx, "error", w.stranded)
		} else {
			j.stats.Published++
		}
		j.stats.Coalesced += uint64(len(w.versions) - 1)
		for _, v := range j.index.forget(w.path, w.newest().Tx) {
			if v.stage != "" {
				stages = append(stages, v.stage)
			}
		}
	}
	j.recycle()
	j.signalDrained()
	j.mu.Unlock()
	for _, name := range stages {
		if err := j.d.Remove("publish:remove-stage", name); err != nil {
			j.o.Log.Warn("stage stays until the next start", "stage", name, "error", err)
		}
	}
}

// noteFailure makes a path sit out ever more rounds. The caller holds mu.
func (j *Journal) noteFailure(w *job) {
	if errors.Is(w.err, context.Canceled) || errors.Is(w.err, context.DeadlineExceeded) {
		return // the caller's wish, not the path's fault
	}
	j.stats.PublishErrors++
	f := j.failing[w.path]
	if f == nil {
		f = &row{}
		j.failing[w.path] = f
	}
	f.failures++
	f.err = w.err
	f.rest = min(1<<min(f.failures-1, 10)-1, maxRest)
	j.o.Log.Warn("not published, tried again later", "path", w.path, "failures", f.failures, "error", w.err)
}
