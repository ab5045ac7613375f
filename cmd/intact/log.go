package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

// recentOf is how many versions log shows of a directory.
const recentOf = 30

// logFlags are the flags of log.
type logFlags struct {
	why, changes bool
	limit        int
}

func (a *app) logCommand() *cobra.Command {
	var f logFlags
	c := &cobra.Command{
		Use:   "log PATH",
		Short: "list the versions of a file, or the latest below a directory, the newest first",
		Long: `Log lists the versions of a file, the newest first, or the latest versions of all
files below a directory: a save that lost nearly everything says so.`,
		Example: "  intact log data\n  intact log --changes data/state.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.limit < 0 {
				return usageError{errors.New("--limit can't be negative")}
			}
			return a.with(c.Context(), args[0], toRead, func(t target, caller control.Caller) error {
				return a.log(c.Context(), caller, t, args[0], f)
			})
		},
		ValidArgsFunction: a.completeFiles,
	}
	c.Flags().BoolVar(&f.why, "why", false, "show why each version is kept")
	c.Flags().BoolVar(&f.changes, "changes", false, "show how many keys each version added, removed and changed")
	c.Flags().IntVar(&f.limit, "limit", 0, "show only so many (default: all of a file, 30 of a directory)")
	return a.withJSON(c)
}

func (a *app) log(ctx context.Context, c control.Caller, t target, arg string, f logFlags) error {
	var log []store.Entry
	err := fmt.Errorf("%s: %w", t.path, store.ErrNoHistory)
	if t.path != "" {
		log, err = versions(ctx, c, t.path)
	}
	if errors.Is(err, store.ErrNoHistory) {
		recent, recentErr := a.recent(ctx, c, t, f)
		switch {
		case recentErr == nil && (t.path == "" || len(recent) > 0):
			return a.printRecent(recent, t, arg)
		case t.path == "":
			return recentErr
		}
	}
	if err != nil {
		return err
	}
	if f.limit > 0 {
		log = log[max(0, len(log)-f.limit):]
	}
	if a.asJSON {
		return a.printJSON(log)
	}
	var summary map[uint64]string
	if f.changes {
		summary = summaries(ctx, c, log)
	}
	if err := ctx.Err(); err != nil {
		return err // what was summed up is not all
	}
	return a.printLog(log, f.why, summary)
}

// recent is the latest versions below a directory, the newest first.
func (a *app) recent(ctx context.Context, c control.Caller, t target, f logFlags) ([]store.Entry, error) {
	if f.limit == 0 {
		f.limit = recentOf
	}
	var recent []store.Entry
	err := c.Call(ctx, control.OpRecent, control.RecentArgs{Path: t.path, Limit: f.limit}, &recent, control.Sink{})
	if errors.Is(err, store.ErrNoHistory) {
		return nil, nil
	}
	return recent, err
}

// printRecent names each version as other commands take it.
func (a *app) printRecent(recent []store.Entry, t target, arg string) error {
	if a.asJSON {
		if recent == nil {
			recent = []store.Entry{}
		}
		return a.printJSON(recent)
	}
	if len(recent) == 0 {
		a.tell("no versions yet: they are kept from the first save under intact on")
		return nil
	}
	tab := &table{head: []string{"TIME", "SIZE", "FILE@VERSION", "WRITER", "NOTE"}}
	for _, e := range recent {
		rel, err := filepath.Rel("/"+t.path, "/"+e.Path)
		if err != nil {
			return err
		}
		tab.row(colourOf(e), a.timeText(e.Time), sizeText(e), filepath.Join(arg, rel)+"@"+e.Version, writerText(e), noteText(e))
	}
	return a.printTable(tab)
}

// colourOf marks what a person looks for.
func colourOf(e store.Entry) string {
	switch {
	case e.Lost:
		return red
	case e.Removed, e.Invalid:
		return yellow
	}
	return ""
}

func sizeText(e store.Entry) string {
	if e.Removed {
		return "removed"
	}
	return size(e.Size)
}

func (a *app) printLog(log []store.Entry, why bool, summary map[uint64]string) error {
	tab := &table{head: []string{"VERSION", "TIME", "SIZE", "WRITER", "NOTE"}}
	if summary != nil {
		tab.head = append(tab.head, "CHANGES")
	}
	if why {
		tab.head = append(tab.head, "KEPT FOR")
	}
	for i := len(log) - 1; i >= 0; i-- {
		e := log[i]
		row := []string{e.Version, a.timeText(e.Time), sizeText(e), writerText(e), noteText(e)}
		if summary != nil {
			row = append(row, summary[e.Tx])
		}
		if why {
			row = append(row, whyText(e))
		}
		tab.row(colourOf(e), row...)
	}
	return a.printTable(tab)
}

func writerText(e store.Entry) string {
	if e.Writer.Program == "" {
		return "-"
	}
	return fmt.Sprintf("%s[%d]", e.Writer.Program, e.Writer.PID)
}

func noteText(e store.Entry) string {
	notes := []string{}
	if e.Pinned {
		notes = append(notes, "pinned")
	}
	if e.Invalid {
		notes = append(notes, "not valid")
	}
	if e.Lost {
		notes = append(notes, "lost nearly everything")
	}
	if e.Note != "" {
		notes = append(notes, e.Note)
	}
	return strings.Join(notes, ", ")
}

func whyText(e store.Entry) string {
	parts := make([]string, len(e.Why))
	for i, r := range e.Why {
		parts[i] = string(r)
	}
	if len(parts) == 0 {
		return "nothing: goes with the next pruning"
	}
	return strings.Join(parts, ", ")
}

// timeText is a time as it can be typed again.
func (a *app) timeText(t time.Time) string { return t.In(a.zone).Format("2006-01-02 15:04:05") }

// maxSummarized is the largest version that is read for a summary.
const maxSummarized = 4 << 20

// summaries compares each version with the one before.
func summaries(ctx context.Context, c control.Caller, log []store.Entry) map[uint64]string {
	out := map[uint64]string{}
	var before []byte
	for _, e := range log {
		if e.Removed || e.Size > maxSummarized {
			before = nil
			continue
		}
		now, err := fetchVersion(ctx, c, e)
		if err != nil {
			out[e.Tx], before = "damaged", nil
			continue
		}
		if before != nil {
			out[e.Tx] = summary(e.Path, before, now)
		}
		before = now
	}
	return out
}

func summary(path string, before, after []byte) string {
	changes, ok := structural(path, before, after)
	if !ok {
		return "not compared"
	}
	var added, removed, changed int
	for _, ch := range changes {
		switch ch.Type {
		case "add":
			added++
		case "remove":
			removed++
		default:
			changed++
		}
	}
	return fmt.Sprintf("+%d -%d ~%d", added, removed, changed)
}
