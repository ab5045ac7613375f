package main

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"

	"intactfs/control"
	"intactfs/store"
)

// The exit codes. They are an interface: docs/cli.md lists them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 3 // 2 is what Go's panics exit with
	exitRefused     = 4
	exitDamaged     = 5
	exitInvalid     = 6
	exitInterrupted = 130
)

// exitCodes feeds help and docs.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitDone, "done; with verify: every byte is what was last committed"},
	{exitFailed, "failed"},
	{exitUsage, "wrong usage, or a mistake in config.toml when it is not a mount"},
	{exitRefused, "mount refused, whatever the reason"},
	{exitDamaged, "journal or history damaged"},
	{exitInvalid, "invalid content, or verification failed"},
	{exitInterrupted, "interrupted"},
}

// usageError: the command line is wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// refused: the mount can't be made.
type refused struct{ error }

func (e refused) Unwrap() error { return e.error }

// invalid: content is not what it should be.
type invalid struct{ error }

func (e invalid) Unwrap() error { return e.error }

// interrupted: a signal ended the command.
type interrupted struct{ error }

func (e interrupted) Unwrap() error { return e.error }

// exitStatus is the exit of a command that intact ran; it was told already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

func hint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var (
		status exitStatus
		config *store.ConfigError
		remote relayed
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &remote):
		return remote.Code
	case errors.As(err, new(interrupted)):
		return exitInterrupted
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.Is(err, store.ErrDamaged):
		return exitDamaged
	case errors.As(err, new(refused)):
		return exitRefused
	case errors.As(err, &config):
		return exitUsage
	case errors.As(err, new(invalid)):
		return exitInvalid
	}
	return exitFailed
}

// report tells the error and returns the exit code.
func (a *app) report(err error) int {
	code := exitCode(err)
	var status exitStatus
	if err == nil || errors.As(err, &status) {
		return code
	}
	writeError(a.stderr, err)
	return code
}

// writeError writes the error line and, where there is something to do about
// it, the hint line.
func writeError(w io.Writer, err error) {
	message := strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.As(err, new(interrupted)) {
		message = "interrupted"
	}
	_, _ = fmt.Fprintf(w, "error: %s\n", message)
	if h := hintFor(err); h != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", h)
	}
}

// seeHelp is the hint for a command line that is wrong, where nobody knows
// more.
const seeHelp = "see intact --help"

// hintFor is the hint that an error brings, or the one for its kind.
func hintFor(err error) string {
	var h hinted
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, new(interrupted)):
		return ""
	case errors.As(err, new(usageError)):
		return seeHelp
	case errors.Is(err, store.ErrFormat):
		return "use the version of intact that made it, or move .intact away"
	case errors.Is(err, store.ErrUninitialized):
		return "intact mount DIR begins to keep its versions"
	case errors.Is(err, store.ErrNoHistory):
		return "versions are kept from the first save under intact on"
	case errors.Is(err, store.ErrNoVersion):
		return "intact log FILE lists the versions"
	case errors.Is(err, store.ErrNotRejected):
		return "intact rejected list names what is there"
	case errors.Is(err, store.ErrLocked):
		return "wait for it, or unmount the directory"
	case errors.Is(err, control.ErrSilent):
		return "intact unmount --force takes the mount away; what was not saved yet is lost"
	case errors.Is(err, control.ErrGone):
		return "intact status tells how it is; if it was killed, intact mount again recovers"
	case errors.Is(err, control.ErrUnknownOp):
		return "the daemon is another version of intact: unmount and mount again"
	case errors.Is(err, iofs.ErrPermission):
		return "run it as the user who mounted the directory, or as root"
	}
	return ""
}
