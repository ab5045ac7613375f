package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Client talks to a daemon. It is used by one goroutine at a time.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
	// patience is how long the daemon may say nothing before a call is
	// given up.
	patience time.Duration
}

var (
	_ Caller = (*Client)(nil)
	_ Caller = (*Local)(nil)
)

// Dial connects to the socket at path; ErrNoDaemon if nobody listens there.
// A call fails when the daemon says nothing for patience.
func Dial(ctx context.Context, path string, patience time.Duration) (*Client, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoDaemon
	}
	if err != nil {
		return nil, fmt.Errorf("reach the daemon: %w", err)
	}
	return &Client{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), patience: patience}, nil
}

// Listening tells whether somebody listens on the socket at path, if only to
// hang.
func Listening(path string) bool {
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Call performs op in the daemon. After a cancelled call or an error of the connection itself
// the client is of no use any more.
func (c *Client) Call(ctx context.Context, op string, args, result any, sink Sink) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	err := c.call(op, args, result, sink)
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	return err
}

// Ping waits until the daemon has answered at all: ErrSilent if it says nothing
// for patience, an error of Call if it can't be talked to. One that does not
// know the operation has answered.
func (c *Client) Ping(ctx context.Context, patience time.Duration) error {
	defer func(usual time.Duration) { c.patience = usual }(c.patience)
	c.patience = patience
	switch err := c.Call(ctx, OpPing, nil, nil, Sink{}); {
	case errors.Is(err, ErrUnknownOp):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSilent
	default:
		return err
	}
}

func (c *Client) call(op string, args, result any, sink Sink) error {
	req := request{Op: op}
	var err error
	if req.Args, err = json.Marshal(args); err != nil {
		return err
	}
	line, err := json.Marshal(req)
	if err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		if hungUp(err) {
			err = fmt.Errorf("%w: %w", ErrGone, err)
		}
		return fmt.Errorf("ask the daemon: %w", err)
	}
	var parts []byte
	for {
		last, err := c.next(&parts, result, sink)
		if last || err != nil {
			return err
		}
	}
}

// hungUp tells whether an error of the connection means that nobody is at its
// other end any more.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// next handles one line of the answer and tells whether it was the last.
// parts is what came of a long result.
func (c *Client) next(parts *[]byte, result any, sink Sink) (last bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return false, err
	}
	line, err := readLine(c.in)
	if err != nil {
		if hungUp(err) {
			err = fmt.Errorf("%w: %w", ErrGone, err)
		}
		return false, fmt.Errorf("hear from the daemon: %w", err)
	}
	var r response
	if err := json.Unmarshal(line, &r); err != nil {
		return false, fmt.Errorf("understand the daemon: %w", err)
	}
	switch r.Kind {
	case kindChunk:
		if sink.Content != nil {
			return false, sink.Content(r.Data)
		}
	case kindProgress:
		if sink.Progress != nil {
			sink.Progress(r.Done, r.Total)
		}
	case kindError:
		if r.Error == nil {
			return true, errors.New("the daemon reports an error without saying which")
		}
		return true, r.Error
	case kindPart:
		*parts = append(*parts, r.Data...)
	case kindResult:
		if r.Result == nil {
			r.Result = *parts
		}
		return true, decodeResult(r.Result, result)
	}
	return false, nil
}

// Close hangs up: what the daemon still does for this client is cancelled.
func (c *Client) Close() error { return c.conn.Close() }

// Local performs operations in this process.
type Local struct {
	handlers Handlers
	close    func() error
}

// NewLocal performs h; Close calls closer.
func NewLocal(h Handlers, closer func() error) *Local {
	return &Local{handlers: h, close: closer}
}

// Call performs op here. Arguments and result go through JSON all the same,
// so that a command behaves alike with and without a daemon.
func (l *Local) Call(ctx context.Context, op string, args, result any, sink Sink) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	out, err := l.handlers.do(ctx, request{Op: op, Args: raw}, sink)
	if err != nil {
		return err
	}
	return decodeResult(out, result)
}

// Close lets go of the directory.
func (l *Local) Close() error { return l.close() }

func decodeResult(raw json.RawMessage, result any) error {
	if result == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, result); err != nil {
		return fmt.Errorf("understand the result: %w", err)
	}
	return nil
}
