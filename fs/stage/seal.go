package stage

import (
	"bytes"
	"errors"
	"fmt"
)

// errNoBase poisons a stage whose file was committed without a base to go on
// from.
var errNoBase = errors.New("committed content can't be read any more")

// Sync makes the bytes that are in a private file durable, for an fsync of
// content that is not complete. Bytes in memory are not: nothing would look
// for them after a crash. A failed Sync poisons the stage. Reads and writes
// go on meanwhile.
func (s *Stage) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return err
	}
	if s.body.file == nil {
		return nil
	}
	f := s.body.file
	s.users++
	s.mu.Unlock()
	err := f.Sync()
	s.mu.Lock()
	s.users--
	s.cond.Broadcast()
	if err != nil {
		// The kernel may have dropped the pages it could not write: what
		// the file reads as is not what it will be.
		return s.fail(fmt.Errorf("sync stage: %w", err))
	}
	return nil
}

// settle waits until nobody uses the body without the lock.
func (s *Stage) settle() {
	for s.users > 0 || s.following {
		s.cond.Wait()
	}
}

// Seal freezes the content that r judged and hands it over for a commit.
// ErrStale means that it changed since: judge again. Until Committed or
// Unseal changes fail with ErrSealed; reads go on. The receiver must not
// change the bytes. Copying the rest of a base may fail and poison.
func (s *Stage) Seal(r Result) (Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// While waiting a change may come, or another Seal: look once more.
	for {
		if err := s.admit(); err != nil {
			return Sealed{}, fmt.Errorf("seal: %w", err)
		}
		if s.users == 0 && !s.following {
			break
		}
		s.cond.Wait()
	}
	if r.gen != s.gen {
		return Sealed{}, fmt.Errorf("seal: %w", ErrStale)
	}
	if err := s.fill(s.limit); err != nil {
		return Sealed{}, fmt.Errorf("seal: %w", s.fail(err))
	}
	s.state = sealed
	s.out = s.body.take()
	s.out.SHA256, s.out.CRC32C, s.out.HasCRC = r.SHA256, r.CRC32C, r.HasCRC
	s.out.Resume = s.d.resume()
	// Reads go on from what was handed over, which does not change.
	s.limit = s.out.Size
	s.base = Base{Content: s.out.File, Size: s.out.Size}
	if s.out.File == nil {
		s.base.Content = bytes.NewReader(s.out.Inline)
	}
	return s.out, nil
}

// Committed tells that the sealed content was committed and now belongs to
// the receiver. The stage goes on, unchanged, from b: the same content, from
// where the commit can be read. For inline content b may be zero.
func (s *Stage) Committed(b Base) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sealed {
		return
	}
	switch {
	case b.Content != nil:
		s.base.Content = b.Content
	case s.out.File != nil && s.out.Size > 0:
		_ = s.fail(errNoBase)
		s.base, s.limit = Base{}, 0
	}
	s.out = Sealed{}
	s.changed = false
	s.state = open
	s.cond.Broadcast()
}

// Unseal takes the content back after a commit that failed without taking
// it over.
func (s *Stage) Unseal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != sealed {
		return
	}
	// A file goes on in place. Inline bytes may still be referred to by a
	// commit that gave up on them: they stay a base and are copied.
	if s.out.File != nil {
		s.body.file, s.body.w = s.out.File, s.out.Size
		s.base, s.limit = Base{}, 0
	}
	s.out = Sealed{}
	s.state = open
	s.cond.Broadcast()
}

// Salvage hands over what there is, for quarantine, poisoned or not; the
// stage is gone. SHA256 and Resume are not set. If a part of the base can't
// be had the content ends there and the error tells so; the rest of the
// result is good. A sealed stage is left alone with ErrSealed.
func (s *Stage) Salvage() (Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case gone:
		return Sealed{}, fmt.Errorf("salvage: %w", ErrGone)
	case sealed:
		return Sealed{}, fmt.Errorf("salvage: %w", ErrSealed)
	}
	s.state = gone
	s.cond.Broadcast()
	s.settle()
	err := s.fill(s.limit)
	if err != nil {
		err = fmt.Errorf("salvage: %w", err)
	}
	out := s.body.take()
	s.base, s.limit = Base{}, 0
	return out, err
}

// Discard drops the content. Later calls do nothing. It waits for the
// follower; it leaves alone what Seal handed over.
func (s *Stage) Discard() {
	s.mu.Lock()
	if s.state == gone {
		s.mu.Unlock()
		return
	}
	s.state = gone
	s.cond.Broadcast()
	s.settle()
	f := s.body.file
	freeBuffer(s.body.mem)
	s.body.mem, s.body.file, s.body.w = nil, nil, 0
	s.base, s.limit = Base{}, 0
	s.d = digest{}
	s.mu.Unlock()
	if f != nil {
		s.o.DiscardFile(f)
	}
}
