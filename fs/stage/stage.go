package stage

import (
	"fmt"
	"io"
	"math"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// state is where a stage is in its life.
type state int

const (
	open state = iota
	sealed
	gone
)

// Stage is the content of one open transaction.
type Stage struct {
	o Options

	mu    sync.Mutex // guards everything below
	cond  *sync.Cond // on mu: state, hold, users, following or d changed
	state state
	body  body  // [0, body.w) of the content
	base  Base  // [body.w, limit) of the content
	limit int64 // never above base.Size

	gen     uint64 // grows with each change; never 0
	changed bool
	poison  error
	hold    int // changes wait while it is above 0
	users   int // how many use body without holding mu
	// growing says that bytes are being written behind the last one of the
	// file without holding mu: changes and verdicts wait, reads and the
	// follower, which stay below body.w, don't.
	growing bool

	d         digest
	run       run
	target    int64 // the follower digests up to here
	following bool  // a follower exists
	judged    Result
	out       Sealed // what Seal handed over, while sealed
}

// New starts with an empty content, as a truncating open does.
func New(o Options) *Stage { return NewOn(o, Base{}) }

// NewOn starts with the content of b. Nothing is read before it is needed.
func NewOn(o Options, b Base) *Stage {
	if o.MemoryLimit == 0 {
		o.MemoryLimit = DefaultMemoryLimit
	}
	s := &Stage{o: o, base: b, limit: b.Size, gen: 1}
	s.cond = sync.NewCond(&s.mu)
	s.body.o = &s.o
	s.d.gap = markGap
	if b.Resume != nil {
		s.d.marks = b.Resume.marks
		s.d.rollback(b.Size)
	}
	return s
}

// Size is the size of the content in bytes.
func (s *Stage) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size()
}

func (s *Stage) size() int64 { return max(s.body.w, s.limit) }

// Changed tells whether the content was written or cut since the stage was
// made or last committed. A truncation to the size it has changes nothing.
func (s *Stage) Changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Poisoned is the error of the first change that failed, or nil.
func (s *Stage) Poisoned() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poison
}

// ReadAt reads the content as io.ReaderAt has it, sealed or not.
func (s *Stage) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == gone {
		return 0, ErrGone
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	if off >= s.size() {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size()-off))
	if err := s.readContent(p[:n], off); err != nil {
		return 0, fmt.Errorf("read stage: %w", err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readContent fills p with content that exists, from own bytes and the base.
func (s *Stage) readContent(p []byte, off int64) error {
	if own := min(int64(len(p)), s.body.w-off); own > 0 {
		if err := s.body.readAt(p[:own], off); err != nil {
			return err
		}
		p, off = p[own:], off+own
	}
	if len(p) == 0 {
		return nil
	}
	return readFull(s.base.Content, p, off)
}

// admit waits until changes are allowed and tells what forbids them for good.
func (s *Stage) admit() error {
	for (s.hold > 0 || s.growing) && s.state == open {
		s.cond.Wait()
	}
	switch {
	case s.state == gone:
		return ErrGone
	case s.state == sealed:
		return ErrSealed
	}
	return s.poison
}

// touch notes a change from off on, before it is made.
func (s *Stage) touch(off int64) {
	s.gen++
	s.changed = true
	s.d.cut(off)
}

// fail poisons the stage.
func (s *Stage) fail(err error) error {
	if s.poison == nil {
		s.poison = fmt.Errorf("%w: %w", ErrPoisoned, err)
		s.cond.Broadcast()
	}
	return err
}

// WriteAt writes p at off; a gap before off reads as zeros. A short or failed
// write poisons the stage. It may wait for the digest to catch up.
func (s *Stage) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return 0, err
	}
	n, err := s.write(p, off)
	s.pace()
	return n, err
}

// Append writes p at the end of the content and returns where that was.
func (s *Stage) Append(p []byte) (off int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return 0, err
	}
	off = s.size()
	_, err = s.write(p, off)
	s.pace()
	return off, err
}

func (s *Stage) write(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, syscall.EINVAL
	case off > math.MaxInt64-int64(len(p)):
		return 0, syscall.EFBIG
	case len(p) == 0:
		return 0, nil
	}
	s.touch(min(off, s.size()))
	if err := s.fill(off); err != nil {
		return 0, s.fail(err)
	}
	n, err := s.put(p, off)
	if err != nil {
		return n, s.fail(err)
	}
	s.follow(off, off+int64(n))
	return n, nil
}

// put writes p into the body at off, which is not beyond its end. At the end
// of a file it does so without holding mu, so that the follower digests what
// came before meanwhile.
func (s *Stage) put(p []byte, off int64) (int, error) {
	if s.body.file == nil || off < s.body.w {
		return s.body.writeAt(p, off)
	}
	f := s.body.file
	s.growing = true
	s.users++
	s.mu.Unlock()
	n, err := f.WriteAt(p, off)
	s.mu.Lock()
	s.users--
	s.growing = false
	s.cond.Broadcast()
	return s.body.wrote(p, off, n, err)
}

// fill makes [0, to) own bytes: copied from the base, zeros beyond it.
func (s *Stage) fill(to int64) error {
	if s.body.w >= to {
		return nil
	}
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	for s.body.w < min(to, s.limit) {
		p := piece[:min(pieceSize, min(to, s.limit)-s.body.w)]
		if err := readFull(s.base.Content, p, s.body.w); err != nil {
			return fmt.Errorf("copy base: %w", err)
		}
		if _, err := s.body.writeAt(p, s.body.w); err != nil {
			return fmt.Errorf("copy base: %w", err)
		}
	}
	if s.body.w < to {
		return s.body.resize(to)
	}
	return nil
}

// Truncate cuts the content, or extends it with zeros. A failure poisons the
// stage.
func (s *Stage) Truncate(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return err
	}
	if size < 0 {
		return syscall.EINVAL
	}
	return s.truncate(size)
}

func (s *Stage) truncate(size int64) error {
	old := s.size()
	if size == old {
		return nil
	}
	s.touch(min(size, old))
	if size > old {
		if err := s.fill(size); err != nil {
			return s.fail(err)
		}
		return nil
	}
	s.limit = min(s.limit, size)
	if s.body.w > size {
		if err := s.body.resize(size); err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// Allocate is fallocate(2): the default mode, KEEP_SIZE, PUNCH_HOLE and
// ZERO_RANGE; EOPNOTSUPP for others, which does not poison. Nothing is
// reserved: a later write may still meet ENOSPC.
func (s *Stage) Allocate(mode uint32, off, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(); err != nil {
		return err
	}
	switch {
	case off < 0 || n <= 0:
		return syscall.EINVAL
	case off > math.MaxInt64-n:
		return syscall.EFBIG
	}
	const keep, punch, zero = unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
	switch mode {
	case keep:
		return nil
	case 0:
		return s.truncate(max(s.size(), off+n))
	case zero:
		return s.zero(off, off+n)
	case keep | punch, keep | zero:
		return s.zero(off, min(off+n, s.size()))
	}
	return syscall.EOPNOTSUPP
}

// zero makes [off, end) read as zeros.
func (s *Stage) zero(off, end int64) error {
	old := s.size()
	if end > old { // beyond the old end a truncation does it, sparse
		if err := s.truncate(end); err != nil {
			return err
		}
	}
	zeros := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(zeros)
	clear(zeros[:])
	for end = min(end, old); off < end; off += pieceSize {
		if _, err := s.write(zeros[:min(pieceSize, end-off)], off); err != nil {
			return err
		}
	}
	return nil
}
