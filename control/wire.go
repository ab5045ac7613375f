package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"time"

	"intactfs/store"
	"intactfs/validate"
)

// The bounds of the protocol.
const (
	MaxLine     = 1 << 20          // bytes of one line, in either direction
	chunkSize   = 256 << 10        // bytes of content, or of a long result, in one line, before base64
	idleTimeout = 30 * time.Second // between two requests of a connection
	lineTimeout = 30 * time.Second // for one line to be sent
	maxClients  = 32               // connections served at once
)

// request is one line from the client.
type request struct {
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

// response is one line from the server.
type response struct {
	Kind   string          `json:"kind"`
	Data   []byte          `json:"data,omitempty"`  // chunk, part
	Done   int64           `json:"done,omitempty"`  // progress
	Total  int64           `json:"total,omitempty"` // progress
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// The kinds of a response.
const (
	kindChunk    = "chunk"
	kindProgress = "progress"
	kindPart     = "part"   // of a result that is too long for a line
	kindResult   = "result" // without one it is what the parts make
	kindError    = "error"
)

// Error is an error as it travels: errors.Is finds the store's sentinels in
// it on the other side too.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the sentinel that the code stands for, nil for a plain failure.
func (e *Error) Unwrap() error {
	for _, c := range codes {
		if c.code == e.Code {
			return c.err
		}
	}
	return nil
}

// What only this package's errors say.
var (
	// ErrUnknownOp: the daemon is older or newer than the command.
	ErrUnknownOp = errors.New("unknown operation")
	// ErrBadArgs: the arguments of a request are not what its operation takes.
	ErrBadArgs = errors.New("bad arguments")
	// ErrNoDaemon: nobody serves the directory.
	ErrNoDaemon = errors.New("no daemon serves this directory")
	// ErrGone: the daemon hung up before it had answered.
	ErrGone = errors.New("it ended before it had answered")
	// ErrSilent: the daemon is there, and hangs.
	ErrSilent = errors.New("its daemon does not answer")
	// ErrBusy: programs use the mount.
	ErrBusy = errors.New("mount is in use")
	// ErrNothing: no part of a content is whole, so that nothing can be mended.
	ErrNothing = validate.ErrNothing
)

var codes = []struct {
	code string
	err  error
}{
	{"unknown-op", ErrUnknownOp},
	{"no-daemon", ErrNoDaemon},
	{"busy", ErrBusy},
	{"nothing", ErrNothing},
	{"not-exist", iofs.ErrNotExist},
	{"bad-args", ErrBadArgs},
	{"damaged", store.ErrDamaged},
	{"read-only", store.ErrReadOnly},
	{"no-history", store.ErrNoHistory},
	{"no-version", store.ErrNoVersion},
	{"not-protected", store.ErrNotProtected},
	{"not-rejected", store.ErrNotRejected},
	{"interrupted", context.Canceled},
}

// toError makes an error ready to travel.
func toError(err error) *Error {
	e := &Error{Code: "failed", Message: err.Error()}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			e.Code = c.code
			break
		}
	}
	return e
}

// Sink takes what an operation tells before its result. A nil function
// drops it.
type Sink struct {
	Content  func(p []byte) error
	Progress func(done, total int64)
}

// Caller performs operations, in this process or in the daemon's.
type Caller interface {
	// Call performs op with args and decodes what it returns into result;
	// either may be nil.
	Call(ctx context.Context, op string, args, result any, sink Sink) error
	Close() error
}

// Handler performs one operation. What it returns is the result.
type Handler func(ctx context.Context, args json.RawMessage, sink Sink) (any, error)

// Handlers are the operations by name.
type Handlers map[string]Handler

func (h Handlers) do(ctx context.Context, req request, sink Sink) (json.RawMessage, error) {
	handler, ok := h[req.Op]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownOp, req.Op)
	}
	result, err := handler(ctx, req.Args, sink)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// sendContent feeds r to a sink in pieces that fit a line.
func sendContent(ctx context.Context, r io.ReaderAt, size int64, sink Sink) error {
	if sink.Content == nil {
		return nil
	}
	buf := make([]byte, min(size, chunkSize))
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if n == 0 && err != nil {
			return fmt.Errorf("read content at %d: %w", off, err)
		}
		if err := sink.Content(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}
