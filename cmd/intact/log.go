package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

func (a *app) logCommand() *cobra.Command {
	var why, changes bool
	c := &cobra.Command{
		Use:   "log FILE",
		Short: "list the versions of a file, the newest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			return a.with(ctx, args[0], toRead, func(t target, c control.Caller) error {
				log, err := versions(ctx, c, t.path)
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(log)
				}
				var summary map[uint64]string
				if changes {
					summary = summaries(ctx, c, log)
				}
				return a.printLog(log, why, summary)
			})
		},
		ValidArgsFunction: a.completeFiles,
	}
	c.Flags().BoolVar(&why, "why", false, "show why each version is kept")
	c.Flags().BoolVar(&changes, "changes", false, "show how many keys each version added, removed and changed")
	return a.withJSON(c)
}

func (a *app) printLog(log []store.Entry, why bool, summary map[uint64]string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	columns := []string{"VERSION", "TIME", "SIZE", "WRITER", "NOTE"}
	if summary != nil {
		columns = append(columns, "CHANGES")
	}
	if why {
		columns = append(columns, "KEPT FOR")
	}
	_, _ = fmt.Fprintln(w, strings.Join(columns, "\t"))
	for i := len(log) - 1; i >= 0; i-- {
		e := log[i]
		bytes := size(e.Size)
		if e.Removed {
			bytes = "removed"
		}
		row := []string{e.Version, a.timeText(e.Time), bytes, writerText(e), noteText(e)}
		if summary != nil {
			row = append(row, summary[e.Tx])
		}
		if why {
			row = append(row, whyText(e))
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
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
