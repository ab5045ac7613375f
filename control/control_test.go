package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"intactfs/control/controltest"
	"intactfs/store"
)

// harnessed is a server with operations for tests, in a directory of its own.
type harnessed struct {
	server *Server
	path   string
	log    *lockedBuffer
}

// lockedBuffer may be written to while it is read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serve(t *testing.T, h Handlers) *harnessed {
	t.Helper()
	path := socketPath(t)
	r := Runtime{UID: os.Getuid(), XDG: filepath.Dir(path)}
	if r.UID == 0 {
		// Root's directory is the machine's: any directory will do here.
		r = Runtime{UID: 0}
	}
	log := &lockedBuffer{}
	s, err := Listen(r, path, h, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &harnessed{server: s, path: path, log: log}
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(context.Background(), path, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type echoArgs struct {
	Text string `json:"text"`
}

func testHandlers() Handlers {
	return Handlers{
		"echo": op(func(_ context.Context, a echoArgs, _ Sink) (string, error) { return a.Text, nil }),
		"repeat": op(func(_ context.Context, a echoArgs, _ Sink) ([]string, error) {
			return slices.Repeat([]string{a.Text}, 500_000), nil
		}),
		"fail": op(func(context.Context, none, Sink) (none, error) {
			return none{}, fmt.Errorf("a.json: %w: 7", store.ErrNoVersion)
		}),
		"stream": op(func(ctx context.Context, a echoArgs, sink Sink) (int, error) {
			sink.Progress(1, 2)
			sink.Progress(2, 2)
			return len(a.Text), sendContent(ctx, strings.NewReader(a.Text), int64(len(a.Text)), sink)
		}),
		"wait": op(func(ctx context.Context, _ none, _ Sink) (none, error) {
			<-ctx.Done()
			return none{}, ctx.Err()
		}),
	}
}

func TestCalls(t *testing.T) {
	h := serve(t, testHandlers())
	for name, c := range map[string]Caller{
		"client": dial(t, h.path),
		"local":  NewLocal(testHandlers(), func() error { return nil }),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			for range 3 { // one connection carries several calls
				var got string
				if err := c.Call(ctx, "echo", echoArgs{"hallo\n\"x\""}, &got, Sink{}); err != nil || got != "hallo\n\"x\"" {
					t.Errorf("echo: %q, %v", got, err)
				}
			}
			err := c.Call(ctx, "fail", nil, nil, Sink{})
			if !errors.Is(err, store.ErrNoVersion) || !strings.Contains(err.Error(), "a.json") {
				t.Errorf("fail: %v", err)
			}
			if err := c.Call(ctx, "nonsense", nil, nil, Sink{}); !errors.Is(err, ErrUnknownOp) {
				t.Errorf("unknown operation: %v", err)
			}
			if err := c.Call(ctx, "echo", 7, nil, Sink{}); !errors.Is(err, ErrBadArgs) {
				t.Errorf("bad arguments: %v", err)
			}
			var content bytes.Buffer
			var steps []int64
			var n int
			long := strings.Repeat("0123456789abcdef", 100000)
			err = c.Call(ctx, "stream", echoArgs{long[:900000]}, &n, Sink{
				Content:  func(p []byte) error { content.Write(p); return nil },
				Progress: func(done, _ int64) { steps = append(steps, done) },
			})
			if err != nil || n != 900000 || content.String() != long[:900000] || len(steps) != 2 {
				t.Errorf("stream: %v, %d of %d bytes, steps %v", err, content.Len(), n, steps)
			}
			// A result may be longer than a line, an argument may not.
			var list []string
			if err := c.Call(ctx, "repeat", echoArgs{"entry"}, &list, Sink{}); err != nil || len(list) != 500_000 || list[499_999] != "entry" {
				t.Errorf("a long result: %d entries, %v", len(list), err)
			}
			if err := c.Call(ctx, "stream", echoArgs{"dropped"}, nil, Sink{Progress: func(int64, int64) {}}); err != nil {
				t.Errorf("stream to nobody: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	h := serve(t, testHandlers())
	tests := []struct{ name, send, want string }{
		{"not-json", "hello\n", "bad-args"},
		{"empty-line", "\n", "bad-args"},
		{"no-op", "{}\n", "bad-args"},
		{"binary", "\x00\xff\xfe\n", "bad-args"},
		{"too-long", strings.Repeat("x", MaxLine+10) + "\n", "bad-args"},
		{"bad-args", `{"op":"echo","args":[1]}` + "\n", "bad-args"},
		{"unfinished", `{"op":"ec`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("unix", h.path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			// The server may hang up before it has read all of it.
			_, _ = conn.Write([]byte(tt.send))
			_ = conn.(*net.UnixConn).CloseWrite()
			line, err := bufio.NewReader(conn).ReadBytes('\n')
			if tt.want == "" {
				if err == nil {
					t.Errorf("answered %q", line)
				}
				return
			}
			var r response
			if err := json.Unmarshal(line, &r); err != nil || r.Kind != kindError || r.Error == nil || r.Error.Code != tt.want {
				t.Errorf("answered %q, want the error %s", line, tt.want)
			}
		})
	}
	var got string
	if err := dial(t, h.path).Call(context.Background(), "echo", echoArgs{"still here"}, &got, Sink{}); err != nil || got != "still here" {
		t.Errorf("after the garbage: %q, %v", got, err)
	}
}

func TestHangingUpCancels(t *testing.T) {
	cancelled := make(chan struct{})
	started := make(chan struct{})
	h := serve(t, Handlers{"wait": op(func(ctx context.Context, _ none, _ Sink) (none, error) {
		close(started)
		<-ctx.Done()
		close(cancelled)
		return none{}, ctx.Err()
	})})
	c := dial(t, h.path)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Call(ctx, "wait", nil, nil, Sink{}) }()
	<-started
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("call: %v, want Canceled", err)
	}
	select {
	case <-cancelled:
	case <-time.After(30 * time.Second):
		t.Error("the operation goes on for a client that has gone")
	}
}

func TestCloseCancelsAndAnswers(t *testing.T) {
	started := make(chan struct{})
	h := serve(t, Handlers{"wait": op(func(ctx context.Context, _ none, _ Sink) (string, error) {
		close(started)
		<-ctx.Done()
		return "finished", nil
	})})
	c := dial(t, h.path)
	idle := dial(t, h.path) // a connection that asks nothing is no reason to wait
	done := make(chan error, 1)
	var got string
	go func() { done <- c.Call(context.Background(), "wait", nil, &got, Sink{}) }()
	<-started
	if err := h.server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil || got != "finished" {
		t.Errorf("the last answer is %q, %v", got, err)
	}
	if err := idle.Call(context.Background(), "wait", nil, nil, Sink{}); err == nil {
		t.Error("a closed server answers")
	}
	if _, err := Dial(context.Background(), h.path, time.Second); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("dial: %v, want ErrNoDaemon", err)
	}
}

func TestStaleSocketIsTaken(t *testing.T) {
	path := socketPath(t)
	controltest.Stale(t, path)
	if _, err := Dial(context.Background(), path, time.Second); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("dial a stale socket: %v, want ErrNoDaemon", err)
	}
	s, err := Listen(RuntimeOfProcess(), path, testHandlers(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v, want mode 0600", st, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestManyClients(t *testing.T) {
	h := serve(t, testHandlers())
	var wg sync.WaitGroup
	for n := range 2 * maxClients {
		wg.Go(func() {
			c, err := Dial(context.Background(), h.path, 60*time.Second)
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			defer func() { _ = c.Close() }()
			want := fmt.Sprint(n)
			var got string
			if err := c.Call(context.Background(), "echo", echoArgs{want}, &got, Sink{}); err != nil || got != want {
				t.Errorf("echo: %q, %v, want %q", got, err, want)
			}
		})
	}
	wg.Wait()
}

func TestErrorsTravel(t *testing.T) {
	for _, c := range codes {
		e := toError(fmt.Errorf("somewhere: %w", c.err))
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Error
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(&back, c.err) {
			t.Errorf("%v is not itself after the journey: %s", c.err, line)
		}
	}
	if e := toError(errors.New("plain")); e.Code != "failed" || e.Unwrap() != nil {
		t.Errorf("a plain error is %+v", e)
	}
}
