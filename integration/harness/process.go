package harness

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Cmd is a command to run in a process group of its own.
type Cmd struct {
	Args    []string
	Dir     string
	Env     []string // added to the test's own
	Stdin   string
	Timeout time.Duration // 0: Patience
	// NewTerminal gives the program no controlling terminal to ask.
	NewTerminal bool
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // -1 when it died by a signal or timed out
	Signal         syscall.Signal
	TimedOut       bool
}

// Proc is a command that runs.
type Proc struct {
	cmd    *exec.Cmd
	out    safeBuffer
	errs   safeBuffer
	done   chan struct{}
	result Result // valid after done
}

// safeBuffer is a bytes.Buffer that is read while a process writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// starts runs every fork on one thread that lives as long as the test
// process: a parent's death signal is sent when the thread ends, not the
// process.
var starts = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// Start runs the command in the background. The process and its group are
// killed at the end of the test.
func (c Cmd) Start(t testing.TB) *Proc {
	t.Helper()
	p := &Proc{cmd: exec.Command(c.Args[0], c.Args[1:]...), done: make(chan struct{})}
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	if c.Stdin != "" {
		p.cmd.Stdin = strings.NewReader(c.Stdin)
	}
	// A child that outlives the program must not keep us reading its output.
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.NewTerminal {
		p.cmd.SysProcAttr.Setsid = true
	} else {
		p.cmd.SysProcAttr.Setpgid = true
	}
	started := make(chan error)
	starts() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", c.Args[0], err)
	}
	go p.wait()
	t.Cleanup(func() {
		// The id of a group that has ended may belong to somebody else.
		if !p.Exited() {
			p.KillGroup()
		}
	})
	return p
}

func (p *Proc) wait() {
	err := p.cmd.Wait()
	p.result.Code = p.cmd.ProcessState.ExitCode()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		p.result.Signal = status.Signal()
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) && !errors.Is(err, exec.ErrWaitDelay) {
		_, _ = p.errs.Write([]byte("wait: " + err.Error()))
	}
	close(p.done)
}

// Run runs the command to its end. A command that is still there after its
// timeout fails the test and is killed.
func (c Cmd) Run(t testing.TB) Result {
	t.Helper()
	return c.Start(t).Wait(t, c.Timeout)
}

// Run runs a program with arguments to its end.
func Run(t testing.TB, args ...string) Result {
	t.Helper()
	return Cmd{Args: args}.Run(t)
}

// Must runs a program that has to exit with 0, and returns what it printed.
func Must(t testing.TB, args ...string) string {
	t.Helper()
	r := Run(t, args...)
	if r.Code != 0 {
		t.Fatalf("%s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Wait returns how the process ended; 0 waits for Patience.
func (p *Proc) Wait(t testing.TB, timeout time.Duration) Result {
	t.Helper()
	if timeout == 0 {
		timeout = Patience
	}
	select {
	case <-p.done:
	case <-time.After(timeout):
		t.Errorf("%s still runs after %v\n%s%s", p.name(), timeout, p.out.String(), p.errs.String())
		p.KillGroup()
		return Result{Stdout: p.out.String(), Stderr: p.errs.String(), Code: -1, TimedOut: true}
	}
	r := p.result
	r.Stdout, r.Stderr = p.out.String(), p.errs.String()
	return r
}

// Exited reports whether the process has ended.
func (p *Proc) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// PID is the process id, which is its group's, too.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone.
func (p *Proc) Signal(s syscall.Signal) {
	if !p.Exited() {
		_ = p.cmd.Process.Signal(s)
	}
}

// KillGroup kills the process and what it started, and waits a while for it.
// Call it on a process that runs, or has just ended.
func (p *Proc) KillGroup() {
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second): // blocked in a system call of a dead mount
	}
}

// Stdout is what the process has printed so far.
func (p *Proc) Stdout() string { return p.out.String() }

// Stderr is what the process has complained about so far.
func (p *Proc) Stderr() string { return p.errs.String() }

func (p *Proc) name() string { return filepath.Base(p.cmd.Path) }
