package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is what commands share: where they read and print, what time it is.
type app struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	now      func() time.Time
	zone     *time.Location
	silent   time.Duration // how long a daemon may take for the least of answers
	patience time.Duration // how long it may be silent within a call
	color    bool          // stdout takes colours
	terminal bool          // stderr is a terminal

	asJSON bool // --json
	began  bool // a command was found and its flags are right
}

// main runs one command line and returns the exit code.
func (a *app) main(ctx context.Context, argv []string) int {
	args := argv[1:]
	root := a.root()
	isCommand := func(name string) bool {
		c, _, err := root.Find([]string{name})
		return err == nil && c != root
	}
	if helper, ok := mountHelperArgs(argv, isCommand); ok {
		args = helper
	}
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	c, err := root.ExecuteContextC(ctx)
	if err != nil && !a.began {
		err = usageError{err}
	}
	if err != nil && hintFor(err) == seeHelp {
		err = hint(err, "see %s --help", c.CommandPath())
	}
	if err != nil && ctx.Err() != nil && !errors.As(err, new(settled)) {
		err = interrupted{err}
	}
	return a.report(err)
}

// root is the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "intact",
		Short: "keep the state files of programs whole",
		Long: `intact mounts a file system over a directory. Programs that save their state
in place, as most do, then replace it in one step: nobody ever sees a half
file, what is not valid never replaces what is, and every version is kept.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRun:  func(*cobra.Command, []string) { a.began = true },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "tell about a command",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q", strings.Join(args, " "))
			}
			if err != nil {
				return usageError{err}
			}
			return c.Help()
		},
	})
	root.AddGroup(
		&cobra.Group{ID: "serve", Title: "Serving a directory:"},
		&cobra.Group{ID: "history", Title: "History:"},
		&cobra.Group{ID: "care", Title: "Care:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("serve", a.mountCommand(), a.unmountCommand(), a.runCommand(), a.statusCommand())
	add("history", a.logCommand(), a.showCommand(), a.diffCommand(), a.restoreCommand(),
		a.exportCommand(), a.pinCommand(), a.pruneCommand())
	add("care", a.verifyCommand(), a.recoverCommand(), a.rejectedCommand(), a.salvageCommand())
	root.AddCommand(a.versionCommand())
	root.Args = cobra.NoArgs
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return root
}

// withJSON gives a command the --json flag.
func (a *app) withJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.asJSON, "json", false, "print JSON")
	return c
}

// printf writes data: what the command was asked for.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// tell writes to the person who typed the command.
func (a *app) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
}

// printJSON writes v as the only output of a command.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printResult writes v with --json, and else what the format makes of args.
func (a *app) printResult(v any, format string, args ...any) error {
	if a.asJSON {
		return a.printJSON(v)
	}
	return a.printf(format, args...)
}

// contentOut is where a content goes: with --json only what is known of it is
// wanted.
func (a *app) contentOut() io.Writer {
	if a.asJSON {
		return io.Discard
	}
	return a.stdout
}

// paint colours a text, where that is wanted.
func (a *app) paint(code, text string) string {
	if !a.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// The colours.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
	bold   = "1"
)
