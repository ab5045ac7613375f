package fs

import (
	"sync"
	"sync/atomic"
	"time"
)

// Mappings, sendfile and splice read through pages, and up to a size, that the
// kernel has once for all handles of a file. No handle can have a version of its
// own there, so that who changes what all see waits for those who are in the
// middle. Who waits for whom:
//
//   - a save (its truncating open, its writes, its commit) waits for transfers
//     that are under way, and for handles that were just opened and show next
//     what they are for. All of that is bounded by pace.most.
//   - an open for reading waits while a commit runs, and while a save has waited
//     for longer than pace.queue, so that nobody is kept from saving by those who
//     come one after the other.
//   - a request for pages waits only while a commit runs that nobody is in the
//     middle of. The kernel has locked these pages, and a transfer under way
//     may want the same: before that, no request for pages may wait.
//
// A commit never waits for a request that waits for a commit.

// pace is how long somebody waits for somebody else.
type pace struct {
	// quiet is after how long a handle that asks for nothing more is taken to
	// be done.
	quiet time.Duration
	// queue is after how long those who open for reading wait behind a save.
	queue time.Duration
	// most bounds one wait, and all waits of the writes through one handle.
	most time.Duration
	// riders is how long those have to show up who read pages that others
	// asked for, once these are dropped.
	riders time.Duration
	// reply is how long the kernel has to do what a reply tells it, where no
	// request shows that it has.
	reply time.Duration
	// store is how long a commit waits for the kernel to know the new size.
	store time.Duration
}

var defaultPace = pace{
	quiet:  30 * time.Millisecond,
	queue:  50 * time.Millisecond,
	most:   time.Second,
	riders: 3 * time.Millisecond,
	reply:  10 * time.Millisecond,
	store:  2 * time.Millisecond,
}

// transfer is a handle as one who may read through pages. The zero value is one
// that never did.
type transfer struct {
	direct atomic.Bool // it was read, but not through pages

	// Guarded by transfers.mu.
	tid    uint32    // the thread that opened it, or asked for pages last
	fresh  bool      // opened for reading
	paged  bool      // pages were asked for
	waits  bool      // its open is kept off
	active int       // requests for pages that are not answered
	last   time.Time // end of the last of these, or the open
}

// transfers is all of a document's. The zero value has none.
type transfers struct {
	// used is set when pages were asked for once. Until then nobody waits.
	used atomic.Bool

	// saving is held by who shuts it.
	saving sync.Mutex

	mu   sync.Mutex // guards what follows
	all  map[*transfer]struct{}
	news chan struct{} // closed when something ended; nil: nobody waits for it
	// cached says that pages were asked for since they were dropped last.
	cached bool
	// stored says that the kernel may have other pages, that nobody reads now.
	stored bool
	// fillers and openers are how many keep off requests for pages, and opens
	// for reading.
	fillers, openers int
}

// tell wakes all who wait. The caller holds mu.
func (t *transfers) tell() {
	if t.news != nil {
		close(t.news)
		t.news = nil
	}
}

// until waits until ready says so, and tells whether it did by then. ready may
// name a time when it wants to be asked again though nothing ended. The caller
// holds mu, which is given up while it waits.
func (t *transfers) until(deadline time.Time, ready func(now time.Time) (bool, time.Time)) bool {
	for {
		now := time.Now()
		ok, again := ready(now)
		if ok || !now.Before(deadline) {
			return ok
		}
		if again.IsZero() || again.After(deadline) {
			again = deadline
		}
		if t.news == nil {
			t.news = make(chan struct{})
		}
		news := t.news
		t.mu.Unlock()
		timer := time.NewTimer(again.Sub(now))
		select {
		case <-news:
		case <-timer.C:
		}
		timer.Stop()
		t.mu.Lock()
	}
}

// enter is told of a handle that is opened for reading, before the kernel is.
func (t *transfers) enter(x *transfer, tid uint32, p *pace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.fresh, x.tid, x.waits = true, tid, t.openers > 0
	t.add(x)
	if x.waits {
		t.until(time.Now().Add(p.most), func(time.Time) (bool, time.Time) { return !x.waits, time.Time{} })
	}
	x.waits, x.last = false, time.Now()
}

// admit lets in who was kept off, if nobody keeps them off any more. They count
// as opened from here on: who keeps off others next waits for them first. The
// caller holds mu.
func (t *transfers) admit() {
	if t.openers == 0 {
		for x := range t.all {
			if x.waits {
				x.waits, x.last = false, time.Now()
			}
		}
	}
	t.tell()
}

