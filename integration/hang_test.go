package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// look runs what looks at all processes and file systems of the machine.
func look(t *testing.T, m *harness.Mount) {
	t.Helper()
	for _, args := range [][]string{{"ps", "axww", "-o", "pid,stat,wchan:20,args"}, {"df", m.Point}} {
		if r := harness.Run(t, args...); r.Code != 0 || r.TimedOut {
			t.Errorf("%s: exit %d\n%s", args[0], r.Code, r.Stderr)
		}
	}
}

// TestChildOfAnUnfinishedWriter spawns children while a file is open and half
// written, with and without the descriptor in the child.
func TestChildOfAnUnfinishedWriter(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	tests := []struct{ name, spawn string }{
		{"close-on-exec", `subprocess.run(["sleep", "0.02"], check=True)`},
		{"inherited", `subprocess.run(["sleep", "0.02"], check=True, close_fds=False)`},
		{"outlives", `subprocess.Popen(["sleep", "0.2"], close_fds=False)`},
		{"fork", `
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := m.File(tt.name + ".json")
			save(t, path, []byte(old))
			p := harness.Cmd{Args: []string{harness.Tool(t, "python3"), "-c",
				"import os, subprocess, sys\ndef spawn():\n" + indent(tt.spawn) + childProgram, path, old}}.Start(t)
			for !p.Exited() {
				look(t, m)
				if t.Failed() {
					break
				}
			}
			if r := p.Wait(t, 0); r.Code != 0 {
				t.Errorf("exit %d\n%s", r.Code, r.Stderr)
			}
			harness.Eventually(t, "the whole is committed", func() bool {
				content, err := os.ReadFile(path)
				return err == nil && string(content) == `{"half": "whole"}`
			})
		})
	}
}

// childProgram writes a half, spawns, and writes the rest.
const childProgram = `
f = open(sys.argv[1], "w")
os.set_inheritable(f.fileno(), True)
f.write('{"half": ')
f.flush()
for _ in range(8):
    spawn()
    assert open(sys.argv[1]).read() == sys.argv[2], "the half was seen"
f.write('"whole"}')
f.close()
`

func indent(program string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(program), "\n", "\n    ") + "\n"
}

// TestStoppedDaemon stops the daemon in the middle of work: everybody else's
// commands go on, what needs the mount waits, and all of it ends when the
// daemon continues.
func TestStoppedDaemon(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	w := writers[0]
	p := w.start(t, path, 0, 200)
	waitAck(t, p)
	for range 5 {
		m.Daemon().Signal(syscall.SIGSTOP)
		saver := harness.Cmd{Args: []string{"sh", "-c", `echo '{"from": "shell"}' > "$1"`, "sh", m.File("other.json")}}.Start(t)
		waiting := harness.Cmd{Args: []string{"df", m.Point}}.Start(t)
		r := harness.Run(t, "ps", "axww", "-o", "pid,stat,args")
		if r.Code != 0 {
			t.Errorf("ps: exit %d", r.Code)
		}
		time.Sleep(20 * time.Millisecond)
		m.Daemon().Signal(syscall.SIGCONT)
		for _, c := range []*harness.Proc{saver, waiting} {
			if r := c.Wait(t, 0); r.Code != 0 {
				t.Errorf("after the daemon continued: exit %d\n%s", r.Code, r.Stderr)
			}
		}
		look(t, m)
	}
	// A writer that is killed while it waits for a stopped daemon is gone when
	// the daemon continues.
	m.Daemon().Signal(syscall.SIGSTOP)
	p.Signal(syscall.SIGKILL)
	m.Daemon().Signal(syscall.SIGCONT)
	p.Wait(t, 0)
	checkAcked(t, "after the stops", path, w, acked(t, p, 0))
}

// TestTerminatedDaemon asks the daemon to end by signal: it unmounts cleanly.
func TestTerminatedDaemon(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			m := harness.Start(t, harness.Options{})
			save(t, m.File("state.json"), []byte(old))
			m.Daemon().Signal(s)
			r := m.Daemon().Wait(t, 0)
			if want := map[syscall.Signal]int{syscall.SIGTERM: 0, syscall.SIGINT: 0}[s]; r.Code != want {
				t.Errorf("exit %d, want %d\n%s", r.Code, want, r.Stderr)
			}
			if harness.Mounted(m.Point) {
				t.Error("still mounted")
			}
			wantContent(t, m.Backing("state.json"), old)
		})
	}
}
