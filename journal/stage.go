package journal

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"syscall"

	"intactfs/journal/disk"
)

// NewStage makes an empty private file for a content that is too large to
// travel in a record. The caller writes it, closes it, and hands the name to
// Commit or Discard. The name was never used before. What neither got is
// removed by the next Open.
func (j *Journal) NewStage() (string, disk.File, error) {
	j.mu.Lock()
	err, tx := j.usable(), j.lastTx
	j.mu.Unlock()
	if err != nil {
		return "", nil, fmt.Errorf("new stage: %w", err)
	}
	name, err := uniqueName(stagePrefix, tx+1, j.o.Rand)
	if err != nil {
		return "", nil, fmt.Errorf("new stage: %w", err)
	}
	f, err := j.d.Create("stage:create", name, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("new stage: %w", err)
	}
	return name, f, nil
}

// Discard removes a stage that was not committed. One that is gone already
// is no error. In a stopped journal it removes nothing: a record that names
// the stage may be on the disk, and the next Open knows.
func (j *Journal) Discard(name string) error {
	if !isStage(name) {
		return fmt.Errorf("discard %q: %w", name, ErrStage)
	}
	if j.o.ReadOnly {
		return fmt.Errorf("discard stage: %w", ErrReadOnly)
	}
	if j.stoppedErr() != nil {
		return nil
	}
	if err := j.d.Remove("stage:discard", name); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("discard stage: %w", err)
	}
	return nil
}

// sealStage makes a stage and its name durable, and fills in its checksum if
// that is not known. After an error the bytes must not be trusted, and the
// stage never be committed.
func (j *Journal) sealStage(name string, size int64, crc *stageSum) error {
	// A second sync would succeed: the kernel tells of what it lost only once.
	if _, spoiled := j.spoiled.Load(name); spoiled {
		return fmt.Errorf("seal stage: %s could not be synced before: %w", name, syscall.EIO)
	}
	err := j.syncStage(name, size, crc)
	if err != nil && !errors.Is(err, ErrStage) {
		j.spoiled.Store(name, true)
	}
	return err
}

func (j *Journal) syncStage(name string, size int64, crc *stageSum) error {
	f, err := j.d.OpenWrite("commit:stage-open", name)
	if err != nil {
		return fmt.Errorf("seal stage: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size != size {
		err = fmt.Errorf("%w: %d bytes in %s, not %d", ErrStage, info.Size, name, size)
	}
	if err == nil {
		err = j.syncAndSum(f, size, crc)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = j.d.SyncDir("commit:stage-dir", stagingDir)
	}
	if err != nil {
		return fmt.Errorf("seal stage: %w", err)
	}
	return nil
}

// syncAndSum syncs a stage, and reads it meanwhile if its checksum is not
// known.
func (j *Journal) syncAndSum(f disk.File, size int64, crc *stageSum) error {
	if crc.known {
		return f.Sync("commit:stage-sync")
	}
	crc.known = true
	if j.o.Manual {
		var err error
		if crc.sum, err = sumOf(f, size); err != nil {
			return err
		}
		return f.Sync("commit:stage-sync")
	}
	done := make(chan error, 1)
	go func() { done <- f.Sync("commit:stage-sync") }()
	sum, err := sumOf(f, size)
	crc.sum = sum
	return cmp.Or(<-done, err)
}

// stageSum is the CRC-32C of a stage. It covers the time from the commit to
// the publication, when nothing else does: a large content has its SHA-256
// only from then on.
type stageSum struct {
	sum   uint32
	known bool // not in records of programs that did not compute it
}

// sumOf reads size bytes of r.
func sumOf(r io.ReaderAt, size int64) (uint32, error) {
	h := crc32.New(castagnoli)
	buf := make([]byte, min(max(size, 1), 1<<20))
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(r, 0, size), buf)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return h.Sum32(), err
}

// changed says that the stage of v is not what was committed.
func (v *version) changed() error {
	return &Damage{Segment: v.stage, Reason: "content of " + v.Path + " changed since it was committed"}
}

// readStage compares a stage that a recovery found with its checksum, once.
// f is closed after an error.
func (j *Journal) readStage(v *version, f disk.File) error {
	sum, err := sumOf(f, v.Size)
	if err == nil && sum != v.crc.sum {
		err = v.changed()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	v.unread = false
	return nil
}

// stageBytes puts a content into a stage of its own.
func (j *Journal) stageBytes(p []byte) (string, error) {
	name, f, err := j.NewStage()
	if err != nil {
		return "", err
	}
	_, err = f.WriteAt("stage:write", p, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		if derr := j.Discard(name); derr != nil {
			j.o.Log.Warn("stage stays until the next start", "stage", name, "error", derr)
		}
		return "", fmt.Errorf("write stage: %w", err)
	}
	return name, nil
}
