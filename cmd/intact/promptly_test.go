package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"intactfs/control"
)

func TestPromptly(t *testing.T) {
	failed := errors.New("failed")
	interrupted, interrupt := context.WithCancel(context.Background())
	interrupt()
	never := make(chan struct{})
	for _, tt := range []struct {
		name string
		ctx  context.Context
		f    func() error
		want error
	}{
		{"done", context.Background(), func() error { return nil }, nil},
		{"fails", context.Background(), func() error { return failed }, failed},
		{"ends-by-itself", interrupted, func() error { return failed }, failed},
		{"computes-on", interrupted, func() error { <-never; return nil }, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := promptly(tt.ctx, tt.f); !errors.Is(got, tt.want) || tt.want == nil && got != nil {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestWhatReadsIsGivenUp: a signal ends a command in the middle of what knows
// nothing of signals, unless it changes something.
func TestWhatReadsIsGivenUp(t *testing.T) {
	dir, _ := lookedAfter(t)
	ctx, interrupt := context.WithCancel(context.Background())
	began, release, written := make(chan struct{}, 2), make(chan struct{}), make(chan error, 1)
	compute := func(target, control.Caller) error { began <- struct{}{}; <-release; return nil }
	a := newApp()
	go func() { written <- a.with(ctx, dir, toWrite, compute) }()
	<-began
	interrupt()
	select {
	case err := <-written:
		t.Errorf("what writes was given up: %v", err)
	case <-time.After(2 * promptGrace):
	}
	close(release)
	if err := <-written; err != nil {
		t.Errorf("what writes: %v", err)
	}

	ctx, interrupt = context.WithCancel(context.Background())
	never := make(chan struct{})
	read := make(chan error, 1)
	go func() {
		read <- a.with(ctx, dir, toRead, func(target, control.Caller) error { began <- struct{}{}; <-never; return nil })
	}()
	<-began
	interrupt()
	if err := <-read; !errors.Is(err, context.Canceled) {
		t.Errorf("what reads: %v, want Canceled", err)
	}
}

// TestSummaryOfPart: half of what log --changes sums up is not printed as if it
// were all.
func TestSummaryOfPart(t *testing.T) {
	dir, _ := lookedAfter(t)
	ctx, interrupt := context.WithCancel(context.Background())
	var out bytes.Buffer
	a := newApp()
	a.stdout = &out
	err := a.with(context.Background(), dir+"/a.json", toRead, func(tg target, c control.Caller) error {
		return a.log(ctx, interrupting{c, interrupt}, tg, "a.json", logFlags{changes: true})
	})
	if !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("error is %v, printed %q", err, &out)
	}
}

// interrupting ends the context with the first version that is read.
type interrupting struct {
	control.Caller
	interrupt func()
}

func (i interrupting) Call(ctx context.Context, op string, args, result any, sink control.Sink) error {
	if op == control.OpShow {
		i.interrupt()
	}
	return i.Caller.Call(ctx, op, args, result, sink)
}
