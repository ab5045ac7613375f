package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"intactfs/control"
	"intactfs/control/controltest"
	"intactfs/store"
)

// lookedAfter is a fresh directory with a version of a.json, and where the
// socket of a daemon of it would be.
func lookedAfter(t *testing.T) (dir, socket string) {
	t.Helper()
	// A socket's path is short, and t.TempDir's may not be.
	runtime, err := os.MkdirTemp("", "intact-cli")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(`{"n": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	s, err := store.Open(d, store.Options{Create: true})
	if err == nil {
		err = s.Adopt(context.Background(), "a.json")
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := control.RuntimeOfProcess()
	if socket, err = r.Socket(d); err != nil {
		t.Fatal(err)
	}
	// A server that listens and ends makes the directory of the sockets.
	sv, err := control.Listen(r, socket, control.Handlers{}, slog.New(slog.DiscardHandler))
	if err == nil {
		err = sv.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(socket) })
	return dir, socket
}

// command runs a command line in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp()
	a.stdout, a.stderr = &out, &errs
	code = a.main(context.Background(), append([]string{"intact"}, args...))
	return code, out.String(), errs.String()
}

// TestDaemons has every kind of daemon at the other end of a command, alive
// and dead.
func TestDaemons(t *testing.T) {
	tests := []struct {
		name   string
		answer string // "stale": a socket that nobody listens on; "none": no socket
		code   int
		stderr string
	}{
		{"no-daemon", "none", 0, ""},
		{"stale-socket", "stale", 0, ""},
		{"dies-in-the-call", "", 1, "hint: intact status tells how it is"},
		{"dies-in-the-answer", `{"kind":"progress","done":1,"total":9}` + "\n", 1, "error: hear from the daemon: it ended before"},
		{"older", `{"kind":"error","error":{"code":"unknown-op","message":"unknown operation \"log\""}}` + "\n", 1,
			"hint: the daemon is another version of intact"},
		{"of-another-user", `{"kind":"error","error":{"code":"denied","message":"user 7 may not control this daemon"}}` + "\n", 1,
			"error: user 7 may not control"},
		{"damaged", `{"kind":"error","error":{"code":"damaged","message":"history is damaged"}}` + "\n", 5, "error: history is damaged"},
		{"no-history", `{"kind":"error","error":{"code":"no-history","message":"a.json: no history"}}` + "\n", 1,
			"hint: versions are kept from the first save"},
		{"nonsense", "GET / HTTP/1.1\n", 1, "error: understand the daemon"},
		{"answers", `{"kind":"result","result":[]}` + "\n", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, socket := lookedAfter(t)
			switch tt.answer {
			case "none":
			case "stale":
				controltest.Stale(t, socket)
			default:
				controltest.Peer(t, socket, tt.answer)
			}
			code, stdout, stderr := command(t, "log", "--json", filepath.Join(dir, "a.json"))
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s\nwant in it: %s", code, tt.code, stdout, stderr, tt.stderr)
			}
			if code == 0 && stderr != "" {
				t.Errorf("stderr is %q, want nothing", stderr)
			}
			if code == 0 && tt.answer != "none" && tt.answer != "stale" && stdout != "[]\n" {
				t.Errorf("the daemon was not asked: %s", stdout)
			}
		})
	}
}

// TestDaemonThatHangs: a daemon that takes the connection and says nothing is
// given up, by whoever asks it.
func TestDaemonThatHangs(t *testing.T) {
	dir, socket := lookedAfter(t)
	controltest.Peer(t, socket, controltest.Silence)
	for _, args := range [][]string{{"log", dir}, {"verify", dir}, {"pin", dir + "/a.json@1"}, {"rejected", "list", dir}} {
		var errs bytes.Buffer
		a := newApp()
		a.stderr, a.silent = &errs, 50*time.Millisecond
		code := a.main(context.Background(), append([]string{"intact"}, args...))
		want := "error: " + dir + ": its daemon does not answer\nhint: intact unmount --force takes the mount away; what was not saved yet is lost\n"
		if code != exitFailed || errs.String() != want {
			t.Errorf("intact %s: exit code %d\n%swant\n%s", args[0], code, &errs, want)
		}
	}
	a := newApp()
	a.silent = 50 * time.Millisecond
	if s := a.ask(context.Background(), target{dir: dir}); s.State != "not mounted" || s.Error != control.ErrSilent.Error() {
		t.Errorf("its status is %+v", s)
	}
}

// TestCommandsSideBySide: those that read don't wait for each other.
func TestCommandsSideBySide(t *testing.T) {
	dir, _ := lookedAfter(t)
	var wg sync.WaitGroup
	for _, args := range [][]string{
		{"log", filepath.Join(dir, "a.json")}, {"show", filepath.Join(dir, "a.json@~0")},
		{"verify", dir}, {"status", dir}, {"rejected", "list", dir}, {"verify", "--json", dir},
	} {
		wg.Go(func() {
			if code, stdout, stderr := command(t, args...); code != 0 {
				t.Errorf("intact %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
			}
		})
	}
	wg.Wait()
}

// TestInterruptedCall: a command that is interrupted while it waits says so
// and nothing else.
func TestInterruptedCall(t *testing.T) {
	dir, socket := lookedAfter(t)
	ctx, interrupt := context.WithCancel(context.Background())
	s, err := control.Listen(control.RuntimeOfProcess(), socket, control.Handlers{
		control.OpVerify: func(ctx context.Context, _ json.RawMessage, _ control.Sink) (any, error) {
			interrupt()
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var out, errs bytes.Buffer
	a := newApp()
	a.stdout, a.stderr = &out, &errs
	if code := a.main(ctx, []string{"intact", "verify", dir}); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if out.Len() > 0 || errs.String() != "error: interrupted\n" {
		t.Errorf("stdout %q, stderr %q", &out, &errs)
	}
}

func TestLocate(t *testing.T) {
	dir, _ := lookedAfter(t)
	if err := os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, arg, path string }{
		{"the-directory", dir, ""},
		{"with-a-slash", dir + "/", ""},
		{"a-file", dir + "/a.json", "a.json"},
		{"removed", dir + "/gone/b.json", "gone/b.json"},
		{"below", dir + "/sub/deep", "sub/deep"},
		{"dots", dir + "/sub/../a.json", "a.json"},
		{"through-a-link", link + "/a.json", "a.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := locate(tt.arg)
			if err != nil || got.dir != real || got.path != tt.path || got.mount != nil {
				t.Errorf("got %+v, %v, want %q below %s", got, err, tt.path, real)
			}
		})
	}
	if got, err := locate(t.TempDir()); hintFor(err) == "" {
		t.Errorf("a directory that intact never saw is %+v, %v", got, err)
	}
}
