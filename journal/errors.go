package journal

import "errors"

var (
	// ErrDamaged occurs when a segment holds something else than what was
	// once synced into it: not the torn end that a crash leaves, but a
	// fault in the middle. Nothing was changed; Open with ReadOnly serves
	// what precedes the damage. Errors that wrap it are a *Damage.
	ErrDamaged = errors.New("journal damaged")
	// ErrStopped occurs for every change after a sync of a segment failed:
	// what the disk holds is then unknown until the next Open.
	ErrStopped = errors.New("journal stopped after a failed write or sync")
	// ErrReadOnly occurs for every change in a journal opened read-only.
	ErrReadOnly = errors.New("journal is read-only")
	// ErrClosed occurs for every call after Close.
	ErrClosed = errors.New("journal closed")
	// ErrTooLarge occurs when path, attributes and note of a commit don't
	// fit in a segment.
	ErrTooLarge = errors.New("record larger than a segment")
	// ErrStage occurs when the stage of a commit isn't one that NewStage
	// made, or doesn't hold the size the commit names.
	ErrStage = errors.New("stage does not match the commit")
	// ErrMoved occurs when the base of an append is no longer the newest
	// version of its path.
	ErrMoved = errors.New("base of the append is not the newest version")
)
