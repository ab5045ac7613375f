package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

// mountStatus is one mount in the output of status --json.
type mountStatus struct {
	Dir   string                `json:"dir"`
	Mount string                `json:"mount"`
	State string                `json:"state"` // serving, dead, unreachable, not mounted
	Error string                `json:"error,omitempty"`
	Info  *control.StatusResult `json:"status,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [DIR]",
		Short: "how the mounts do, and what was refused lately",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.statusOf(c.Context(), args[0])
			}
			return a.statusOfAll(c.Context())
		},
		ValidArgsFunction: completeDirs,
	}
	return a.withJSON(c)
}

func (a *app) statusOfAll(ctx context.Context) error {
	mounts, err := intactMounts()
	if err != nil {
		return err
	}
	list := make([]mountStatus, len(mounts))
	var wg sync.WaitGroup // one that hangs is waited for once
	for i, m := range mounts {
		wg.Go(func() { list[i] = a.ask(ctx, target{dir: m.dir, mount: &m}) })
	}
	wg.Wait()
	if a.asJSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.tell("nothing is mounted")
	}
	for _, s := range list {
		if err := a.printStatus(s); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) statusOf(ctx context.Context, arg string) error {
	t, err := locate(arg)
	if err != nil {
		return err
	}
	s := a.ask(ctx, t)
	if a.asJSON {
		return a.printJSON(s)
	}
	return a.printStatus(s)
}

func (a *app) ask(ctx context.Context, t target) mountStatus {
	s := mountStatus{Dir: t.dir, State: "not mounted"}
	var c control.Caller
	var err error
	if t.mount == nil {
		c, err = a.openHere(ctx, t, toRead, "status")
	} else {
		s.Mount, s.State = t.mount.point, "unreachable"
		c, err = a.reach(ctx, *t.mount)
	}
	if isDead(err) {
		s.State = "dead"
		return s
	}
	if err == nil {
		var info control.StatusResult
		if err = c.Call(ctx, control.OpStatus, nil, &info, control.Sink{}); err == nil {
			s.Info = &info
			if info.Mount != "" {
				s.State, s.Mount = "serving", info.Mount
			}
		}
		_ = c.Close()
	}
	switch {
	case errors.Is(err, control.ErrSilent):
		s.Error = control.ErrSilent.Error()
	case err != nil:
		s.Error = err.Error()
	}
	return s
}

func (a *app) printStatus(s mountStatus) error {
	where := s.Dir
	if s.Mount != "" && s.Mount != s.Dir {
		where += " on " + s.Mount
	}
	state := s.State
	if s.Error != "" {
		state += ": " + s.Error
	}
	if s.State == "dead" {
		state += ": clear it with intact unmount " + s.Mount
	}
	if err := a.printf("%s: %s\n", a.paint(bold, where), state); err != nil || s.Info == nil {
		return err
	}
	for _, line := range a.statusLines(s.Info) {
		if err := a.printf("  %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) statusLines(info *control.StatusResult) []string {
	st := info.Store
	lines := []string{fmt.Sprintf("%s durability, process %d, since %s", st.Durability, info.PID, a.timeText(st.Since))}
	if info.Mount != "" {
		lines = append(lines, fmt.Sprintf("%s, %d not yet in their place (%s), %s free",
			count(int(st.Commits), "commit"), st.Pending, size(st.PendingB), size(st.Free)))
	} else if st.Pending > 0 {
		lines = append(lines, fmt.Sprintf("%s only in the journal: intact recover, or the next mount, brings them to their place", count(st.Pending, "commit")))
	}
	if st.ReadOnly != "" && info.Mount != "" {
		lines = append(lines, a.paint(red, "read-only: "+st.ReadOnly))
	}
	for _, bad := range []string{st.Stopped, st.Failing} {
		if bad != "" {
			lines = append(lines, a.paint(red, bad))
		}
	}
	for _, path := range st.Unparsed {
		lines = append(lines, a.paint(yellow, path+": never parsed, so only emptiness and killed writers are guarded"))
	}
	lines = append(lines, countsText(st.Counts)...)
	for i := max(0, len(st.Events)-10); i < len(st.Events); i++ {
		e := st.Events[i]
		lines = append(lines, fmt.Sprintf("%s  %s  %s", a.paint(faint, a.timeText(e.Time)), e.Kind, eventText(e)))
	}
	return lines
}

func countsText(counts map[store.Kind]int64) []string {
	var kinds []string
	for k := range counts {
		if k != store.Committed {
			kinds = append(kinds, string(k))
		}
	}
	sort.Strings(kinds)
	var lines []string
	for _, k := range kinds {
		lines = append(lines, fmt.Sprintf("%s: %d", k, counts[store.Kind(k)]))
	}
	return lines
}

func eventText(e store.Event) string {
	text := e.Path
	if e.Line != 0 {
		text += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	text += ": " + e.Message
	if e.Who.Program != "" {
		text += fmt.Sprintf(" (%s, process %d)", e.Who.Program, e.Who.PID)
	}
	return text
}
