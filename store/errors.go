package store

import (
	"errors"
	"fmt"
)

// What callers test for.
var (
	// ErrLocked: another process serves or repairs the directory. The error
	// that wraps it is a *LockedError and says which.
	ErrLocked = errors.New("directory is in use by another intact")
	// ErrFormat: .intact was written by another version of intact, or by
	// nobody.
	ErrFormat = errors.New("unknown format of .intact")
	// ErrDamaged: the journal or the history can't be trusted as a whole.
	ErrDamaged = errors.New("journal or history damaged")
	// ErrReadOnly: the store was opened read-only, or had to be.
	ErrReadOnly = errors.New("store is read-only")
	// ErrNoHistory: nothing was ever kept of this path.
	ErrNoHistory = errors.New("no history")
	// ErrNoVersion: the path has history, but not this version.
	ErrNoVersion = errors.New("no such version")
	// ErrNotProtected: no rule protects the path.
	ErrNotProtected = errors.New("not protected by any rule")
	// ErrNotRejected: the quarantine holds no such content.
	ErrNotRejected = errors.New("no such rejected content")
	// ErrWhole: a content that was to be mended is whole.
	ErrWhole = errors.New("nothing has to be mended")
	// ErrUninitialized: the directory has no .intact, and the caller did
	// not ask for one to be made.
	ErrUninitialized = errors.New("directory has never been mounted with intact")
)

// LockedError says who holds the lock of a directory.
type LockedError struct {
	Holder Holder
}

func (e *LockedError) Error() string {
	if e.Holder.PID == 0 {
		return ErrLocked.Error()
	}
	return fmt.Sprintf("%v (%s, process %d)", ErrLocked, e.Holder.Purpose, e.Holder.PID)
}

// Unwrap makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Unwrap() error { return ErrLocked }

// ConfigError is a mistake in config.toml. Line and Column are 1-based; 0
// when the mistake has no place.
type ConfigError struct {
	File   string
	Line   int
	Column int
	Msg    string
}

func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}
