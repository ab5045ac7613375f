package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"intactfs/control"
	"intactfs/store"
)

func (a *app) runCommand() *cobra.Command {
	var f mountFlags
	var noVerify bool
	c := &cobra.Command{
		Use:   "run [flags] DIR -- CMD [ARG...]",
		Short: "mount over a directory, run a command, unmount and verify",
		Long: `Run mounts over DIR, runs CMD with what it is given as input and output,
unmounts and verifies. It exits with the status of CMD, or with its own if
something is wrong with the directory afterwards.`,
		Example: "  intact run data -- ./app --state data/state.json",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 || c.ArgsLenAtDash() > 1 {
				return errors.New("run needs a directory and a command: intact run DIR -- CMD")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.run(args[0], args[1:], &f, !noVerify)
		},
		ValidArgsFunction: completeDirs,
	}
	c.Flags().BoolVar(&noVerify, "no-verify", false, "skip the verification at the end")
	f.register(c.Flags())
	return c
}

// run lives by the command, not by the signals of its caller: a Ctrl-C reaches
// the command too, and what comes after it has to be done all the same.
func (a *app) run(dirArg string, argv []string, f *mountFlags, verify bool) error {
	ctx := context.Background()
	dir, point, err := a.preflight(dirArg, dirArg)
	if err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	daemon, err := a.startDaemon(ctx, dir, point, f)
	if err != nil {
		return err
	}
	status := a.runCommandIn(cwd, argv)
	err = a.endRun(ctx, point, daemon)
	if err == nil && verify {
		err = a.verify(ctx, dir, false)
	}
	if err != nil {
		return settled{err}
	}
	return status
}

// runCommandIn runs the command in the directory of that name, which may be
// inside the mount by now, and returns its exit status as an error.
func (a *app) runCommandIn(cwd string, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = a.stdin, a.stdout, a.stderr, cwd
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return hint(fmt.Errorf("run %s: %w", argv[0], err), "the command follows --: intact run DIR -- CMD")
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				// The terminal sends an interrupt to both.
				if s != unix.SIGINT {
					_ = cmd.Process.Signal(s)
				}
			case <-done:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(done)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitStatus(128 + int(ws.Signal()))
	}
	return exitStatus(exit.ExitCode())
}

// endRun unmounts; children of the command that still use the mount lose it.
func (a *app) endRun(ctx context.Context, point string, daemon *exec.Cmd) error {
	m, err := findMount(point)
	if err != nil {
		_ = daemon.Process.Signal(unix.SIGTERM) // it may live all the same
		return errors.Join(err, daemon.Wait())
	}
	c, err := a.reach(ctx, m)
	if err == nil {
		err = c.Close()
	}
	switch {
	case isDead(err):
		err = errors.Join(fmt.Errorf("the daemon died: %w", store.ErrDamaged), m.detach())
	case errors.Is(err, control.ErrSilent):
		err = hint(fmt.Errorf("%w: it is killed", err), "intact recover %s brings to its place what was saved", m.dir)
		err = errors.Join(err, m.cutOff(), daemon.Process.Kill())
		_ = daemon.Wait() // it was killed
		return err
	default:
		if err = a.unmount(ctx, m, false); err != nil {
			a.tell("warning: %v: it is taken from them", err)
			err = a.unmount(ctx, m, true)
		}
	}
	return errors.Join(err, daemon.Wait())
}
