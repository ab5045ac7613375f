package control

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPeers(t *testing.T) {
	for _, tt := range []struct {
		peer, own int
		want      bool
	}{{0, 0, true}, {0, 1000, true}, {1000, 1000, true}, {1000, 0, false}, {1001, 1000, false}} {
		if got := allowed(tt.peer, tt.own) == nil; got != tt.want {
			t.Errorf("user %d with a daemon of %d: %v, want %v", tt.peer, tt.own, got, tt.want)
		}
	}
}

// dialAs connects as another user: what counts is who calls connect(2), and
// that is a thread. The thread ends with its goroutine, which never unlocks it.
func dialAs(t *testing.T, path string, uid int) net.Conn {
	t.Helper()
	type result struct {
		fd  int
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			done <- result{-1, errno}
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		done <- result{fd, err}
	}()
	r := <-done
	if r.err != nil {
		t.Fatalf("connect as user %d: %v", uid, r.err)
	}
	f := os.NewFile(uintptr(r.fd), path)
	defer func() { _ = f.Close() }()
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestWrongPeerIsRefused(t *testing.T) {
	h := serve(t, testHandlers())
	peer := os.Getuid()
	if peer == 0 {
		peer = 65534
		// The modes of the socket and its directory alone would keep it out.
		for _, err := range []error{os.Chmod(filepath.Dir(h.path), 0o755), os.Chmod(h.path, 0o666)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	} else {
		h.server.uid = peer + 1
	}
	conn := dialAs(t, h.path, peer)
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte(`{"op":"echo","args":{"text":"secret"}}` + "\n"))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "may not control") || strings.Contains(line, "secret") {
		t.Errorf("answered %q, %v, want a refusal", line, err)
	}
	if !strings.Contains(h.log.String(), "peer refused") {
		t.Errorf("the log does not tell: %s", h.log)
	}
}
