// Command intact keeps the state files of programs whole. It mounts a file
// system over a directory, and looks after the history that this makes.
package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		now: time.Now, zone: time.Local, silent: silentAfter, patience: callPatience,
		color:    term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "",
		terminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	code := a.main(ctx, os.Args)
	stop()
	os.Exit(code)
}
