package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

// restoreFlags are the flags of restore.
type restoreFlags struct {
	at     string
	to     string
	dryRun bool
}

// restoring is one file in the output of restore.
type restoring struct {
	Path    string `json:"path"`
	From    string `json:"from"`            // the version that comes back
	Version string `json:"version"`         // the commit that this made; empty with --to and --dry-run
	State   string `json:"state"`           // restored, unchanged, would be restored, copied
	Error   string `json:"error,omitempty"` // why not

	err error
}

func (a *app) restoreCommand() *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore FILE[@VERSION]... | --at TIME PATH...",
		Short: "bring a version back, as a commit of its own",
		Long: `Restore makes an old version the newest one; that is a commit like any other and
can be undone like any other. Without VERSION it is the one before, or the last
one of a file that was removed. With --at each PATH, and all below it, becomes
what it was then; files that came later stay.`,
		Example: "  intact restore state.json@~1\n  intact restore --at 'yesterday 14:00' data\n  intact restore state.json@12 --to /tmp/state.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.to != "" && len(args) > 1 {
				return usageError{errors.New("--to takes one file or directory")}
			}
			return a.restore(c.Context(), args, f)
		},
		ValidArgsFunction: a.completeVersions,
	}
	c.Flags().StringVar(&f.at, "at", "", "bring back what was there at this time")
	c.Flags().StringVar(&f.to, "to", "", "write there instead of restoring in place")
	c.Flags().BoolVarP(&f.dryRun, "dry-run", "n", false, "only show what would be done")
	return a.withJSON(c)
}

func (a *app) restore(ctx context.Context, args []string, f restoreFlags) error {
	var at time.Time
	if f.at != "" {
		var err error
		if at, err = parseTime(f.at, a.now(), a.zone); err != nil {
			return usageError{err}
		}
	}
	if f.to != "" {
		if err := a.answers(ctx, f.to); err != nil {
			return err
		}
	}
	what := intentOf(f.to == "" && !f.dryRun)
	done := []restoring{}
	for _, arg := range args {
		file, version := arg, ""
		if f.at == "" {
			file, version = a.splitVersion(arg)
		}
		err := a.with(ctx, file, what, func(t target, c control.Caller) error {
			if f.at != "" && f.to == "" {
				restored, err := a.restoreAt(ctx, c, t, at, f.dryRun)
				done = append(done, restored...)
				return err
			}
			entries, err := a.choose(ctx, c, t.path, version, at)
			if err != nil {
				return err
			}
			for _, e := range entries {
				done = append(done, a.restoreOne(ctx, c, t, e, f))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return a.printRestored(done)
}

// choose finds the versions to bring back.
func (a *app) choose(ctx context.Context, c control.Caller, name, version string, at time.Time) ([]store.Entry, error) {
	if !at.IsZero() {
		var entries []store.Entry
		err := c.Call(ctx, control.OpAt, control.AtArgs{Path: name, Time: at}, &entries, control.Sink{})
		if err == nil && len(entries) == 0 {
			err = fmt.Errorf("%s: %w at %s", display(name), store.ErrNoVersion, a.timeText(at))
		}
		return entries, err
	}
	if version != "" {
		e, err := a.pickVersion(ctx, c, name, version)
		return []store.Entry{e}, err
	}
	log, err := versions(ctx, c, name)
	if err != nil {
		return nil, err
	}
	e, err := beforeNow(log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return []store.Entry{e}, nil
}

// restoreAt makes a path, and all below it, what it was at a time.
func (a *app) restoreAt(ctx context.Context, c control.Caller, t target, at time.Time, dry bool) ([]restoring, error) {
	bar := a.newProgress("restoring")
	defer bar.end()
	var restored []control.RestoredPath
	args := control.RestoreAtArgs{Path: t.path, Time: at, Dry: dry, Who: me()}
	err := c.Call(ctx, control.OpRestoreAt, args, &restored, control.Sink{Progress: bar.at})
	if errors.Is(err, store.ErrNoVersion) {
		return nil, fmt.Errorf("%s: %w at %s", display(t.path), store.ErrNoVersion, a.timeText(at))
	}
	if err != nil {
		return nil, err
	}
	done := make([]restoring, len(restored))
	for i, r := range restored {
		d := restoring{Path: r.Path, From: r.From, Version: r.Version, State: "restored"}
		switch {
		case r.Error != nil:
			d.State, d.Error, d.err = "failed", r.Error.Message, fmt.Errorf("%s: %w", r.Path, r.Error)
		case !r.Changed:
			d.State = "unchanged"
		case dry:
			d.State = "would be restored"
		}
		done[i] = d
	}
	return done, nil
}

func display(name string) string {
	if name == "" {
		return "the directory"
	}
	return name
}

func (a *app) restoreOne(ctx context.Context, c control.Caller, t target, e store.Entry, f restoreFlags) restoring {
	r := restoring{Path: e.Path, From: e.Version, State: "restored"}
	var err error
	switch log, logErr := versions(ctx, c, e.Path); {
	case logErr != nil:
		err = logErr
	case f.to != "":
		r.State = "copied"
		if !f.dryRun {
			err = a.copyOut(ctx, c, t, e, f.to)
		}
	case isCurrent(log, e):
		r.State = "unchanged"
	case f.dryRun:
		r.State = "would be restored"
	default:
		var made control.Committed
		err = c.Call(ctx, control.OpRestore, control.VersionArgs{Path: e.Path, Tx: e.Tx, Who: me()}, &made, control.Sink{})
		r.Version = made.Version
	}
	if err != nil {
		r.State, r.Error, r.err = "failed", err.Error(), err
	}
	return r
}

// isCurrent tells whether a version's content is what the file holds already.
func isCurrent(log []store.Entry, e store.Entry) bool {
	newest := log[len(log)-1]
	return !newest.Removed && newest.SHA256 == e.SHA256 && newest.Mode == e.Mode
}

// copyOut writes a version to another place: to itself for a single file,
// below it for a directory.
func (a *app) copyOut(ctx context.Context, c control.Caller, t target, e store.Entry, to string) error {
	if e.Path != t.path {
		rel, err := filepath.Rel("/"+t.path, "/"+e.Path)
		if err != nil {
			return err
		}
		to = filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
	} else if st, err := os.Stat(to); err == nil && st.IsDir() {
		to = filepath.Join(to, filepath.Base(e.Path))
	}
	return writeVersion(ctx, c, e, to)
}

// writeVersion writes a version to a file that is whole or not there.
func writeVersion(ctx context.Context, c control.Caller, e store.Entry, to string) error {
	a := attributes{os.FileMode(e.Mode & 0o777), int(e.UID), int(e.GID), e.Mtime}
	return writeWhole(to, a, func(w io.Writer) error { return copyVersion(ctx, c, e, w) })
}

func (a *app) printRestored(done []restoring) error {
	if a.asJSON {
		if err := a.printJSON(done); err != nil {
			return err
		}
	}
	var failed error
	for _, r := range done {
		if r.err != nil {
			failed = errors.Join(failed, r.err)
			continue
		}
		if a.asJSON {
			continue
		}
		line := fmt.Sprintf("%s: %s from version %s", r.Path, r.State, r.From)
		if r.Version != "" {
			line += ", now version " + r.Version
		}
		if err := a.printf("%s\n", line); err != nil {
			return err
		}
	}
	return failed
}
