package main

import (
	"archive/tar"
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

func (a *app) exportCommand() *cobra.Command {
	var at, tarName, dir string
	c := &cobra.Command{
		Use:   "export --at TIME PATH (--tar FILE | --dir DIR)",
		Short: "copy what was there at a time",
		Long: `Export writes the versions that PATH, and all below it, had at a time into a
directory or a tar archive; --tar - is standard output. Files that were never
saved under intact have no versions, and are not in it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			if (tarName == "") == (dir == "") || at == "" {
				return usageError{errors.New("export needs --at, and either --tar or --dir")}
			}
			when, err := parseTime(at, a.now(), a.zone)
			if err != nil {
				return usageError{err}
			}
			return a.with(ctx, args[0], toRead, func(t target, c control.Caller) error {
				entries, err := a.choose(ctx, c, t.path, "", when)
				if err != nil {
					return err
				}
				if dir != "" {
					return a.exportDir(ctx, c, entries, dir)
				}
				return a.exportTar(ctx, c, entries, tarName)
			})
		},
		ValidArgsFunction: completeDirs,
	}
	c.Flags().StringVar(&at, "at", "", "the time")
	c.Flags().StringVar(&tarName, "tar", "", "write a tar archive")
	c.Flags().StringVar(&dir, "dir", "", "write into a directory")
	return c
}

func (a *app) exportDir(ctx context.Context, c control.Caller, entries []store.Entry, dir string) error {
	bar := a.newProgress("exporting")
	defer bar.end()
	for i, e := range entries {
		to := filepath.Join(dir, filepath.FromSlash(e.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := writeVersion(ctx, c, e, to); err != nil {
			return err
		}
		bar.at(int64(i+1), int64(len(entries)))
	}
	a.tell("exported %s", count(len(entries), "file"))
	return nil
}

func (a *app) exportTar(ctx context.Context, c control.Caller, entries []store.Entry, name string) (err error) {
	w := a.stdout
	if name != "-" {
		f, createErr := os.Create(name)
		if createErr != nil {
			return createErr
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = f
	}
	t := tar.NewWriter(w)
	for _, e := range entries {
		if err := tarEntry(ctx, c, t, e); err != nil {
			return fmt.Errorf("export %s: %w", e.Path, err)
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	a.tell("exported %s", count(len(entries), "file"))
	return nil
}

func tarEntry(ctx context.Context, c control.Caller, t *tar.Writer, e store.Entry) error {
	err := t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: e.Path, Size: e.Size, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID),
		ModTime: e.Mtime.Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	return copyVersion(ctx, c, e, io.Writer(t))
}
