package journal

import (
	"errors"
	"fmt"
	"sync"
)

// maxBatch bounds the records of one write, in bytes: latency, and the
// memory of the leader.
const maxBatch = 4 << 20

// recordNone asks for a sync, and writes nothing.
const recordNone recordType = 0

// request is one record on its way into a segment. The one who brings it
// waits for the leader, or becomes the leader.
type request struct {
	typ      recordType
	payload  []byte
	tail     []byte
	version  *version // of a commit; it is in the index when submit returns nil
	again    bool     // version is in the index already: only its place changes
	sync     bool     // even when relaxed
	internal bool     // even when closed
	tx       TxID
	seg      *segment
	off      int64
	err      error

	wake chan struct{}
	lead bool // set before wake: the request is still in the queue
}

// requests keeps the buffers of payloads and the channels.
var requests = sync.Pool{New: func() any { return &request{wake: make(chan struct{}, 1)} }}

func newRequest(typ recordType) *request {
	r := requests.Get().(*request)
	*r = request{typ: typ, payload: r.payload[:0], wake: r.wake}
	return r
}

// release gives r back. Nothing may point into its payload any longer.
func (r *request) release() { requests.Put(r) }

func (r *request) size() int64 { return recordSize(len(r.payload) + len(r.tail)) }

// submit brings r into a segment and waits for it: written, and synced if
// Full or r.sync. The first one in becomes the leader, takes all that are
// queued, and hands the lead to the next in the queue.
func (j *Journal) submit(r *request) error {
	j.mu.Lock()
	if err := j.usable(); err != nil && (!r.internal || !errors.Is(err, ErrClosed)) {
		j.mu.Unlock()
		return err
	}
	if r.version != nil && !r.again {
		if err := j.awaitTurn(r.version); err != nil {
			j.mu.Unlock()
			return err
		}
	}
	if r.typ == recordCommit || r.typ == recordAppend {
		if !r.again {
			j.lastTx++
			r.version.Tx = j.lastTx
		}
		r.tx = r.version.Tx
	} else {
		r.tx = j.lastTx
	}
	j.queue = append(j.queue, r)
	if j.leading {
		j.mu.Unlock()
		<-r.wake
		if !r.lead {
			return r.err
		}
		j.mu.Lock()
	}
	j.leading = true
	batch := j.takeBatch()
	j.writing = batch
	j.mu.Unlock()

	synced := j.w.write(j, batch)

	j.mu.Lock()
	j.finish(batch, synced)
	j.writing = nil
	j.settled.Broadcast()
	for _, other := range batch {
		if other != r {
			other.wake <- struct{}{} // has room: nobody waits for mu here
		}
	}
	if len(j.queue) > 0 {
		j.queue[0].lead = true
		j.queue[0].wake <- struct{}{}
	} else {
		j.leading = false
	}
	err := r.err
	j.mu.Unlock()
	return err
}

// takeBatch takes the front of the queue, at least one request. The caller
// holds mu.
func (j *Journal) takeBatch() []*request {
	n, bytes := 0, int64(0)
	for n < len(j.queue) && (n == 0 || bytes+j.queue[n].size() <= maxBatch) {
		bytes += j.queue[n].size()
		n++
	}
	j.w.batch = append(j.w.batch[:0], j.queue[:n]...)
	rest := copy(j.queue, j.queue[n:])
	clear(j.queue[rest:])
	j.queue = j.queue[:rest]
	return j.w.batch
}

// finish makes the versions of a written batch visible. The caller holds mu.
func (j *Journal) finish(batch []*request, synced bool) {
	commits := false
	for _, r := range batch {
		r.lead = false
		if r.err != nil || r.version == nil {
			continue
		}
		commits = true
		if r.again {
			r.version.seg.pending--
			r.seg.pending++
			r.version.seg, r.version.off = r.seg, r.off
			continue
		}
		r.version.seg, r.version.off, r.version.size = r.seg, r.off, r.size()
		v := r.version
		if v.appended {
			v.prior = j.index.newest(v.Path)
		}
		j.index.add(v, r.tail)
		if v.appended {
			join(v)
		}
		j.stats.Commits++
	}
	if !commits {
		return
	}
	j.stats.Batches++
	j.background.committed(j, synced)
}

// writer is the end of the journal. It belongs to the leader.
//
// What was written lies below off, what is to be written is in buf and goes
// there. Records carry the stable of the time when they were encoded, so that
// each one says of those before it, up to there, that a recovery must be able
// to read them; stable never grows before a sync has returned. Nobody whose
// record lies above stable has been told of success, unless relaxed.
type writer struct {
	active *segment // nil: sealed, the next record begins a segment
	off    int64    // in active, of the first byte of buf
	stable int64    // offset in active below which everything is synced
	buf    []byte
	open   []*request // whose records are in buf, or written and not synced
	batch  []*request
}

