// Package controltest plays daemons that nobody would write: they die in the
// middle of an answer, talk nonsense, or say nothing. Clients of the control
// socket are tested against them.
package controltest

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// Silence is an answer that never comes: the peer listens until the client
// goes.
const Silence = "\x00silence"

// Peer listens on the socket at path until the end of the test. It answers
// every request with the same bytes, and hangs up where they are no result and
// no error: it died.
func Peer(t testing.TB, path, answer string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			reply(conn, answer)
		}
	}()
}

func reply(conn net.Conn, answer string) {
	defer func() { _ = conn.Close() }()
	whole := strings.Contains(answer, `"kind":"result"`) || strings.Contains(answer, `"kind":"error"`)
	for in := bufio.NewReader(conn); ; {
		if _, err := in.ReadBytes('\n'); err != nil {
			return // the client has gone
		}
		if answer == Silence {
			continue
		}
		if _, err := io.WriteString(conn, answer); err != nil || !whole {
			return
		}
	}
}

// Stale leaves a socket that nobody listens on, as a daemon that was killed
// does.
func Stale(t testing.TB, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
