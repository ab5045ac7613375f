package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writeDocs writes docs/cli.md: all commands, from the tree itself.
func writeDocs(w io.Writer, root *cobra.Command) error {
	d := &docs{w: w}
	d.printf("# The intact command\n\n%s\n\n", root.Long)
	d.printf("This page is made from the command itself: `go test ./cmd/intact -run Docs -update`.\n\n")
	d.printf("FILE is a path as you see it, whether its directory is mounted or not. VERSION is a\n")
	d.printf("number from `intact log`, a time, or `~1` for the version before the newest. Times are\n")
	d.printf("written as `2026-01-04T12:00:00Z`, `2026-01-04`, `2026-01-04 12:00`, `15:04`,\n")
	d.printf("`yesterday 14:00`, `2h ago` or `3 days ago`.\n\n")
	d.printf("Data goes to standard output, everything else to standard error. An error is a line\n")
	d.printf("that begins with `error:`, often with a line `hint:` that says what to do.\n")
	d.printf("A daemon that hangs is waited for ten seconds, and then that is the error. A signal\n")
	d.printf("ends what only reads within a second; what changes something comes to an end first.\n\n")
	d.printf("## Exit codes\n\n| Code | Meaning |\n|---|---|\n")
	for _, c := range exitCodes {
		d.printf("| %d | %s |\n", c.code, c.meaning)
	}
	d.printf("\n`intact run` exits with the status of its command, 128 and the signal if one killed it.\n")
	for _, c := range root.Commands() {
		d.command(c, 2)
	}
	return d.err
}

// docs writes until the first error.
type docs struct {
	w   io.Writer
	err error
}

func (d *docs) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

func (d *docs) command(c *cobra.Command, level int) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	d.printf("\n%s %s\n\n", strings.Repeat("#", level), c.CommandPath())
	about := c.Long
	if about == "" {
		about = c.Short
	}
	d.printf("%s\n\n```\n%s\n```\n", about, strings.TrimSuffix(c.UseLine(), " [flags]"))
	if c.Example != "" {
		d.printf("\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	var rows []string
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			rows = append(rows, flagRow(f))
		}
	})
	if len(rows) > 0 {
		d.printf("\n| Flag | Meaning |\n|---|---|\n%s\n", strings.Join(rows, "\n"))
	}
	for _, sub := range c.Commands() {
		d.command(sub, level+1)
	}
}

func flagRow(f *pflag.Flag) string {
	name := "`--" + f.Name + "`"
	if f.Shorthand != "" {
		name = "`-" + f.Shorthand + "`, " + name
	}
	usage := f.Usage
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
		usage += " (default `" + f.DefValue + "`)"
	}
	return fmt.Sprintf("| %s | %s |", name, usage)
}
