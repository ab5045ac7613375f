package journal

import "fmt"

// Damage is one place where the disk holds something else than what was
// synced to it.
type Damage struct {
	Segment string // disk name of the segment, or of the stage
	Offset  int64  // where it begins, in bytes
	Reason  string
}

// Error implements error.
func (d *Damage) Error() string {
	return fmt.Sprintf("%s at offset %d: %s", d.Segment, d.Offset, d.Reason)
}

// Unwrap makes every Damage an ErrDamaged.
func (d *Damage) Unwrap() error { return ErrDamaged }
