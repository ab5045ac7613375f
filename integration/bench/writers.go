package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// writerCommand is the first argument of a process that is one writer of a
// load. It says when it is ready, waits for a line, saves, and says so.
const writerCommand = "write-load"

// job is what a writer process is told.
type job struct {
	Dir, How      string
	Writer, Round int
	Size, Saves   int
	Chunk         int
	Shared        bool
}

// serveWriter is the writer process.
func serveWriter(arg string, in io.Reader, out io.Writer) error {
	var j job
	if err := json.Unmarshal([]byte(arg), &j); err != nil {
		return fmt.Errorf("parse job: %w", err)
	}
	if savers[j.How] == nil {
		return fmt.Errorf("no saver %q", j.How)
	}
	lines := bufio.NewReader(in)
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	if _, err := lines.ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the start: %w", err)
	}
	l := load{size: j.Size, saves: j.Saves, chunk: j.Chunk, shared: j.Shared}
	if err := l.saveAll(j.Dir, j.How, j.Writer, j.Round); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "done")
	return err
}

// writerProcess is a started writer.
type writerProcess struct {
	cmd    *exec.Cmd
	start  io.WriteCloser
	lines  *bufio.Reader
	stderr *strings.Builder
}

// runProcesses lets every writer be a process.
func (l load) runProcesses(dir, how string, round int) (time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find own binary: %w", err)
	}
	var all []*writerProcess
	defer func() {
		for _, w := range all {
			_ = w.cmd.Process.Kill() // it has ended unless something failed
			_ = w.cmd.Wait()
		}
	}()
	for i := range l.writers {
		arg, err := json.Marshal(job{dir, how, i, round, l.size, l.saves, l.chunk, l.shared})
		if err != nil {
			return 0, fmt.Errorf("encode job: %w", err)
		}
		w, err := startWriter(self, string(arg))
		if err != nil {
			return 0, err
		}
		all = append(all, w)
	}
	if err := expect(all, "ready"); err != nil {
		return 0, err
	}
	return timed(l.writers*l.saves, func() error {
		for _, w := range all {
			if _, err := io.WriteString(w.start, "go\n"); err != nil {
				return fmt.Errorf("start writer: %w", err)
			}
		}
		return expect(all, "done")
	})
}

func startWriter(self, arg string) (*writerProcess, error) {
	w := &writerProcess{cmd: exec.Command(self, writerCommand, arg), stderr: &strings.Builder{}}
	w.cmd.Stderr = w.stderr
	w.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if w.start, err = w.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("writer's input: %w", err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("writer's output: %w", err)
	}
	w.lines = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start writer: %w", err)
	}
	return w, nil
}

// expect reads the line from every writer.
func expect(all []*writerProcess, want string) error {
	var errs []error
	for i, w := range all {
		line, err := w.lines.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != want {
			_ = w.cmd.Wait() // its words are what matters
			errs = append(errs, fmt.Errorf("writer %d did not say %q: %s", i, want, strings.TrimSpace(w.stderr.String())))
		}
	}
	return errors.Join(errs...)
}
