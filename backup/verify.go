package backup

// Damage is something that Verify found.
type Damage struct {
	Path   string
	File   string // disk name
	Offset int64
	Lost   []uint64 // the versions this costs, oldest first
	Err    error    // wraps ErrDamaged
}

// A Report is what Verify saw.
type Report struct {
	Paths    int
	Versions int
	Bytes    int64 // of the contents that were read and verified
	Damage   []Damage
	// Torn are the pack ends that look like an append cut short by a
	// crash, before Add could return: no version that was promised.
	Torn []Damage
}
