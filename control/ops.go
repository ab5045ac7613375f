package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/store"
)

// The operations. The comment names what each takes and returns.
const (
	OpPing       = "ping"            // -, -: tells that somebody answers
	OpStatus     = "status"          // -, StatusResult
	OpCheckpoint = "checkpoint"      // -, -
	OpLog        = "log"             // PathArgs, []store.Entry
	OpRecent     = "recent"          // RecentArgs, []store.Entry, the newest first
	OpAt         = "at"              // AtArgs, []store.Entry
	OpExport     = "export"          // AtArgs, Exported after a tar archive, with progress
	OpRestoreAt  = "restore-at"      // RestoreAtArgs, []RestoredPath, with progress
	OpPaths      = "paths"           // PathsArgs, []string
	OpShow       = "show"            // VersionArgs, store.Entry after the content
	OpCurrent    = "current"         // PathArgs, int64: the size, after the content
	OpRestore    = "restore"         // VersionArgs, Committed
	OpPin        = "pin"             // PinArgs, -
	OpPrune      = "prune"           // PruneArgs, []backup.PlanResult
	OpVerify     = "verify"          // -, store.VerifyReport, with progress
	OpRejected   = "rejected"        // PathArgs, []backup.Rejected
	OpRejShow    = "rejected-show"   // RejectedArgs, backup.Rejected after the content
	OpRejDrop    = "rejected-drop"   // RejectedArgs, backup.Rejected
	OpRejAccept  = "rejected-accept" // RejectedArgs, Committed
	OpSalvage    = "salvage"         // SalvageArgs, Salvaged
	OpStop       = "stop"            // StopArgs, -: unmounts
)

// PathArgs names a path below the directory; "" is the directory.
type PathArgs struct {
	Path string `json:"path"`
}

// RecentArgs asks for the latest versions of a path and all below it.
type RecentArgs struct {
	Path  string `json:"path"`
	Limit int    `json:"limit"`
}

// AtArgs asks for a path, and all below it, at a time.
type AtArgs struct {
	Path string    `json:"path"`
	Time time.Time `json:"time"`
}

// RestoreAtArgs restores a path, and all below it, as of a time.
type RestoreAtArgs struct {
	Path string    `json:"path"`
	Time time.Time `json:"time"`
	Dry  bool      `json:"dry"`
	Who  fs.Writer `json:"who"`
}

// PathsArgs asks for paths with history that begin with Prefix.
type PathsArgs struct {
	Prefix string `json:"prefix"`
	Limit  int    `json:"limit"`
}

// VersionArgs names a version of a path.
type VersionArgs struct {
	Path string    `json:"path"`
	Tx   uint64    `json:"tx"`
	Who  fs.Writer `json:"who"`
}

// PinArgs pins a version, or unpins it.
type PinArgs struct {
	Path string `json:"path"`
	Tx   uint64 `json:"tx"`
	On   bool   `json:"on"`
}

// PruneArgs prunes a path and all below it.
type PruneArgs struct {
	Path string `json:"path"`
	Dry  bool   `json:"dry"`
}

// RejectedArgs names a refused content.
type RejectedArgs struct {
	ID  string    `json:"id"`
	Who fs.Writer `json:"who"`
}

// SalvageArgs mends the refused content ID, or else the current content of
// Path, and commits the result unless Dry.
type SalvageArgs struct {
	ID   string    `json:"id,omitempty"`
	Path string    `json:"path,omitempty"`
	Dry  bool      `json:"dry"`
	Who  fs.Writer `json:"who"`
}

// StopArgs says what happens to programs that use the mount: they keep it,
// and ErrBusy is returned, unless Force takes it from them.
type StopArgs struct {
	Force bool `json:"force,omitempty"`
}

// Committed is a commit that an operation made.
type Committed struct {
	Path    string `json:"path"`
	Tx      uint64 `json:"tx"`
	Version string `json:"version"`
	Size    int64  `json:"size"`
}

// StatusResult is how a daemon and its store do.
type StatusResult struct {
	Dir     string       `json:"dir"`
	Mount   string       `json:"mount,omitempty"` // empty: not mounted
	PID     int          `json:"pid"`
	Version string       `json:"intact"`
	Store   store.Status `json:"store"`
}

// Service is what the operations act on.
type Service struct {
	Store   *store.Store
	Dir     string // absolute
	Mount   string // where it is mounted; empty if it is not
	Version string // of intact
	// Stop unmounts; nil if nothing is mounted. ErrBusy says that programs
	// use the mount, which only force takes from them.
	Stop func(force bool) error
	// Changed is called after an operation committed a path without the
	// file system's doing; nil if there is none.
	Changed func(path string)
}

