package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/control"
)

// TestSlowToPublish: a daemon that is not done with publishing in time is told
// to stop all the same, and its late answer is not taken for one to that.
func TestSlowToPublish(t *testing.T) {
	dir, socket := lookedAfter(t)
	// Whoever asks the directory for its daemon finds it, as if it were mounted.
	if err := unix.Setxattr(dir, "user.intact.socket", []byte(socket), 0); errors.Is(err, unix.ENOTSUP) && !mustMount() {
		t.Skip("no extended attributes here")
	} else if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("this is the answer")
	stopped := false
	s, err := control.Listen(control.RuntimeOfProcess(), socket, control.Handlers{
		control.OpPing: func(context.Context, json.RawMessage, control.Sink) (any, error) { return nil, nil },
		control.OpCheckpoint: func(ctx context.Context, _ json.RawMessage, _ control.Sink) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		control.OpStop: func(context.Context, json.RawMessage, control.Sink) (any, error) {
			stopped = true
			return nil, failure
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	a := newApp()
	a.stderr, a.patience = &errs, 3*time.Second
	err = a.askToStop(context.Background(), mounted{point: dir, dir: dir}, false)
	if closeErr := s.Close(); closeErr != nil {
		t.Error(closeErr)
	}
	if !stopped || err == nil || err.Error() != failure.Error() {
		t.Errorf("asked to stop: %v, answered %v, want %v", stopped, err, failure)
	}
	if !strings.HasPrefix(errs.String(), "warning: what is pending stays in the journal: ") {
		t.Errorf("stderr is %q", &errs)
	}
}

func TestExplainBeneath(t *testing.T) {
	m := mounted{point: "/mnt", dir: "/data"}
	for _, tt := range []struct {
		name string
		err  error
		hint string
	}{
		{"unmounted", nil, ""},
		{"still-there", errors.New("the daemon of /data has not ended"), ""},
		{"interrupted", context.Canceled, ""},
		{"input-output", fmt.Errorf("open lock: %w", unix.EIO), "intact recover /data"},
		{"inconsistent", unix.EUCLEAN, "intact recover /data"},
		{"shut-down", unix.ESHUTDOWN, "intact recover /data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := explainBeneath(m, tt.err)
			if !errors.Is(got, tt.err) || tt.err == nil && got != nil {
				t.Errorf("error is %v, want %v", got, tt.err)
			}
			if h := hintFor(got); !strings.Contains(h, tt.hint) || (h == "") != (tt.hint == "") {
				t.Errorf("hint is %q, want %q", h, tt.hint)
			}
			if tt.hint != "" && !strings.HasPrefix(got.Error(), "/mnt is unmounted, but the file system beneath it has failed: ") {
				t.Errorf("error is %v", got)
			}
		})
	}
}
