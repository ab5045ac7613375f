package journal

import (
	"context"
	"slices"
)

// stuckSegments is how many segments may pile up behind versions that can't
// be published, before these are written again at the end.
const stuckSegments = 4

// moveStuck writes the versions that keep the oldest segment from being used
// again into the newest one: a single path that can't be published, for
// whatever reason, or waits for more appends, must not hold everything that
// was committed since.
func (j *Journal) moveStuck(ctx context.Context) error {
	paths := j.stuck()
	if len(paths) == 0 {
		return nil
	}
	r, err := j.claim(ctx, paths, manner{force: true})
	if err != nil {
		return err
	}
	err = j.moveAll(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recycle()
	j.release(r.jobs)
	return err
}

// moveAll writes what the jobs have in the oldest segment again.
func (j *Journal) moveAll(r *round) error {
	for _, w := range r.jobs {
		for _, v := range w.versions {
			j.mu.Lock()
			oldest := v.seg == j.segs[0]
			j.mu.Unlock()
			if !oldest {
				continue
			}
			if err := j.rewrite(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// stuck lists the failing and waiting paths in the oldest segment if there
// are too many behind it, and if nothing else is pending in it.
func (j *Journal) stuck() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segs) <= stuckSegments {
		return nil
	}
	var paths []string
	count := 0
	for path, vs := range j.index.paths {
		if j.failing[path] == nil && !j.waiting[path] {
			continue
		}
		before := count
		for _, v := range vs {
			if v.seg == j.segs[0] {
				count++
			}
		}
		if count > before {
			paths = append(paths, path)
		}
	}
	if count < j.segs[0].pending {
		return nil // the rest may still be published
	}
	slices.Sort(paths)
	return paths
}

// rewrite appends the record of v once more, with the same number: a replay
// that meets both takes them for one, and a mark behind them is for both. The
// old record counts until the new one is synced. Its round holds the path,
// so that no mark can come between the two.
func (j *Journal) rewrite(v *version) error {
	r := newRequest(recordCommit)
	defer r.release()
	r.version, r.again, r.sync, r.internal = v, true, true, true
	if v.appended {
		r.typ = recordAppend
	}
	p := &commitPayload{Version: v.Version, stage: v.stage, crc: v.crc, baseSize: v.baseSize}
	if v.stage == "" {
		var err error
		if r.tail, err = j.ownBytes(v); err != nil {
			return err
		}
	}
	p.content = r.tail
	r.payload = appendCommit(r.payload, p)
	return j.submit(r)
}
