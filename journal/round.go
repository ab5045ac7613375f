package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"intactfs/journal/disk"
)

const (
	// roundPaths is how many paths share one mark.
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

// round is some paths that are published together. While it lasts they are
// its own: nobody else publishes them or moves their records. So a version is
// never filed twice at the same time, never replaced by an older one, and its
// record stays where a reader of it looks. Commits go on meanwhile: what they
// add is newer than what the round claimed, and is left for the next one.
type round struct {
	jobs  []*job // in the order they are to begin
	hurry bool   // begin nothing more; guarded by Journal.mu
}

// job is one path in a round.
type job struct {
	path     string
	versions []*version // as pending when the round began, oldest first
	round    *round
	begun    bool // guarded by Journal.mu
	err      error
	stranded error // why the target can't be replaced, now or later

	// linked are the links that have the new inode.
	linked []string

	// old is what the names had before, open: see holdOld.
	old []held
}

func (w *job) newest() *version { return w.versions[len(w.versions)-1] }

// round publishes some paths and marks them with one record. left are those
// that it gave up for a more urgent one before they began.
func (j *Journal) round(ctx context.Context, paths []string, m manner) (left []string, err error) {
	r, err := j.claim(ctx, paths, m)
	if err != nil {
		return nil, err
	}
	// A version must be durable here before it is anywhere else: its
	// number would be given away twice after a crash. What is committed
	// from here on is none of the round's.
	if err := j.syncSegment(); err != nil {
		j.giveUp(r)
		return nil, err
	}
	j.work(r, func(w *job) { w.err = j.publishPath(ctx, w) })
	left = j.giveUp(r)
	j.syncParents(r.jobs)
	err = j.markJobs(r.jobs)
	j.settleAccounts(r.jobs)
	for _, w := range r.jobs {
		err = cmp.Or(err, w.err)
	}
	return left, err
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

// claim makes a round of what is pending of the paths, when nobody else works
// on any of them. Somebody urgent gets what another round did not begin, and
// makes that round end with what it did.
func (j *Journal) claim(ctx context.Context, paths []string, m manner) (*round, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.taken(paths, m.urgent) {
		drained := j.drained
		j.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
		}
		j.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	r := &round{}
	for _, path := range paths {
		vs := j.index.paths[path]
		if len(vs) == 0 {
			continue
		}
		if f := j.failing[path]; f != nil && f.rest > 0 && !m.force {
			f.rest--
			continue
		}
		w := &job{path: path, versions: slices.Clone(vs), round: r}
		r.jobs = append(r.jobs, w)
		j.claims[path] = w
	}
	return r, nil
}

// taken tells whether another round works on one of the paths. The caller
// holds mu.
func (j *Journal) taken(paths []string, urgent bool) bool {
	busy := false
	for _, path := range paths {
		w := j.claims[path]
		switch {
		case w == nil:
		case urgent && !w.begun:
			delete(j.claims, path) // begin sees that it is gone
		default:
			busy = true
			w.round.hurry = w.round.hurry || urgent
		}
	}
	return busy
}

// begin takes the next job of a round; nil if there is no more.
func (j *Journal) begin(r *round) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range r.jobs {
		if !r.hurry && !w.begun && j.claims[w.path] == w {
			w.begun = true
			return w
		}
	}
	return nil
}

// work calls f for each job, for several at a time.
func (j *Journal) work(r *round, f func(*job)) {
	work := func() {
		for w := j.begin(r); w != nil; w = j.begin(r) {
			f(w)
		}
	}
	if j.o.Manual || len(r.jobs) < 2 {
		work()
		return
	}
	var wg sync.WaitGroup
	for range min(workers, len(r.jobs)) {
		wg.Go(work)
	}
	wg.Wait()
}

// giveUp takes the jobs that did not begin out of the round, and returns
// their paths.
func (j *Journal) giveUp(r *round) (left []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.jobs = slices.DeleteFunc(r.jobs, func(w *job) bool {
		if w.begun {
			return false
		}
		if j.claims[w.path] == w {
			delete(j.claims, w.path)
		}
		left = append(left, w.path)
		return true
	})
	if len(left) > 0 {
		j.signalDrained()
	}
	return left
}

// release gives the paths of jobs that began back. The caller holds mu.
func (j *Journal) release(jobs []*job) {
	for _, w := range jobs {
		delete(j.claims, w.path)
	}
	j.signalDrained()
}

// syncAbove makes the names of dir and of all directories above it durable,
// as far as this process has not done that yet: a file is not there after a
// crash if a directory on its way is not. Who made them may have died, or
// failed, before its sync.
func (j *Journal) syncAbove(dir string) error {
	var done []place
	for ; dir != ""; dir = parentOf(dir) {
		info, err := j.d.Stat(dir)
		if err != nil {
			return err
		}
		at := place{dir, info.Ino}
		j.mu.Lock()
		known := j.above[at]
		j.mu.Unlock()
		if known {
			break
		}
		if err := j.d.SyncDir("publish:sync-above", parentOf(dir)); err != nil {
			return err
		}
		done = append(done, at)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.above) >= maxOwn {
		clear(j.above) // costs a sync for each
	}
	for _, at := range done { // only now: a directory is known with all above it
		j.above[at] = true
	}
	return nil
}

// place is a directory at a name.
type place struct {
	name string
	ino  uint64
}

// syncDir makes the names in dir durable, and its own.
func (j *Journal) syncDir(dir string) error {
	if err := j.d.SyncDir("publish:sync-dir", dir); err != nil {
		return err
	}
	return j.syncAbove(dir)
}

// syncParents syncs each touched directory once, and then lets go of the
// files that were replaced in it.
func (j *Journal) syncParents(jobs []*job) {
	dirs := map[string]error{}
	for _, w := range jobs {
		if w.err != nil || w.stranded != nil {
			continue
		}
		for _, name := range append([]string{w.path}, w.linked...) {
			dir := parentOf(name)
			err, done := dirs[dir]
			if !done {
				err = j.syncDir(dir)
				dirs[dir] = err
			}
			if err != nil && w.err == nil {
				w.err = fmt.Errorf("publish %s: %w", name, err)
			}
		}
	}
	j.letGo(jobs, dirs)
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
	j.release(jobs)
	j.mu.Unlock()
	j.report(jobs) // not under mu: commits would wait for the log
	for _, name := range stages {
		if err := j.d.Remove("publish:remove-stage", name); err != nil {
			j.o.Log.Warn("stage stays until the next start", "stage", name, "error", err)
		}
	}
}

// noteFailure makes a path sit out ever more rounds. The caller holds mu.
func (j *Journal) noteFailure(w *job) {
	if canceled(w.err) {
		return
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
}

// report tells of what a caller may never hear.
func (j *Journal) report(jobs []*job) {
	for _, w := range jobs {
		switch {
		case w.err != nil && !canceled(w.err):
			j.o.Log.Warn("not published, tried again later", "path", w.path, "error", w.err)
		case w.err == nil && w.stranded != nil:
			j.o.Log.Error("version kept in history only: its target can't be replaced",
				"path", w.path, "tx", w.newest().Tx, "error", w.stranded)
		}
	}
}

// canceled says that err is the caller's wish, not the path's fault.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
