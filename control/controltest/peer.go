// Package controltest plays daemons that nobody would write: they die in the
// middle of an answer, talk nonsense, or say nothing. Clients of the control
// socket are tested against them.
package controltest

import (
	"bufio"
	"io"
	"net"
	"testing"
)

// Silence is an answer that never comes: the peer listens until the client
// goes.
const Silence = "\x00silence"

// Peer listens on the socket at path until the end of the test. It answers
// every request with the same bytes, and hangs up.
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
	in := bufio.NewReader(conn)
	if _, err := in.ReadBytes('\n'); err != nil {
		return
	}
	if answer == Silence {
		_, _ = in.ReadByte() // returns when the client has gone
		return
	}
	// The client may have gone before it heard all.
	_, _ = io.WriteString(conn, answer)
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
