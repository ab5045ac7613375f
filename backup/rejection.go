package backup

import "time"

// A Rejection is what is known of a content that was refused.
type Rejection struct {
	Path    string
	Time    time.Time
	Reason  string
	Line    int64 // 1-based; 0 if the reason has no place
	Column  int64
	Offset  int64  // 0-based
	Size    int64  // of the content
	Kept    uint64 // Tx of the version that stayed; 0: there was none
	PID     uint32
	UID     uint32
	Program string
}

// Rejected is a refused content in quarantine.
type Rejected struct {
	ID string // "<path>@<first 16 digits of the SHA-256>"
	Rejection
	// SHA256 is that of the bytes that are kept; of those of the whole
	// content as well, unless Truncated.
	SHA256 [32]byte
	// Truncated: only the first Held bytes of a content beyond the bound
	// are kept.
	Truncated bool
	Held      int64
	Stored    int64     // bytes on disk
	Count     int64     // how often the same content was refused
	Last      time.Time // when it was refused last; Time is the first
}
