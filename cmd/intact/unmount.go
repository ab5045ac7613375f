package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"intactfs/control"
)

// endPatience is how long a daemon may take to write what is pending.
const endPatience = 2 * time.Minute

func (a *app) unmountCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:     "unmount PATH",
		Aliases: []string{"umount"},
		Short:   "bring everything to its place, and unmount",
		Long: `Unmount publishes what is pending and takes the mount away. PATH is the mount
point or the directory. It fails while programs use the mount, and names them.
A dead mount that a crash left is cleared. --force also takes a mount away whose
daemon hangs.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := findMount(args[0])
			if err != nil {
				return err
			}
			return a.unmount(c.Context(), m, force)
		},
		ValidArgsFunction: completeMounts,
	}
	c.Flags().BoolVar(&force, "force", false, "take the mount away from programs that use it")
	return c
}

// findMount is the mount at a path, or that of the directory at a path.
func findMount(arg string) (mounted, error) {
	abs, mounts, err := absolute(arg)
	if err != nil {
		return mounted{}, err
	}
	if m, ok := mountOf(mounts, abs); ok && m.point == abs {
		return m, nil
	}
	for _, m := range mounts {
		if m.dir == abs {
			return m, nil
		}
	}
	return mounted{}, hint(fmt.Errorf("%s is not mounted with intact", abs), "intact status lists what is")
}

// unmount asks the daemon, and waits for its end.
func (a *app) unmount(ctx context.Context, m mounted, force bool) error {
	err := a.askToStop(ctx, m, force)
	switch {
	case isDead(err):
		a.tell("cleared a dead mount at %s", m.point)
		return m.detach()
	case errors.Is(err, control.ErrSilent) && force:
		a.tell("warning: %v: it is cut off", err)
		return m.cutOff()
	case errors.Is(err, control.ErrNoDaemon):
		err = m.unmount() // the socket was removed, the daemon lives
		if errors.Is(err, unix.EBUSY) && force {
			err = m.detach()
		}
	}
	if errors.Is(err, control.ErrBusy) || errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%s is in use", m.point)
		if who := holders(m); len(who) > 0 {
			return hint(err, "%s", describe(who))
		}
		return hint(err, "end the programs that use it, or use --force")
	}
	if err != nil {
		return err
	}
	return explainBeneath(m, waitLock(ctx, m.dir, endPatience))
}

// explainBeneath tells what an error means that came once the mount was gone:
// the directory beneath may have failed while it was mounted.
func explainBeneath(m mounted, err error) error {
	if err == nil || !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EUCLEAN) && !errors.Is(err, unix.ESHUTDOWN) {
		return err
	}
	return hint(fmt.Errorf("%s is unmounted, but the file system beneath it has failed: %w", m.point, err),
		"mend that file system and mount it again; then intact recover %s brings to its place what the journal has", m.dir)
}

func (a *app) askToStop(ctx context.Context, m mounted, force bool) error {
	c, err := a.reach(ctx, m)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	err = c.Call(ctx, control.OpCheckpoint, nil, nil, control.Sink{})
	if err != nil {
		a.tell("warning: what is pending stays in the journal: %v", err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The answer may come yet, and must not be taken for one to what follows.
		again, err := a.reach(ctx, m)
		if err != nil {
			return err
		}
		defer func() { _ = again.Close() }()
		c = again
	}
	return c.Call(ctx, control.OpStop, control.StopArgs{Force: force}, nil, control.Sink{})
}

// completeMounts completes mount points.
func completeMounts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	mounts, err := intactMounts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var points []string
	for _, m := range mounts {
		points = append(points, m.point)
	}
	return points, cobra.ShellCompDirectiveNoFileComp
}