// Handlers are the operations on v.
func (v *Service) Handlers() Handlers {
	return Handlers{
		OpPing:       op(v.ping),
		OpStatus:     op(v.status),
		OpCheckpoint: op(v.checkpoint),
		OpLog:        op(v.log),
		OpRecent:     op(v.recent),
		OpAt:         op(v.at),
		OpExport:     op(v.export),
		OpRestoreAt:  op(v.restoreAt),
		OpPaths:      op(v.paths),
		OpShow:       op(v.show),
		OpCurrent:    op(v.current),
		OpRestore:    op(v.restore),
		OpPin:        op(v.pin),
		OpPrune:      op(v.prune),
		OpVerify:     op(v.verify),
		OpRejected:   op(v.rejected),
		OpRejShow:    op(v.rejectedShow),
		OpRejDrop:    op(v.rejectedDrop),
		OpRejAccept:  op(v.rejectedAccept),
		OpSalvage:    op(v.salvage),
		OpStop:       op(v.stop),
	}
}

// none is for operations without arguments, or without a result.
type none struct{}

// op makes a Handler of a function with typed arguments.
func op[A, R any](f func(context.Context, A, Sink) (R, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage, sink Sink) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBadArgs, err)
			}
		}
		return f(ctx, args, sink)
	}
}

func (v *Service) ping(context.Context, none, Sink) (none, error) { return none{}, nil }

func (v *Service) status(context.Context, none, Sink) (StatusResult, error) {
	return StatusResult{Dir: v.Dir, Mount: v.Mount, PID: os.Getpid(), Version: v.Version, Store: v.Store.Status()}, nil
}

func (v *Service) checkpoint(ctx context.Context, _ none, _ Sink) (none, error) {
	return none{}, v.Store.Checkpoint(ctx)
}

func (v *Service) log(ctx context.Context, a PathArgs, _ Sink) ([]store.Entry, error) {
	return v.Store.Log(ctx, a.Path)
}

func (v *Service) recent(ctx context.Context, a RecentArgs, _ Sink) ([]store.Entry, error) {
	return v.Store.Recent(ctx, a.Path, a.Limit)
}

func (v *Service) at(ctx context.Context, a AtArgs, _ Sink) ([]store.Entry, error) {
	return v.Store.At(ctx, a.Path, a.Time)
}

func (v *Service) paths(ctx context.Context, a PathsArgs, _ Sink) ([]string, error) {
	return v.Store.Paths(ctx, a.Prefix, a.Limit)
}

func (v *Service) show(ctx context.Context, a VersionArgs, sink Sink) (store.Entry, error) {
	e, c, err := v.Store.OpenVersion(ctx, a.Path, a.Tx)
	if err != nil {
		return e, err
	}
	return e, errors.Join(sendContent(ctx, c, c.Size(), sink), c.Close())
}

func (v *Service) current(ctx context.Context, a PathArgs, sink Sink) (int64, error) {
	c, err := v.Store.OpenCurrent(a.Path)
	if err != nil {
		return 0, err
	}
	return c.Size(), errors.Join(sendContent(ctx, c, c.Size(), sink), c.Close())
}

func (v *Service) restore(ctx context.Context, a VersionArgs, _ Sink) (Committed, error) {
	return v.committed(a.Path, func() (fs.Version, error) { return v.Store.Restore(ctx, a.Path, a.Tx, a.Who) })
}

func (v *Service) committed(path string, commit func() (fs.Version, error)) (Committed, error) {
	made, err := commit()
	if err != nil {
		return Committed{}, err
	}
	if v.Changed != nil {
		v.Changed(path)
	}
	return Committed{Path: path, Tx: made.Tx, Version: store.FormatTx(made.Tx), Size: made.Size}, nil
}

func (v *Service) pin(ctx context.Context, a PinArgs, _ Sink) (none, error) {
	return none{}, v.Store.Pin(ctx, a.Path, a.Tx, a.On)
}

func (v *Service) prune(ctx context.Context, a PruneArgs, _ Sink) ([]backup.PlanResult, error) {
	return v.Store.Prune(ctx, a.Path, a.Dry)
}

func (v *Service) verify(ctx context.Context, _ none, sink Sink) (store.VerifyReport, error) {
	return v.Store.Verify(ctx, sink.Progress)
}

func (v *Service) rejected(_ context.Context, a PathArgs, _ Sink) ([]backup.Rejected, error) {
	return v.Store.Rejected(a.Path)
}

func (v *Service) rejectedShow(ctx context.Context, a RejectedArgs, sink Sink) (backup.Rejected, error) {
	r, c, err := v.Store.OpenRejected(a.ID)
	if err != nil {
		return r, err
	}
	return r, errors.Join(sendContent(ctx, c, c.Size(), sink), c.Close())
}

func (v *Service) rejectedDrop(_ context.Context, a RejectedArgs, _ Sink) (backup.Rejected, error) {
	return v.Store.DropRejected(a.ID)
}

func (v *Service) rejectedAccept(ctx context.Context, a RejectedArgs, _ Sink) (Committed, error) {
	r, c, err := v.Store.OpenRejected(a.ID)
	if err != nil {
		return Committed{}, err
	}
	if err := c.Close(); err != nil {
		return Committed{}, err
	}
	return v.committed(r.Path, func() (fs.Version, error) { return v.Store.AcceptRejected(ctx, r.ID, a.Who) })
}

func (v *Service) stop(_ context.Context, a StopArgs, _ Sink) (none, error) {
	if v.Stop == nil {
		return none{}, ErrNoDaemon
	}
	return none{}, v.Stop(a.Force)
}
