package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intactfs/control/controltest"
	"intactfs/store"
)

// socketPath is short enough for a socket, which t.TempDir's may not be.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "intact-control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s.sock")
}

// TestWhatADaemonMayAnswer has daemons that die in the middle, talk nonsense,
// or say nothing.
func TestWhatADaemonMayAnswer(t *testing.T) {
	result := `{"kind":"result","result":"done"}` + "\n"
	tests := []struct {
		name, answer string
		wantErr      error  // nil: any, if text says so
		wantText     string // "": no error
	}{
		{"answers", result, nil, ""},
		{"hangs-up-at-once", "", ErrGone, "hear from the daemon"},
		{"dies-in-a-line", `{"kind":"resu`, ErrGone, "ended before"},
		{"dies-after-content", `{"kind":"chunk","data":"aGFsZg=="}` + "\n", ErrGone, "ended before"},
		{"dies-after-progress", `{"kind":"progress","done":1,"total":2}` + "\n", ErrGone, "ended before"},
		{"dies-in-a-long-result", `{"kind":"part","data":"ImRv"}` + "\n", ErrGone, "ended before"},
		{"says-nothing", controltest.Silence, os.ErrDeadlineExceeded, "hear from the daemon"},
		{"no-json", "hello\n", nil, "understand the daemon"},
		{"endless-line", strings.Repeat("x", MaxLine+2) + "\n", errLongLine, "line too long"},
		{"error-without-one", `{"kind":"error"}` + "\n", nil, "without saying which"},
		{"error", `{"kind":"error","error":{"code":"no-version","message":"none"}}` + "\n", store.ErrNoVersion, "none"},
		{"newer-error", `{"kind":"error","error":{"code":"from-the-future","message":"new"}}` + "\n", nil, "new"},
		{"newer-kind", `{"kind":"from-the-future"}` + "\n" + result, nil, ""},
		{"another-result", `{"kind":"result","result":{"n":1}}` + "\n", nil, "understand the result"},
		{"result-in-parts", `{"kind":"part","data":"ImRv"}` + "\n" + `{"kind":"part","data":"bmUi"}` + "\n" + `{"kind":"result"}` + "\n", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			patience := time.Minute
			if tt.answer == controltest.Silence {
				patience = 50 * time.Millisecond
			}
			path := socketPath(t)
			controltest.Peer(t, path, tt.answer)
			c, err := Dial(context.Background(), path, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			var got string
			err = c.Call(context.Background(), "any", nil, &got, Sink{})
			switch {
			case tt.wantText == "":
				if err != nil || got != "done" {
					t.Errorf("got %q, %v, want done", got, err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.wantText):
				t.Errorf("error is %v, want one with %q", err, tt.wantText)
			case tt.wantErr != nil && !errors.Is(err, tt.wantErr):
				t.Errorf("error is %v, want %v", err, tt.wantErr)
			}
		})
	}
}

// TestContentBeforeTheEnd: what a dying daemon sent was delivered, and the
// caller is told that it is not all.
func TestContentBeforeTheEnd(t *testing.T) {
	path := socketPath(t)
	controltest.Peer(t, path, `{"kind":"chunk","data":"aGFsZg=="}`+"\n")
	c, err := Dial(context.Background(), path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var got strings.Builder
	err = c.Call(context.Background(), "show", nil, nil, Sink{Content: func(p []byte) error { got.Write(p); return nil }})
	if !errors.Is(err, ErrGone) || got.String() != "half" {
		t.Errorf("got %q, %v, want half and ErrGone", &got, err)
	}
}

// TestCallersOwnErrors: what the caller can't take ends the call.
func TestCallersOwnErrors(t *testing.T) {
	h := serve(t, testHandlers())
	full := errors.New("no space for it")
	for name, c := range map[string]Caller{
		"client": dial(t, h.path),
		"local":  NewLocal(testHandlers(), func() error { return full }),
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Call(context.Background(), "stream", echoArgs{"text"}, nil, Sink{
				Content:  func([]byte) error { return full },
				Progress: func(int64, int64) {},
			})
			if !errors.Is(err, full) {
				t.Errorf("the sink's error is %v", err)
			}
			if err := c.Call(context.Background(), "echo", func() {}, nil, Sink{}); err == nil {
				t.Error("a function is no argument, and it went through")
			}
		})
	}
	if err := NewLocal(nil, func() error { return full }).Close(); !errors.Is(err, full) {
		t.Errorf("close: %v", err)
	}
}

// TestCallAfterTheDaemonHasGone: a client that was idle while its daemon ended.
func TestCallAfterTheDaemonHasGone(t *testing.T) {
	h := serve(t, testHandlers())
	c := dial(t, h.path)
	if err := h.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Call(context.Background(), "echo", echoArgs{"x"}, nil, Sink{}); !errors.Is(err, ErrGone) {
		t.Errorf("error is %v, want ErrGone", err)
	}
}

