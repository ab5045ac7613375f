package fs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that must happen.
const patience = 60 * time.Second

// mounted is a mount under test, over a directory beside its backing one.
type mounted struct {
	dir, back string
	store     *memStore
	server    *Server
}

// needFUSE skips where FUSE can't be had, and fails where it must be.
func needFUSE(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		err = f.Close()
	}
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("not root")
	}
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" {
		t.Fatalf("FUSE is needed here: %v", err)
	}
	t.Skipf("no FUSE: %v", err)
}

// mount serves a fresh directory for the length of a test.
func mount(t *testing.T, rules Rules, options ...func(*Options)) *mounted {
	t.Helper()
	needFUSE(t)
	base := t.TempDir()
	m := &mounted{dir: filepath.Join(base, "mnt"), back: filepath.Join(base, "back")}
	for _, dir := range []string{m.dir, filepath.Join(m.back, ".intact", "staging")} {
		if err := os.MkdirAll(dir, 0755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(m.back)
	if err != nil {
		t.Fatal(err)
	}
	m.store = newMemStore(m.back)
	o := Options{
		Root: root, RootPath: m.back, MountPoint: m.dir, Store: m.store, Rules: rules,
		Control: "/run/test.sock", Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		Debug: os.Getenv("INTACT_TEST_DEBUG") != "",
	}
	for _, change := range options {
		change(&o)
	}
	if m.server, err = Mount(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	go m.server.Serve()
	t.Cleanup(func() {
		m.unmount(t)
		_ = root.Close()
	})
	return m
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	_, err := io.WriteString(os.Stderr, "    "+string(p))
	return len(p), err
}

func (m *mounted) unmount(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := syscall.Unmount(m.dir, 0)
		if err == nil || errors.Is(err, syscall.EINVAL) { // the test did it
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("unmount: %v%s", err, m.server.fs.holders())
			_ = syscall.Unmount(m.dir, syscall.MNT_DETACH)
			return
		}
		time.Sleep(time.Millisecond)
	}
	// A copy of the mount may live on in somebody else's mount namespace, made
	// while it was here.
	if err := m.server.End(patience / 4); err != nil {
		buf := make([]byte, 1<<20)
		t.Errorf("the server did not end after the unmount: %v: %s", err, buf[:runtime.Stack(buf, true)])
	}
}

// client is a process of its own that a test has call files in the mount.
// Neither a hang nor a kill there touches the process that serves.
type client struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// client starts a client in the mount's directory.
func (m *mounted) client(t *testing.T) *client {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "INTACT_TEST_CLIENT="+m.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(c.end)
	return c
}

// end closes the client's standard input, at which it exits.
func (c *client) end() {
	if c.cmd == nil {
		return
	}
	_ = c.in.Close()
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait()
	timer.Stop()
	c.cmd = nil
}

// kill ends the client as a crash does, and waits until it is gone.
func (c *client) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	_ = c.cmd.Wait()
	c.cmd = nil
}

// do has the client do one thing, and returns what it answers.
func (c *client) do(words ...string) string {
	c.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	if _, err := io.WriteString(c.in, encodeWords(words)); err != nil {
		c.t.Fatalf("%q: %v", words, err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%q: the client gave no answer: %v", words, err)
	}
	return decodeWords(line)[0]
}

// want has the client do one thing and compares the answer.
func (c *client) want(want string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != want {
		c.t.Errorf("%s: got %q, want %q", strings.Join(words, " "), got, want)
	}
}

// eventually repeats what the client does until it answers as wanted.
func (c *client) eventually(want string, words ...string) {
	c.t.Helper()
	poll(c.t, func() string {
		if got := c.do(words...); got != want {
			return strings.Join(words, " ") + ": got " + got + ", want " + want
		}
		return ""
	})
}

// poll waits until check has nothing to complain of.
func poll(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// shell runs a script in the mount with a time limit.
func (m *mounted) shell(t *testing.T, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "cd "+m.dir+" && { "+script+"\n}")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rerun runs the calling test once more in a process of its own, with one more
// variable in its environment.
func (m *mounted) rerun(t *testing.T, env string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	args := []string{"-test.run=^" + t.Name() + "$"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), env)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}