func (t *transfers) add(x *transfer) {
	if t.all == nil {
		t.all = map[*transfer]struct{}{}
	}
	t.all[x] = struct{}{}
}

// readDirectly is told of a read that is not through pages.
func (t *transfers) readDirectly(x *transfer) {
	if x.direct.Load() || x.direct.Swap(true) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell()
}

// begin is told of a request for pages before it looks for what to answer, and
// end when it was answered.
func (t *transfers) begin(x *transfer, tid uint32, p *pace) {
	t.used.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fillers > 0 {
		t.until(time.Now().Add(p.most), func(time.Time) (bool, time.Time) { return t.fillers == 0, time.Time{} })
	}
	x.paged, x.tid, t.cached = true, tid, true
	x.active++
	t.add(x)
}

func (t *transfers) end(x *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.active--
	x.last = time.Now()
	t.tell()
}

// leave is told that nobody has the handle any more.
func (t *transfers) leave(x *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, x)
	t.tell()
}

// underWay tells whether a handle is in the middle of something, and until when
// if it asks for nothing more. The caller holds mu.
func (x *transfer) underWay(now time.Time, p *pace) (bool, time.Time) {
	if x.active > 0 {
		return true, time.Time{}
	}
	if x.waits {
		return false, time.Time{}
	}
	if !x.paged && (!x.fresh || x.direct.Load()) {
		return false, time.Time{}
	}
	end := x.last.Add(p.quiet)
	return now.Before(end), end
}

// busy tells whether somebody is in the middle of something, but for the thread
// tid, which can't be; and the first time at which that may change by itself.
func (t *transfers) busy(now time.Time, tid uint32, p *pace) (bool, time.Time) {
	any, first := false, time.Time{}
	for x := range t.all {
		if x.tid == tid && tid != 0 && x.active == 0 {
			continue
		}
		under, end := x.underWay(now, p)
		if !under {
			continue
		}
		any = true
		if !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return any, first
}

// clear waits until nobody is in the middle of something, and tells whether that
// came by the deadline. The caller holds mu, and has it for as long as it wants
// then.
func (t *transfers) clear(tid uint32, p *pace, deadline time.Time) bool {
	begun, queued := time.Now(), false
	ok := t.until(deadline, func(now time.Time) (bool, time.Time) {
		busy, again := t.busy(now, tid, p)
		switch {
		case !busy:
			return true, again
		case queued:
		case now.Sub(begun) >= p.queue:
			t.openers++
			queued = true
		case again.IsZero() || again.Sub(begun) > p.queue:
			again = begun.Add(p.queue)
		}
		return false, again
	})
	if queued {
		t.openers-- // who calls keeps off others itself, or lets them in
	}
	return ok
}

// keepOut has the thread tid wait before it changes what the kernel knows of the
// size, and keeps off who opens for reading until letIn. It returns for how long
// it waited.
func (t *transfers) keepOut(tid uint32, p *pace, most time.Duration) time.Duration {
	begun := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(tid, p, begun.Add(most))
	t.openers++
	return time.Since(begun)
}

func (t *transfers) letIn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.openers--
	t.admit()
}

// shut waits until no transfer is under way and the kernel has no pages, and
// keeps off everybody until reopen. drop has the kernel drop its pages; it waits
// for requests for pages. It tells whether there was somebody in the middle all
// the time: then it is shut all the same.
func (t *transfers) shut(tid uint32, p *pace, drop func()) bool {
	deadline := time.Now().Add(p.most)
	t.mu.Lock()
	defer t.mu.Unlock()
	ok := t.clear(tid, p, deadline)
	for ok && (t.cached || t.stored) {
		riders := t.cached && t.riders(tid)
		t.cached, t.stored = false, false
		t.mu.Unlock()
		drop()
		if riders {
			time.Sleep(p.riders)
		}
		t.mu.Lock()
		ok = t.clear(tid, p, deadline)
	}
	t.fillers++
	t.openers++
	return ok
}

// riders tells whether a handle may be in the middle of pages that are there
// already. The caller holds mu.
func (t *transfers) riders(tid uint32) bool {
	for x := range t.all {
		if x.paged && (x.tid != tid || tid == 0) {
			return true
		}
	}
	return false
}

func (t *transfers) reopen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fillers--
	t.openers--
	t.admit()
}

// store notes that the kernel has pages that nobody asked for.
func (t *transfers) store() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stored = true
}

// alone makes x somebody whom commits wait for, unless one runs.
func (t *transfers) alone(x *transfer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fillers > 0 {
		return false
	}
	x.paged, x.active = true, 1
	t.add(x)
	return true
}
