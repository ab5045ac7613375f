package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"intactfs/control"
)

// scriptLimit is how long the scripts of a directory may take on a slow
// machine: what hangs is ended then.
const scriptLimit = 5 * time.Minute

func TestOffline(t *testing.T) { runScripts(t, "offline") }

func TestMounted(t *testing.T) {
	needFUSE(t)
	runScripts(t, "mounted")
}

// TestAlone has what a daemon that another script stops would be in the way of:
// mkfs looks at the source of every mount.
func TestAlone(t *testing.T) {
	needFUSE(t)
	runScripts(t, "alone")
}

// runScripts runs the scripts of a directory. Besides testscript's commands
// they know:
//
//	exits N PROGRAM ARG...     run a program, which has to exit with N; an error
//	                           of intact has to be told as one
//	interrupt DIR PROGRAM ARG... run a program, which has to ask for DIR, and
//	                           interrupt it while it waits for the answer
//	mounted DIR                intact is mounted there
//	save FILE TEXT             write in place, as a program of its own
//	write FILE TEXT            write, with no other program
//	flip PATTERN [OFFSET]      damage these files, in their middle if nothing is said,
//	                           counted from the end if it is negative
//	killdaemon, termdaemon, quitdaemon DIR
//	                           end the daemon of a mount by SIGKILL, SIGTERM, SIGQUIT
//	shutdown DIR               make the ext4 that is mounted there fail from now on
//	stopdaemon DIR             make the daemon of a mount hang
//	contdaemon DIR             let it go on, and see it end
//
// and the condition [loop].
func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script", dir),
		Setup:              setupScript,
		Deadline:           time.Now().Add(scriptLimit),
		RequireUniqueNames: true,
		Condition:          canLoop,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"interrupt":  interrupt,
			"mounted":    isMounted,
			"save":       save,
			"write":      write,
			"flip":       flip,
			"killdaemon": func(ts *testscript.TestScript, _ bool, args []string) { endDaemon(ts, args[0], unix.SIGKILL) },
			"quitdaemon": func(ts *testscript.TestScript, _ bool, args []string) { endDaemon(ts, args[0], unix.SIGQUIT) },
			"stopdaemon": func(ts *testscript.TestScript, _ bool, args []string) {
				stopDaemon(ts, args[0])
			},
			"shutdown":   shutDown,
			"contdaemon": func(ts *testscript.TestScript, _ bool, args []string) { endDaemon(ts, args[0], unix.SIGCONT) },
			"termdaemon": func(ts *testscript.TestScript, _ bool, args []string) { endDaemon(ts, args[0], unix.SIGTERM) },
		},
	})
}

// setupScript gives a script a place for its sockets, whose paths have to be
// short, and takes down what a failed one leaves.
func setupScript(env *testscript.Env) error {
	sockets, err := os.MkdirTemp("", "intact-cli")
	if err != nil {
		return err
	}
	env.Setenv("XDG_RUNTIME_DIR", sockets)
	env.Setenv("TZ", "UTC")
	env.Setenv("NO_COLOR", "1")
	// Under the race detector each of some hundred processes else waits a second.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Defer(func() {
		left := takeDown(env.WorkDir, env.T().Log)
		// A script's own, if it came so far.
		_ = unix.Unmount(filepath.Join(env.WorkDir, "disk"), unix.MNT_DETACH)
		_ = os.RemoveAll(sockets)
		if len(left) > 0 {
			env.T().Fatal("the script left mounts: ", left)
		}
	})
	return nil
}

var (
	errorLine = regexp.MustCompile(`(?m)^error: \S`)
)

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if args[1] == "intact" && args[2] != "run" && got != 0 && !errorLine.MatchString(ts.ReadFile("stderr")) {
		ts.Fatalf("no line of stderr tells the error")
	}
}

// interrupt stands in for the daemon of a directory, one that answers no
// question, so that there is a moment in which the program surely waits.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupt DIR PROGRAM ARG...")
	}
	dir, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { _ = dir.Close() }()
	r := control.Runtime{UID: os.Getuid(), XDG: ts.Getenv("XDG_RUNTIME_DIR")}
	socket, err := r.Socket(dir)
	ts.Check(err)
	pid := ts.MkAbs("interrupted.pid")
	silent := func(ctx context.Context, _ json.RawMessage, _ control.Sink) (any, error) {
		text, err := os.ReadFile(pid)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
		if err != nil {
			return nil, err
		}
		if err := unix.Kill(n, unix.SIGINT); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	handlers := control.Handlers{}
	for _, op := range []string{control.OpVerify, control.OpLog, control.OpStatus} {
		handlers[op] = silent
	}
	s, err := control.Listen(r, socket, handlers, slog.New(slog.DiscardHandler))
	ts.Check(err)
	defer func() { ts.Check(s.Close()) }()
	exits(ts, false, append([]string{"130", "sh", "-c", `echo $$ > "$0"; exec "$@"`, pid}, args[1:]...))
}

