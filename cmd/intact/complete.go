package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"intactfs/control"
)

// completePatience is how long a completion may take: a shell waits for it.
const completePatience = 2 * time.Second

// maxCompletions is how many names are offered.
const maxCompletions = 200

// completeFiles offers the names that the shell knows and, when they are no
// more, those that history knows.
func (a *app) completeFiles(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.historyNames(c.Context(), typed), cobra.ShellCompDirectiveDefault
}

// completeVersions offers versions after an @, before it files.
func (a *app) completeVersions(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	file, _, found := strings.Cut(typed, "@")
	if !found {
		return a.historyNames(c.Context(), typed), cobra.ShellCompDirectiveDefault | cobra.ShellCompDirectiveNoSpace
	}
	return a.versionNames(c.Context(), file, file+"@"), cobra.ShellCompDirectiveNoFileComp
}

// completeDiff offers a file, then versions of it.
func (a *app) completeDiff(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeFiles(c, args, typed)
	}
	return a.versionNames(c.Context(), args[0], ""), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeRejected(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	known := a.quietly(c.Context(), ".", func(ctx context.Context, t target, c control.Caller) error {
		list, err := rejectedBelow(ctx, c, t.path)
		for _, r := range list {
			ids = append(ids, r.ID+"\t"+r.Reason)
		}
		return err
	})
	if !known {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return ids, cobra.ShellCompDirectiveDefault
}

// versionNames are the versions of a file with when they were made.
func (a *app) versionNames(ctx context.Context, file, prefix string) []string {
	var names []string
	known := a.quietly(ctx, file, func(ctx context.Context, t target, c control.Caller) error {
		log, err := versions(ctx, c, t.path)
		for i := len(log) - 1; i >= 0 && len(names) < maxCompletions; i-- {
			if e := log[i]; !e.Removed {
				names = append(names, prefix+e.Version+"\t"+a.timeText(e.Time)+" "+size(e.Size))
			}
		}
		return err
	})
	if !known {
		return nil
	}
	return names
}

// historyNames are the files with history that begin as typed, as the user
// would type them on.
func (a *app) historyNames(ctx context.Context, typed string) []string {
	dir, _ := filepath.Split(typed)
	at := dir
	if at == "" {
		at = "."
	}
	var names []string
	known := a.quietly(ctx, at, func(ctx context.Context, t target, c control.Caller) error {
		prefix := filepath.Join(t.path, typed[len(dir):])
		if typed == dir && t.path != "" {
			prefix = t.path + "/"
		}
		var paths []string
		err := c.Call(ctx, control.OpPaths, control.PathsArgs{Prefix: strings.TrimPrefix(prefix, "./"), Limit: maxCompletions}, &paths, control.Sink{})
		for _, p := range paths {
			if rel, relErr := filepath.Rel("/"+t.path, "/"+p); relErr == nil {
				names = append(names, dir+rel)
			}
		}
		return err
	})
	if !known {
		return nil
	}
	return names
}

// quietly runs f on a session and tells whether it came to its end in time; a
// completion that did not offers nothing.
func (a *app) quietly(ctx context.Context, arg string, f func(context.Context, target, control.Caller) error) bool {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completePatience)
	defer cancel()
	return a.with(ctx, arg, toRead, func(t target, c control.Caller) error { return f(ctx, t, c) }) == nil
}
