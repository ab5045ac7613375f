package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestWaitQuiet(t *testing.T) {
	idle := exec.Command("sleep", "60")
	if err := idle.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = idle.Process.Kill(); _ = idle.Wait() })
	if err := waitQuiet(context.Background(), idle.Process.Pid, 50*time.Millisecond, time.Minute); err != nil {
		t.Errorf("an idle process: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := waitQuiet(ended, idle.Process.Pid, time.Hour, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("when the run was ended: %v", err)
	}
	if err := waitQuiet(context.Background(), 1<<30, time.Millisecond, time.Minute); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
}

func TestProcessorTimeGrows(t *testing.T) {
	before, err := processorTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if now, err := processorTime(os.Getpid()); err != nil || now > before {
			return
		}
	}
	t.Error("a busy process uses no processor time")
}