// TestDialRefusesCancelled: nobody waits for a socket in vain.
func TestDialRefusesCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h := serve(t, testHandlers())
	if c, err := Dial(ctx, h.path, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want Canceled", c, err)
	}
	c := dial(t, h.path)
	if err := c.Call(ctx, "echo", echoArgs{"x"}, nil, Sink{}); !errors.Is(err, context.Canceled) {
		t.Errorf("call: %v, want Canceled", err)
	}
}

// TestTwoClients: a long operation of one is no reason for another to wait,
// and an end of one is none for the other.
func TestTwoClients(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	handlers := testHandlers()
	handlers["long"] = op(func(ctx context.Context, _ none, sink Sink) (string, error) {
		close(started)
		select {
		case <-release:
			return "long done", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	h := serve(t, handlers)
	slow, quick := dial(t, h.path), dial(t, h.path)
	done := make(chan error, 1)
	var got string
	go func() { done <- slow.Call(context.Background(), "long", nil, &got, Sink{}) }()
	<-started
	var echo string
	if err := quick.Call(context.Background(), "echo", echoArgs{"beside"}, &echo, Sink{}); err != nil || echo != "beside" {
		t.Errorf("beside a long operation: %q, %v", echo, err)
	}
	if err := quick.Close(); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-done; err != nil || got != "long done" {
		t.Errorf("the long operation: %q, %v", got, err)
	}
}

// TestClientGoneWhileItIsAnswered: the daemon stops sending, and lives.
func TestClientGoneWhileItIsAnswered(t *testing.T) {
	sent := make(chan error, 1)
	h := serve(t, Handlers{
		"flood": func(ctx context.Context, _ json.RawMessage, sink Sink) (any, error) {
			var err error
			for err == nil {
				err = sink.Content(make([]byte, chunkSize))
			}
			sent <- err
			return nil, err
		},
		"echo": testHandlers()["echo"],
	})
	conn, err := net.Dial("unix", h.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, `{"op":"flood"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-sent:
		if err == nil {
			t.Error("sending to nobody is no error")
		}
	case <-time.After(time.Minute):
		t.Fatal("the daemon sends on to a client that has gone")
	}
	var got string
	if err := dial(t, h.path).Call(context.Background(), "echo", echoArgs{"alive"}, &got, Sink{}); err != nil || got != "alive" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// TestListenErrors: a socket that can't be had is told with its path.
func TestListenErrors(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	occupied := filepath.Join(dir, "occupied")
	if err := os.MkdirAll(filepath.Join(occupied, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	own := RuntimeOfProcess()
	if own.UID != 0 {
		own.XDG = dir
	}
	tests := []struct {
		name, path string
		runtime    Runtime
	}{
		{"directory-in-the-way", occupied, own},
		{"no-directory", filepath.Join(dir, "no", "s"), own},
		{"path-too-long", filepath.Join(dir, strings.Repeat("x", 120)), own},
		{"no-place-for-sockets", filepath.Join(dir, "s"), Runtime{UID: 1 << 20, XDG: filepath.Join(dir, "no")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Listen(tt.runtime, tt.path, testHandlers(), slog.New(slog.DiscardHandler))
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "control socket: ") {
				t.Errorf("error is %v, want one of the control socket", err)
			}
		})
	}
}

// TestPing: whatever is said is an answer, if somebody is there who could say more.
func TestPing(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         error
	}{
		{"answers", `{"kind":"result","result":{}}` + "\n", nil},
		{"knows-no-ping", `{"kind":"error","error":{"code":"unknown-op","message":"unknown operation"}}` + "\n", nil},
		{"says-nothing", controltest.Silence, ErrSilent},
		{"dies", "", ErrGone},
		{"damaged", `{"kind":"error","error":{"code":"damaged","message":"damaged"}}` + "\n", store.ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := socketPath(t)
			controltest.Peer(t, path, tt.answer)
			c, err := Dial(context.Background(), path, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			patience := time.Minute
			if errors.Is(tt.want, ErrSilent) {
				patience = 50 * time.Millisecond
			}
			if err := c.Ping(context.Background(), patience); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
			if c.patience != time.Minute {
				t.Errorf("later calls are waited for %v, want a minute", c.patience)
			}
		})
	}
	// A server answers, with operations of its own or without, and goes on.
	for name, handlers := range map[string]Handlers{"bare": testHandlers(), "service": (&Service{}).Handlers()} {
		c := dial(t, serve(t, handlers).path)
		for range 2 {
			if err := c.Ping(context.Background(), time.Minute); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
