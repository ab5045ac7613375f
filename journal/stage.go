package journal

import (
	"errors"
	"fmt"
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

// sealStage makes a stage and its name durable. After an error the bytes
// must not be trusted, and the stage never be committed.
func (j *Journal) sealStage(name string, size int64) error {
	f, err := j.d.OpenWrite("commit:stage-open", name)
	if err != nil {
		return fmt.Errorf("seal stage: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size != size {
		err = fmt.Errorf("%w: %d bytes in %s, not %d", ErrStage, info.Size, name, size)
	}
	if err == nil {
		err = f.Sync("commit:stage-sync")
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