func isMounted(ts *testscript.TestScript, neg bool, args []string) {
	mounts, err := intactMounts()
	ts.Check(err)
	point, found := ts.MkAbs(args[0]), false
	for _, m := range mounts {
		found = found || m.point == point
	}
	if found == neg {
		ts.Fatalf("%s mounted: %v", args[0], found)
	}
}

func save(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("sh", "-c", `printf '%s\n' "$1" > "$0"`, ts.MkAbs(args[0]), args[1])
	if (err != nil) != neg {
		ts.Fatalf("saving %s: %v", args[0], err)
	}
}

func write(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]), 0o644))
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	if err != nil || len(names) == 0 {
		ts.Fatalf("no file is named %s: %v", args[0], err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		ts.Check(err)
		at := len(content) / 2
		if len(args) > 1 {
			at, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		if at < 0 {
			at += len(content)
		}
		content[at] ^= 0x55
		ts.Check(os.WriteFile(name, content, 0o600))
	}
}

// endDaemon sends the daemon of a mount a signal and waits for its end.
func endDaemon(ts *testscript.TestScript, point string, signal unix.Signal) {
	pid := servedBy(ts, point)
	ts.Check(unix.Kill(pid, signal))
	for end := time.Now().Add(time.Minute); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("process %d does not end", pid)
		}
	}
}

// stopDaemon returns when no thread of the daemon runs any more: a signal to
// stop is sent before it is obeyed, and until then a request may be answered.
func stopDaemon(ts *testscript.TestScript, point string) {
	pid := servedBy(ts, point)
	ts.Check(unix.Kill(pid, unix.SIGSTOP))
	for end := time.Now().Add(time.Minute); !stopped(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("process %d does not stop", pid)
		}
	}
}

// stopped tells whether every thread of a process is.
func stopped(pid int) bool {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, name := range names {
		if status, err := os.ReadFile(name); err == nil && !bytes.Contains(status, []byte("\nState:\tT")) {
			return false
		}
	}
	return true
}

// canLoop is the condition [loop]: file systems can be mounted from a file, which
// has to be so where mounting has to work.
func canLoop(name string) (bool, error) {
	if name != "loop" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	_, err := os.Stat("/dev/loop-control")
	if err == nil && os.Geteuid() != 0 {
		err = os.ErrPermission
	}
	if err != nil && mustMount() {
		return false, fmt.Errorf("no file system can be mounted from a file here: %w", err)
	}
	return err == nil, nil
}

// shutDown is what an ext4 does to itself when its device fails.
func shutDown(ts *testscript.TestScript, _ bool, args []string) {
	const goingDown, withoutLog = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	dir, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { _ = dir.Close() }()
	ts.Check(unix.IoctlSetPointerInt(int(dir.Fd()), goingDown, withoutLog))
}

func servedBy(ts *testscript.TestScript, point string) int {
	pid := daemonOf(ts.MkAbs(point))
	if pid == 0 {
		ts.Fatalf("nobody serves %s", point)
	}
	return pid
}

// daemonOf finds the process whose last argument is the mount point. A
// command line is asked of daemons too, never of their mounts.
func daemonOf(point string) int {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !bytes.HasPrefix(text, []byte("intact\x00mount\x00--foreground")) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(name, "/proc/%d/", &pid); err == nil && bytes.HasSuffix(text, []byte("\x00"+point+"\x00")) {
			return pid
		}
	}
	return 0
}

// alive is false also for a process that only waits to be reaped; while it has
// threads that still end, it keeps what it has open.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && (len(threads) > 1 || !bytes.Contains(status, []byte("\nState:\tZ")))
}

// takeDown ends the daemons and mounts below a directory, and names these. What
// each daemon was at goes to log.
func takeDown(dir string, log func(...any)) (left []string) {
	mounts, err := intactMounts()
	if err != nil {
		return []string{err.Error()}
	}
	for _, m := range mounts {
		if !within(dir, m.point) {
			continue
		}
		left = append(left, m.point)
		if pid := daemonOf(m.point); pid != 0 {
			_ = unix.Kill(pid, unix.SIGQUIT)
			_ = unix.Kill(pid, unix.SIGCONT)
			for end := time.Now().Add(10 * time.Second); alive(pid) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if err := m.detach(); err != nil {
			left = append(left, err.Error())
		}
		text, err := os.ReadFile(filepath.Join(m.dir, logName))
		log("the log of the daemon of ", m.point, ": ", err, "\n", string(text))
	}
	return left
}
