package document

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"intactfs/validate"
)

// maxComplaint is how much of what a command prints is kept, in bytes.
const maxComplaint = 4 << 10

// Exec returns the judge that runs a command with the document on its standard
// input: exit status 0 says that it is valid, and the first line that it prints
// to standard error, or else to standard output, why it is not. A command that
// can't be run, is killed, or takes longer than the limit finds nothing valid:
// what it should have judged must not pass unseen. It runs in / in a process
// group of its own, which is killed with it, with PATH and INTACT_PATH in its
// environment, the latter being the path that is judged.
func Exec(command []string, limit time.Duration, search, path string) Judge {
	return func(content []byte) *validate.Error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir, cmd.Env = "/", []string{"PATH=" + search, "INTACT_PATH=" + path, "LC_ALL=C.UTF-8"}
		cmd.Stdin = bytes.NewReader(content)
		var out, complaint head
		cmd.Stdout, cmd.Stderr = &out, &complaint
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return at(content, 0, fmt.Sprintf("%s gave no answer within %v", command[0], limit))
		case errors.As(err, &exit) && exit.Exited():
			return at(content, 0, command[0]+": "+firstLine(complaint.text, out.text, exit.String()))
		}
		return at(content, 0, "it can't be judged: "+err.Error())
	}
}

// firstLine is the first line that says something.
func firstLine(texts ...string) string {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				return strings.ToValidUTF8(line, "?")
			}
		}
	}
	return ""
}

// head keeps the first bytes that are written.
type head struct{ text string }

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	if room := maxComplaint - len(h.text); room > 0 {
		h.text += string(p[:min(len(p), room)])
	}
	return len(p), nil
}
