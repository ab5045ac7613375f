package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What is at rest is measured when the daemon is: it publishes and files in
// history for some seconds after a save, and after a mount over files that it
// has not seen.
const (
	quietFor  = 3 * time.Second
	quietMost = 2 * time.Minute
	quietLoad = 0.03 // of one processor
)

// quiet waits until the daemon has used next to no processor time for a while,
// at most for quietMost.
func (p *place) quiet(ctx context.Context) error {
	return waitQuiet(ctx, p.daemon.Process.Pid, quietFor, quietMost)
}

func waitQuiet(ctx context.Context, pid int, during, most time.Duration) error {
	for end := time.Now().Add(most); time.Now().Before(end); {
		before, err := processorTime(pid)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(during):
		}
		after, err := processorTime(pid)
		if err != nil {
			return err
		}
		if float64(after-before) < quietLoad*float64(during) {
			return nil
		}
	}
	return nil
}

// processorTime is what all threads of a process that still live have used.
func processorTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	total := time.Duration(0)
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		ns, _, _ := strings.Cut(string(text), " ")
		used, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", name, err)
		}
		total += time.Duration(used)
	}
	return total, nil
}
