package journal

import (
	"context"
	"errors"
	"sync"
	"time"
)

// alarm wakes one goroutine: now, or once after a delay. It has no clock: a
// delay that runs is never made longer.
type alarm struct {
	mu      sync.Mutex
	timer   *time.Timer
	running bool
	c       chan struct{}
}

func newAlarm() *alarm { return &alarm{c: make(chan struct{}, 1)} }

// in rings after d, unless it rings earlier anyway.
func (a *alarm) in(d time.Duration) {
	if d <= 0 {
		a.ring()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return
	}
	a.running = true
	if a.timer == nil {
		a.timer = time.AfterFunc(d, a.ring)
		return
	}
	a.timer.Reset(d)
}

func (a *alarm) ring() {
	a.mu.Lock()
	a.running = false
	if a.timer != nil {
		a.timer.Stop()
	}
	a.mu.Unlock()
	select {
	case a.c <- struct{}{}:
	default: // it rings already
	}
}

// background is what works beside the callers. Without goroutines, in tests,
// all of it is left to the foreground.
type background struct {
	publish *alarm
	sync    *alarm
	spare   *alarm
	ctx     context.Context // ends when the journal closes
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// start begins working. The checkpointer's first round follows at once if
// there is something to publish.
func (j *Journal) start() {
	if j.o.Manual {
		return
	}
	b := &j.background
	b.publish, b.sync, b.spare = newAlarm(), newAlarm(), newAlarm()
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.spare.in(0)
	if j.index.count > 0 {
		b.publish.in(0)
	}
	b.wg.Add(2)
	go j.keepPublished()
	go j.keepReady()
}

// stop waits until nothing works in the background any longer.
func (j *Journal) stop() {
	if j.background.cancel != nil {
		j.background.cancel()
		j.background.wg.Wait()
	}
}

// trigger asks for a round of the checkpointer after a delay.
func (b *background) trigger(d time.Duration) {
	if b.publish != nil {
		b.publish.in(d)
	}
}

// wantSpare asks for a new spare segment.
func (b *background) wantSpare() {
	if b.spare != nil {
		b.spare.in(0)
	}
}

// committed plans what a batch of commits makes necessary. The caller holds
// Journal.mu.
func (b *background) committed(j *Journal, synced bool) {
	if b.publish == nil {
		return
	}
	if j.index.bytes > j.o.MaxPending/2 || len(j.segs) > 4 {
		b.publish.in(0)
	} else {
		b.publish.in(j.o.PublishDelay)
	}
	if !synced {
		b.sync.in(syncEvery)
	}
}

// keepPublished is the goroutine of the checkpointer. While a path can't be
// published it comes back for it.
func (j *Journal) keepPublished() {
	b := &j.background
	defer b.wg.Done()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.publish.c:
		}
		err := j.checkpoint(b.ctx, false)
		// Paths that sat this round out are no error of it, and need the
		// next one too.
		again := err != nil || j.anyLeft()
		if again && b.ctx.Err() == nil && !errors.Is(err, ErrStopped) {
			b.publish.in(j.o.PublishDelay)
		}
	}
}

// anyLeft tells whether paths fail, or wait for more appends.
func (j *Journal) anyLeft() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.failing) > 0 || len(j.waiting) > 0
}

// keepReady is the goroutine that makes spare segments and syncs what
// relaxed commits left unsynced.
func (j *Journal) keepReady() {
	b := &j.background
	defer b.wg.Done()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.spare.c:
			if err := j.prepareSpare(); err != nil {
				j.o.Log.Warn("no spare segment", "error", err)
			}
		case <-b.sync.c:
			// A failure stops the journal, which says so itself.
			_ = j.Sync(b.ctx)
		}
	}
}
