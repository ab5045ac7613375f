package stage

import (
	"fmt"
	"sync"
)

// writebackEvery is how many bytes of a sequential write are hinted to the
// kernel at a time.
const writebackEvery = 4 << 20

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// run is the last sequence of writes that followed each other.
type run struct {
	start, end int64
	hinted     int64 // up to where writeback was asked for
}

// follow notes a write of [off, end) and lets the follower digest the run that
// it continues. s.mu is held, and stays so.
func (s *Stage) follow(off, end int64) {
	r := &s.run
	if off != r.end {
		*r = run{start: off, hinted: off}
	}
	r.end = end
	if s.body.file != nil && r.end-r.hinted >= writebackEvery {
		s.body.file.StartWriteback(r.hinted, r.end-r.hinted)
		r.hinted = r.end
	}
	pos := s.d.pos()
	// What lies far before the run is left for Judge: the next write may go
	// there again.
	if end-max(pos, r.start) < pieceSize || r.start-pos > maxLag {
		return
	}
	s.target = end
	if !s.following {
		s.following = true
		go s.follower()
	}
}

// pace waits while the follower is maxLag behind. It must be the last thing a
// write does: s.mu is released, and the stage may be sealed or gone after.
func (s *Stage) pace() {
	for s.following && s.state == open && s.target-s.d.pos() > maxLag {
		s.cond.Wait()
	}
}

// follower digests up to target and ends.
func (s *Stage) follower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state == open && s.hold == 0 && s.poison == nil {
		end := min(s.target, s.body.w)
		if end-s.d.pos() < pieceSize || s.d.cur != nil && s.d.cur.invalid() {
			break
		}
		if s.step(end) != nil {
			break // Judge meets the error again, and has somebody to tell
		}
	}
	s.following = false
	s.cond.Broadcast()
}

// step digests the next piece, at most up to end. s.mu is held, but released
// while the piece is read from a file and digested.
func (s *Stage) step(end int64) error {
	pos := s.d.pos()
	n := min(pieceSize, end-pos)
	s.d.begin(&s.o, pos+n)
	s.users++
	defer func() {
		s.users--
		s.d.end()
		s.cond.Broadcast()
	}()

	if s.hold > 0 && s.body.file == nil && pos+n <= s.body.w {
		// Nothing changes while a hold is on: no copy.
		s.digestUnlocked(s.body.mem[pos : pos+n])
		return nil
	}
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	if err := s.readPiece(piece[:n], pos); err != nil {
		if s.d.cutAt < pos+n {
			return nil // cut under the read: the bytes are stale anyway
		}
		return fmt.Errorf("read stage: %w", err)
	}
	s.digestUnlocked(piece[:n])
	return nil
}

// readPiece reads content that exists. What is in a file is read without the
// lock; a change meanwhile is noted in d.cutAt.
func (s *Stage) readPiece(p []byte, off int64) error {
	if s.body.file == nil || off+int64(len(p)) > s.body.w {
		return s.readContent(p, off)
	}
	f := s.body.file
	s.mu.Unlock()
	defer s.mu.Lock()
	return readFull(f, p, off)
}

func (s *Stage) digestUnlocked(p []byte) {
	cur := s.d.cur
	s.mu.Unlock()
	cur.write(p)
	s.mu.Lock()
	cur.pos += int64(len(p))
}

// Judge digests what the follower has not digested yet and gives the verdict
// on the content. Changes wait meanwhile. Judging again without a change in
// between costs nothing. SHA256 is not set above sumLimit, and for Invalid
// content, which is not read beyond its fault. The error is ErrPoisoned, ErrSealed, ErrGone, or a
// failed read.
func (s *Stage) Judge() (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return Result{}, fmt.Errorf("judge: %w", err)
	}
	if s.judged.gen == s.gen {
		return s.judged, nil
	}
	s.hold++
	s.users++
	defer func() {
		s.hold--
		s.users--
		s.cond.Broadcast()
	}()
	synced := s.beginSync()
	err := s.digestAll()
	if serr := s.endSync(synced); err == nil {
		err = serr
	}
	if err != nil {
		return Result{}, fmt.Errorf("judge: %w", err)
	}
	s.judged = s.result()
	return s.judged, nil
}

// digestAll digests what is left, unless no further byte matters.
func (s *Stage) digestAll() error {
	for s.d.busy {
		s.cond.Wait()
	}
	for size := s.size(); s.d.pos() < size; {
		if s.state != open {
			return ErrGone
		}
		if s.d.cur != nil && s.d.cur.invalid() {
			return nil
		}
		if err := s.step(size); err != nil {
			return err
		}
	}
	return nil
}

// beginSync starts to sync the file beside a long digest: who commits the
// content then finds it clean. It returns nil where that is not worth it.
// Whoever gets a channel must give it to endSync.
func (s *Stage) beginSync() <-chan error {
	if s.body.file == nil || s.size()-s.d.pos() < syncBeside {
		return nil
	}
	f, done := s.body.file, make(chan error, 1)
	go func() { done <- f.Sync() }()
	return done
}

// endSync waits for the sync. One that failed poisons the stage: the kernel
// would tell a second one that all is well.
func (s *Stage) endSync(done <-chan error) error {
	if done == nil {
		return nil
	}
	s.mu.Unlock()
	err := <-done
	s.mu.Lock()
	if err != nil {
		return s.fail(fmt.Errorf("sync stage: %w", err))
	}
	return nil
}

// result is the verdict at the end of the digest.
func (s *Stage) result() Result {
	if s.d.cur == nil {
		s.d.begin(&s.o, s.d.pos())
		s.d.end()
	}
	cur := s.d.cur
	r := Result{Verdict: Whole, Size: s.size(), gen: s.gen}
	if cur.val != nil {
		r.Verdict = cur.val.Verdict()
	}
	if r.Verdict != Whole {
		r.Fault = cur.val.Fault()
	} else if cur.val != nil {
		r.Proven = cur.val.Proven()
	}
	if cur.pos == r.Size {
		r.CRC32C, r.HasCRC = cur.crc, true
	}
	if r.Verdict != Invalid && cur.sum != nil {
		cur.sum.Sum(r.SHA256[:0])
	}
	return r
}