// write brings a batch into the segment, and leaves in every request its
// error. It tells whether all of the segment is synced.
func (w *writer) write(j *Journal, batch []*request) bool {
	wantSync := j.o.Durability == Full
	for _, r := range batch {
		wantSync = wantSync || r.sync
		if r.typ == recordNone {
			w.open = append(w.open, r) // fails with the sync
			continue
		}
		r.err = w.place(j, r)
	}
	if err := w.flush(j, wantSync); err != nil {
		w.fail(err)
	}
	w.open = w.open[:0]
	if n := len(batch); batch[n-1].typ == recordEnd && batch[n-1].err == nil {
		w.active = nil
	}
	return w.active == nil || w.stable == w.off
}

// fail gives err to all requests whose records did not get through.
func (w *writer) fail(err error) {
	for _, r := range w.open {
		r.err = err
	}
	w.open = w.open[:0]
}

// place encodes one record into the buffer, in the next segment if this one
// is full. When there is no next one, only r fails.
func (w *writer) place(j *Journal, r *request) error {
	if err := j.stoppedErr(); err != nil {
		return err
	}
	if w.active == nil || w.off+int64(len(w.buf))+r.size() > w.active.limit(r.typ) {
		if r.typ == recordEnd && w.active == nil {
			return nil
		}
		if err := w.rotate(j); err != nil {
			return err
		}
	}
	r.seg, r.off = w.active, w.off+int64(len(w.buf))
	w.buf = appendRecord(w.buf, w.active.salt, record{seq: w.active.seq, stable: w.stable, tx: r.tx,
		typ: r.typ, payload: r.payload, tail: r.tail})
	w.open = append(w.open, r)
	return nil
}

// rotate ends the segment and goes on in the spare one. The next segment is
// there before this one ends: without, marks still fit in what is reserved.
func (w *writer) rotate(j *Journal) error {
	next, err := j.nextSegment()
	if err != nil {
		return err
	}
	if w.active != nil {
		err = w.seal(j)
	}
	// After an error too: what was to be sealed has ended where it failed.
	w.active, w.off, w.stable = next, segmentHeaderSize, segmentHeaderSize
	j.background.wantSpare()
	return err
}

// seal writes the end record and syncs: no record of the next segment may be
// on the disk before all of this one.
func (w *writer) seal(j *Journal) error {
	w.buf = appendRecord(w.buf, w.active.salt, record{seq: w.active.seq, stable: w.stable, tx: j.lastNumber(), typ: recordEnd})
	if err := w.flush(j, true); err != nil {
		w.fail(err)
		return err
	}
	w.open = w.open[:0] // these are through
	w.active = nil
	return nil
}

// flush writes the buffer and syncs. A sync that fails stops the journal:
// what the disk holds is unknown from there on. A write that fails leaves
// a part that recovery could take for a commit that was never acknowledged,
// so that the segment is ended in front of it.
func (w *writer) flush(j *Journal, sync bool) error {
	if len(w.buf) > 0 {
		_, err := w.active.file.WriteAt("commit:append", w.buf, w.off)
		n := int64(len(w.buf))
		w.buf = w.buf[:0]
		if cap(w.buf) > 2*maxBatch {
			w.buf = nil
		}
		if err != nil {
			return w.cut(j, err)
		}
		w.off += n
	}
	if !sync || w.active == nil || w.stable == w.off {
		return nil
	}
	if err := w.active.file.Sync("commit:sync"); err != nil {
		return j.halt(err)
	}
	w.stable = w.off
	j.countSync()
	return nil
}

// cut ends the segment after a write that failed with cause, which it
// returns if that works out; nothing was acknowledged behind w.off.
func (w *writer) cut(j *Journal, cause error) error {
	end := appendRecord(nil, w.active.salt, record{seq: w.active.seq, stable: w.stable, tx: j.lastNumber(), typ: recordEnd})
	if _, err := w.active.file.WriteAt("commit:cut", end, w.off); err != nil {
		return j.halt(fmt.Errorf("%w, after %w", err, cause))
	}
	if err := w.active.file.Sync("commit:cut-sync"); err != nil {
		return j.halt(fmt.Errorf("%w, after %w", err, cause))
	}
	w.active = nil
	return cause
}

// halt stops the journal for good.
func (j *Journal) halt(cause error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped == nil {
		j.stopped = fmt.Errorf("%w: %w", ErrStopped, cause)
		j.o.Log.Error("journal stopped: restart to recover", "error", cause)
	}
	return j.stopped
}

func (j *Journal) stoppedErr() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stopped
}

func (j *Journal) lastNumber() TxID {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lastTx
}

func (j *Journal) countSync() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Syncs++
}
