package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"intactfs/store"
)

func TestReady(t *testing.T) {
	tests := []struct {
		name, text string
		code       int
		hint       string
	}{
		{"serving", `{"code":0}`, 0, ""},
		{"read-only", `{"code":0,"warning":"mounted read-only"}`, 0, ""},
		{"refused", `{"code":4,"message":"no","hint":"do"}`, 4, "do"},
		{"damaged", `{"code":5,"message":"no"}`, 5, ""},
		{"died", ``, 1, "intact mount -f shows why"},
		{"garbage", `panic: x`, 1, "intact mount -f shows why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			warning, err := readReady(strings.NewReader(tt.text))
			if want := strings.Contains(tt.text, "warning"); (warning != "") != want {
				t.Errorf("warning is %q, want %v", warning, want)
			}
			if got := exitCode(err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if got := hintFor(err); err != nil && got != tt.hint {
				t.Errorf("hint is %q, want %q", got, tt.hint)
			}
		})
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	readyPipe{w}.failed(hint(refused{errors.New("no")}, "do"))
	if _, err := readReady(r); exitCode(err) != exitRefused || hintFor(err) != "do" {
		t.Errorf("through the pipe it is %v, %d", err, exitCode(err))
	}
	openReady(0).serving("") // nobody waits: nothing happens
}

func TestWaitLock(t *testing.T) {
	dir := t.TempDir()
	if err := waitLock(context.Background(), dir, time.Second); err != nil {
		t.Errorf("without a lock: %v", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	s, err := store.Open(d, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := waitLock(context.Background(), dir, 20*time.Millisecond); err == nil {
		t.Error("a lock that is held is not waited for")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := waitLock(ctx, dir, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := waitLock(context.Background(), dir, time.Minute); err != nil {
		t.Errorf("after the close: %v", err)
	}
}
