package journal

import (
	"context"

	"intactfs/journal/disk"
)

// Journal makes commits durable and publishes them. All methods may be
// called from several goroutines.
type Journal struct{}

// Damage is a fault in the middle of the journal.
type Damage struct {
	Segment string // disk name of the segment or stage
	Offset  int64  // of the first record that can't be trusted
	Reason  string
}

// Error implements error.
func (d *Damage) Error() string { return d.Segment + ": " + d.Reason }

// Unwrap makes every Damage an ErrDamaged.
func (d *Damage) Unwrap() error { return ErrDamaged }

// Open replays.
func Open(d disk.Disk, o Options) (*Journal, Report, error) { return nil, Report{}, ErrClosed }

// NewStage makes a private file; the caller closes it.
func (j *Journal) NewStage() (string, disk.File, error) { return "", nil, ErrClosed }

// Discard removes a stage that was not committed.
func (j *Journal) Discard(name string) error { return ErrClosed }

// Commit makes p the newest version of its path.
func (j *Journal) Commit(ctx context.Context, p Put) (Version, error) { return Version{}, ErrClosed }

// Pending is the newest version of path if it is not yet published.
func (j *Journal) Pending(path string) (Version, bool) { return Version{}, false }

// OpenPending opens what Pending tells.
func (j *Journal) OpenPending(path string) (Version, Content, bool, error) {
	return Version{}, nil, false, ErrClosed
}

// PendingNames lists the names directly below dir that have pending versions.
func (j *Journal) PendingNames(dir string) []string { return nil }

// Settle publishes path and everything below it.
func (j *Journal) Settle(ctx context.Context, path string) error { return ErrClosed }

// Checkpoint publishes everything.
func (j *Journal) Checkpoint(ctx context.Context) error { return ErrClosed }

// Sync makes every commit so far durable.
func (j *Journal) Sync(ctx context.Context) error { return ErrClosed }

// Close checkpoints and closes.
func (j *Journal) Close() error { return ErrClosed }

// Stats is a snapshot.
func (j *Journal) Stats() Stats { return Stats{} }

// Check reads everything and changes nothing.
func Check(ctx context.Context, d disk.Disk) (CheckReport, error) { return CheckReport{}, ErrClosed }
