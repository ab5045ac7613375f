package backup

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound: history or quarantine has no such path or version.
	ErrNotFound = errors.New("no such version")
	// ErrDamaged: bytes on disk don't match their checksum or format. It is
	// wrapped in an error that names the pack and the versions it costs.
	ErrDamaged = errors.New("history is damaged")
	// ErrConflict: Add was given a transaction number that history has
	// with other content. The item was not kept.
	ErrConflict = errors.New("transaction number is taken by another content")
	// ErrMismatch: the content handed to Add is not what its size and
	// SHA-256 say. The item was not kept.
	ErrMismatch = errors.New("content does not match its checksum")
	// ErrHeld: Expire dropped nothing, because it would not be safe now:
	// the disk is nearly full, or contents are being refused in a burst.
	ErrHeld = errors.New("retention is held")
	// ErrReadOnly: the store was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("history is open for reading only")
	// ErrBadPath: not a clean slash-separated path relative to the root.
	ErrBadPath = errors.New("bad path")
)

// An ItemError is why Add could not keep one of its items. Several come
// joined; errors.As finds the first.
type ItemError struct {
	Path string
	Tx   uint64
	Err  error
}

// Error names the item and the reason.
func (e *ItemError) Error() string {
	return fmt.Sprintf("keep version %d of %s: %v", e.Tx, e.Path, e.Err)
}

// Unwrap returns the reason.
func (e *ItemError) Unwrap() error { return e.Err }
