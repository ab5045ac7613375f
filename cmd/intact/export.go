package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

func (a *app) exportCommand() *cobra.Command {
	var at, tarName, dir string
	c := &cobra.Command{
		Use:   "export --at TIME PATH (--tar FILE | --dir DIR)",
		Short: "copy what was there at a time",
		Long: `Export writes the versions that PATH, and all below it, had at a time into a
directory or a tar archive; --tar - is standard output. Files that were never
saved under intact have no versions, and are not in it. Versions that are
damaged are named and left out.`,
		Example: "  intact export --at yesterday data --dir /tmp/yesterday\n  intact export --at '2h ago' data --tar - | ssh elsewhere tar x",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (tarName == "") == (dir == "") || at == "" {
				return usageError{errors.New("export needs --at, and either --tar or --dir")}
			}
			when, err := parseTime(at, a.now(), a.zone)
			if err != nil {
				return usageError{err}
			}
			if to := dir + tarName; to != "-" {
				if err := a.answers(c.Context(), to); err != nil {
					return err
				}
			}
			return a.with(c.Context(), args[0], toRead, func(t target, c2 control.Caller) error {
				e := exporting{a, c2, t, when}
				if dir != "" {
					return e.toDir(c.Context(), dir)
				}
				return e.toTar(c.Context(), tarName)
			})
		},
		ValidArgsFunction: completeDirs,
	}
	c.Flags().StringVar(&at, "at", "", "the time")
	c.Flags().StringVar(&tarName, "tar", "", "write a tar archive")
	c.Flags().StringVar(&dir, "dir", "", "write into a directory")
	return c
}

// exporting is one run of export.
type exporting struct {
	a  *app
	c  control.Caller
	t  target
	at time.Time
}

// archive writes the tar archive to w and tells what was left out of it.
func (e exporting) archive(ctx context.Context, w io.Writer) (control.Exported, error) {
	bar := e.a.newProgress("exporting")
	defer bar.end()
	sink := toWriter(w)
	sink.Progress = bar.at
	var done control.Exported
	err := e.c.Call(ctx, control.OpExport, control.AtArgs{Path: e.t.path, Time: e.at}, &done, sink)
	if errors.Is(err, store.ErrNoVersion) {
		err = fmt.Errorf("%s: %w at %s", display(e.t.path), store.ErrNoVersion, e.a.timeText(e.at))
	}
	return done, err
}

func (e exporting) toDir(ctx context.Context, dir string) error {
	r, w := io.Pipe()
	var done control.Exported
	sent := make(chan error, 1)
	go func() {
		var err error
		done, err = e.archive(ctx, w)
		_ = w.CloseWithError(err) // which returns nil
		sent <- err
	}()
	err := unpack(r, dir)
	_ = r.CloseWithError(err)
	if sendErr := <-sent; err == nil {
		err = sendErr // else it has the other as its cause
	}
	if err != nil {
		return err
	}
	return e.tell(done)
}

// toTar leaves no half archive behind.
func (e exporting) toTar(ctx context.Context, name string) error {
	if name == "-" {
		done, err := e.archive(ctx, e.a.stdout)
		return errors.Join(err, e.tell(done))
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	done, err := e.archive(ctx, f)
	if err = errors.Join(err, f.Close()); err == nil {
		return e.tell(done)
	}
	if st, statErr := os.Lstat(name); statErr == nil && st.Mode().IsRegular() {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// tell says what was exported, and makes an error of what was not.
func (e exporting) tell(done control.Exported) error {
	var failed error
	for _, f := range done.Failed {
		failed = errors.Join(failed, fmt.Errorf("%s: %w", f.Path, f.Error))
	}
	e.a.tell("exported %s", count(done.Files, "file"))
	return failed
}
