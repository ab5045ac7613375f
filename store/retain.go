package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"intactfs/backup"
)

// dirtyPaths are the paths that got versions since retention last looked.
type dirtyPaths struct {
	mu    sync.Mutex
	paths map[string]int
}

// maxDirty bounds the paths that are remembered; the others are looked at
// when they are saved next.
const maxDirty = 1 << 16

func (d *dirtyPaths) add(path string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		d.paths = map[string]int{}
	}
	if _, ok := d.paths[path]; ok || len(d.paths) < maxDirty {
		d.paths[path] += n
	}
}

// take removes and returns some paths.
func (d *dirtyPaths) take(limit int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var paths []string
	for path := range d.paths {
		if len(paths) == limit {
			break
		}
		paths = append(paths, path)
		delete(d.paths, path)
	}
	return paths
}

const (
	retainEvery = 30 * time.Second // between two rounds
	retainBatch = 512              // paths of one round
)

// retain drops, now and then, what the policy does not keep.
func (s *Store) retain(ctx context.Context) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.retainRound(ctx)
		}
	}
}

func (s *Store) retainRound(ctx context.Context) {
	if s.readOnly {
		return
	}
	for _, path := range s.dirty.take(retainBatch) {
		_, err := s.history.Expire(ctx, path, s.policy, s.now(), false)
		switch {
		case err == nil || errors.Is(err, backup.ErrNotFound):
		case ctx.Err() != nil:
			return
		case errors.Is(err, backup.ErrHeld):
			s.note(Event{Kind: HeldBack, Path: path, Message: err.Error()})
		default:
			s.note(Event{Kind: Unkept, Path: path, Message: err.Error()})
		}
	}
}

// Prune applies the retention policy to path and all below it now, to the last
// version: whoever asks does not mind that packs are written anew for little,
// as the rounds behind do. dry only tells what would go.
func (s *Store) Prune(ctx context.Context, path string, dry bool) ([]backup.PlanResult, error) {
	if s.readOnly && !dry {
		return nil, ErrReadOnly
	}
	if err := s.Settle(ctx, path); err != nil {
		return nil, s.kind(err)
	}
	paths, err := s.historyPaths(path)
	if err != nil {
		return nil, err
	}
	policy := s.policy
	policy.Slack = 0
	var plans []backup.PlanResult
	for _, p := range paths {
		plan, err := s.history.Expire(ctx, p, policy, s.now(), dry)
		if err != nil {
			return plans, s.kind(err)
		}
		plans = append(plans, plan)
	}
	return plans, nil
}
