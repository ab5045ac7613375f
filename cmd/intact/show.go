package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"intactfs/control"
	"intactfs/store"
)

func (a *app) showCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show FILE[@VERSION]",
		Short: "print a version of a file",
		Long: `Show prints a version of a file, the present one without VERSION. A version is a
number from intact log, a time, or ~1 for the one before. With --json it
prints what is known of the version instead of its content.`,
		Example: "  intact show state.json@~1\n  intact show 'state.json@yesterday 14:00' | jq .",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			file, version := a.splitVersion(args[0])
			return a.with(ctx, file, toRead, func(t target, c control.Caller) error {
				if version == "" {
					version = "~0"
				}
				e, err := a.pickVersion(ctx, c, t.path, version)
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(e)
				}
				return copyVersion(ctx, c, e, a.stdout)
			})
		},
		ValidArgsFunction: a.completeVersions,
	}
	return a.withJSON(c)
}

// pickVersion finds a version by what the user typed.
func (a *app) pickVersion(ctx context.Context, c control.Caller, path, text string) (store.Entry, error) {
	spec, err := a.parseVersion(text)
	if err != nil {
		return store.Entry{}, usageError{err}
	}
	log, err := versions(ctx, c, path)
	if err != nil {
		return store.Entry{}, err
	}
	e, err := spec.pick(log)
	if err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// copyVersion writes the content of a version to w.
func copyVersion(ctx context.Context, c control.Caller, e store.Entry, w io.Writer) error {
	return c.Call(ctx, control.OpShow, control.VersionArgs{Path: e.Path, Tx: e.Tx}, nil, toWriter(w))
}

// fetchVersion is the content of a version.
func fetchVersion(ctx context.Context, c control.Caller, e store.Entry) ([]byte, error) {
	var b bytes.Buffer
	err := copyVersion(ctx, c, e, &b)
	return b.Bytes(), err
}

// toWriter takes content to w.
func toWriter(w io.Writer) control.Sink {
	return control.Sink{Content: func(p []byte) error {
		_, err := w.Write(p)
		return err
	}}
}
