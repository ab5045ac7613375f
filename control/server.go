package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Server answers on a socket until it is closed.
type Server struct {
	path     string
	listener *net.UnixListener
	handlers Handlers
	log      *slog.Logger
	uid      int // the only user besides root who is answered

	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	wg     sync.WaitGroup
}

// Listen takes the socket at path, removing one that a dead daemon left. The
// caller holds the lock of the directory, so no living daemon answers there.
func Listen(r Runtime, path string, h Handlers, log *slog.Logger) (*Server, error) {
	if err := r.prepareDir(); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		path: path, listener: l, handlers: h, log: log, uid: r.UID,
		ctx: ctx, cancel: cancel, slots: make(chan struct{}, maxClients),
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Path is where the server listens.
func (s *Server) Path() string { return s.path }

// Close stops listening, cancels what is being done and waits for it. The
// socket is removed.
func (s *Server) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, for one: it passes.
			s.log.Warn("accept on the control socket", "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			_ = conn.Close()
			return
		}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			s.serve(conn)
		})
	}
}

// serve answers one connection. A peer that is not allowed gets an error and
// nothing else; one that talks nonsense is told so and dropped.
func (s *Server) serve(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	// A server that closes waits for no next request, but lets an answer
	// out: the one to stop, for one.
	stop := context.AfterFunc(s.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	out := &answer{conn: conn}
	if err := s.allow(conn); err != nil {
		s.log.Warn("control socket: peer refused", "err", err)
		_ = out.send(response{Kind: kindError, Error: &Error{Code: "denied", Message: err.Error()}})
		return
	}
	in := bufio.NewReaderSize(conn, 4096)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil || s.ctx.Err() != nil {
			return
		}
		line, err := readLine(in)
		if err != nil {
			if errors.Is(err, errLongLine) {
				_ = out.send(response{Kind: kindError, Error: toError(fmt.Errorf("%w: %w", ErrBadArgs, err))})
			}
			return
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil || req.Op == "" {
			_ = out.send(response{Kind: kindError, Error: toError(fmt.Errorf("%w: a request is a line of JSON with an op", ErrBadArgs))})
			return
		}
		if s.answer(conn, out, req) != nil {
			return
		}
	}
}

// answer performs one request. A client that hangs up cancels it: nothing is
// read from the connection meanwhile, so a read that returns means that.
func (s *Server) answer(conn *net.UnixConn, out *answer, req request) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	sink := Sink{
		Content: func(p []byte) error { return out.send(response{Kind: kindChunk, Data: p}) },
		Progress: func(done, total int64) {
			if out.send(response{Kind: kindProgress, Done: done, Total: total}) != nil {
				cancel()
			}
		},
	}
	hungUp := watch(ctx, conn, cancel)
	result, err := s.handlers.do(ctx, req, sink)
	cancel()
	<-hungUp
	if err != nil {
		return out.send(response{Kind: kindError, Error: toError(err)})
	}
	return out.result(result)
}

// watch cancels when the peer has gone. It polls rather than reads, for the
// next request may already be there.
func watch(ctx context.Context, conn *net.UnixConn, cancel func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if gone(conn) {
					cancel()
					return
				}
			}
		}
	}()
	return done
}

// gone tells whether the peer closed its end completely.
func gone(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	var hup bool
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		hup = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || hup
}

// allow checks who is at the other end: root, or the user of the daemon.
func (s *Server) allow(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	return allowed(int(cred.Uid), s.uid)
}

func allowed(peer, own int) error {
	if peer == 0 || peer == own {
		return nil
	}
	return fmt.Errorf("user %d may not control this daemon: only root and user %d may", peer, own)
}

// answer is the sending end of a connection. Operations may send from
// several goroutines.
type answer struct {
	mu   sync.Mutex
	conn net.Conn
}

func (a *answer) send(r response) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.conn.SetWriteDeadline(time.Now().Add(lineTimeout)); err != nil {
		return err
	}
	_, err = a.conn.Write(append(line, '\n'))
	return err
}

// result sends a result in as many lines as it takes.
func (a *answer) result(result json.RawMessage) error {
	if len(result) <= chunkSize {
		return a.send(response{Kind: kindResult, Result: result})
	}
	for part := range slices.Chunk(result, chunkSize) {
		if err := a.send(response{Kind: kindPart, Data: part}); err != nil {
			return err
		}
	}
	return a.send(response{Kind: kindResult})
}

var errLongLine = errors.New("line too long")

// readLine reads up to a newline, at most MaxLine bytes. io.EOF: the peer
// closed between two lines.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxLine:
			return nil, errLongLine
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
