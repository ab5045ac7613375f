package journal

import (
	"fmt"
	"slices"
)

// maxFree is how many unused segments are kept; more go back to the disk.
const maxFree = 2

// nextSegment takes the spare one, and makes one if there is none.
func (j *Journal) nextSegment() (*segment, error) {
	j.mu.Lock()
	s := j.takeSpare()
	j.mu.Unlock()
	if s != nil {
		return s, nil
	}
	if err := j.prepareSpare(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.takeSpare(), nil
}

// takeSpare makes the spare segment the last of the live ones; nil if there
// is none. The caller holds mu, and is the leader: nobody else takes it.
func (j *Journal) takeSpare() *segment {
	s := j.spare
	if s != nil {
		j.spare = nil
		j.segs = append(j.segs, s)
	}
	return s
}

// prepareSpare sees to it that a segment is ready. Everything that takes
// time is done here, so that a commit which fills a segment only has to
// switch.
func (j *Journal) prepareSpare() error {
	j.spareMu.Lock()
	defer j.spareMu.Unlock()
	j.mu.Lock()
	if j.spare != nil {
		j.mu.Unlock()
		return nil
	}
	h := segmentHeader{floor: j.lastTx}
	if n := len(j.segs); n > 0 {
		h.prev = j.segs[n-1].seq
	}
	j.mu.Unlock()
	s, err := j.beginSegment(h)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.spare = s
	j.mu.Unlock()
	return nil
}

// beginSegment gives an unused segment, or a new one, the header h, whose
// seq, size and salt it fills in. The caller holds spareMu.
func (j *Journal) beginSegment(h segmentHeader) (*segment, error) {
	salt, err := randomSalt(j.o.Rand)
	if err != nil {
		return nil, err
	}
	s, err := j.unusedSegment()
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.lastSeq++
	h.seq, h.salt, h.size = j.lastSeq, salt, j.o.SegmentSize
	h.floor = max(h.floor, j.lastTx)
	// Not earlier: the one that was taken just now may have been the oldest
	// needed until a moment ago, and is no more.
	h.low = h.seq
	if len(j.segs) > 0 {
		h.low = j.segs[0].seq
	}
	j.mu.Unlock()
	if err := s.begin(h); err != nil {
		// Its header is the old or the new one, and either is fine to find
		// after a crash. A gap where it was would pass for damage.
		_ = s.file.Close()
		return nil, err
	}
	return s, nil
}

// unusedSegment takes a free segment, or makes one.
func (j *Journal) unusedSegment() (*segment, error) {
	j.mu.Lock()
	if n := len(j.free); n > 0 && j.free[n-1].pins == 0 {
		s := j.free[n-1]
		j.free = j.free[:n-1]
		j.mu.Unlock()
		return s, nil
	}
	j.slots++
	s := &segment{name: segmentName(j.slots)}
	j.mu.Unlock()
	f, err := createSegment(j.d, s.name, j.o.SegmentSize)
	if err != nil {
		return nil, err
	}
	s.file = f
	return s, nil
}

// recycle frees the segments at the front that have nothing left to do. A
// segment behind one that has is kept: it may hold the marks of the earlier
// one. The caller holds mu, and has synced the marks.
func (j *Journal) recycle() {
	for len(j.segs) > 1 && j.segs[0].pending == 0 && j.segs[0].pins == 0 {
		j.free = append(j.free, j.segs[0])
		j.segs = j.segs[1:]
	}
}

// shrink removes unused segments but for keep. The mark that
// freed them named an older segment as the oldest needed; one more mark, of
// the present state, makes it safe that they are gone. What is freed after
// that mark is not for this call.
func (j *Journal) shrink(keep int) error {
	j.mu.Lock()
	n := max(0, len(j.free)-keep)
	gone := slices.Clone(j.free[:n])
	for _, s := range gone {
		if s.pins > 0 {
			gone = nil
		}
	}
	j.free = j.free[len(gone):]
	j.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	if err := j.mark(nil); err != nil {
		j.mu.Lock()
		j.free = append(j.free, gone...)
		j.mu.Unlock()
		return err
	}
	if err := removeSegments(j.d, "segment:remove", gone); err != nil {
		return fmt.Errorf("remove unused segment: %w", err)
	}
	return nil
}

// mark records durably which versions are published: the newest of each
// path.
func (j *Journal) mark(txs []TxID) error {
	r := newRequest(recordMark)
	defer r.release()
	r.sync, r.internal = true, true
	j.mu.Lock()
	m := markPayload{txs: txs}
	if len(j.segs) > 0 {
		m.low = j.segs[0].seq
	}
	j.mu.Unlock()
	r.payload = appendMark(r.payload, m)
	if err := j.submit(r); err != nil {
		return fmt.Errorf("mark as published: %w", err)
	}
	return nil
}
