package stage

// Resume is the digest of a sealed content with its checkpoints. It is
// immutable and may be shared by any number of stages.
type Resume struct{}

// Stage is the content of one open transaction.
type Stage struct{}

// New starts with an empty content, as a truncating open does.
func New(o Options) *Stage { return &Stage{} }

// NewOn starts with the content of b. Nothing is read before it is needed.
func NewOn(o Options, b Base) *Stage { return &Stage{} }

// Size is the size of the content in bytes.
func (s *Stage) Size() int64 { return 0 }

// Changed tells whether the content was written or cut since the stage was
// made or last committed. A truncation to the size it has changes nothing.
func (s *Stage) Changed() bool { return false }

// Poisoned is the error of the first change that failed, or nil.
func (s *Stage) Poisoned() error { return nil }

// ReadAt reads the content as io.ReaderAt has it.
func (s *Stage) ReadAt(p []byte, off int64) (int, error) { return 0, nil }

// WriteAt writes p at off; a gap before off reads as zeros. A short or failed
// write poisons the stage. It may wait for the digest to catch up.
func (s *Stage) WriteAt(p []byte, off int64) (int, error) { return 0, nil }

// Append writes p at the end of the content and returns where that was.
func (s *Stage) Append(p []byte) (off int64, err error) { return 0, nil }

// Truncate cuts the content, or extends it with zeros.
func (s *Stage) Truncate(size int64) error { return nil }

// Allocate is fallocate(2): the default mode, KEEP_SIZE, PUNCH_HOLE and
// ZERO_RANGE; EOPNOTSUPP for others, which does not poison.
func (s *Stage) Allocate(mode uint32, off, n int64) error { return nil }

// Sync makes the bytes that are in a private file durable, for an fsync of
// content that is not complete. Bytes in memory are not: nothing would look
// for them after a crash. A failed Sync poisons the stage.
func (s *Stage) Sync() error { return nil }

// Judge digests what the follower has not digested yet and gives the verdict
// on the content. Changes wait meanwhile. Judging again without a change in
// between costs nothing. The error is ErrPoisoned, ErrGone, or a failed read.
func (s *Stage) Judge() (Result, error) { return Result{}, nil }

// Seal freezes the content that r judged and hands it over for a commit.
// ErrStale means that it changed since: judge again. Until Committed or
// Unseal changes fail with ErrSealed; reads go on. The receiver must not
// change the bytes.
func (s *Stage) Seal(r Result) (Sealed, error) { return Sealed{}, nil }

// Committed tells that the sealed content was committed and now belongs to
// the receiver. The stage goes on, unchanged, from b: the same content as
// the commit can be read from. For inline content b may be empty.
func (s *Stage) Committed(b Base) {}

// Unseal takes the content back after a commit that failed without taking
// it over.
func (s *Stage) Unseal() {}

// Salvage hands over what there is, for quarantine, poisoned or not; the
// stage is gone. SHA256 and Resume are not set. If a part of the base can't
// be read the content ends there and the error tells so.
func (s *Stage) Salvage() (Sealed, error) { return Sealed{}, nil }

// Discard drops the content. Later calls do nothing. It waits for the
// follower; it leaves a file alone that Seal handed over.
func (s *Stage) Discard() {}
