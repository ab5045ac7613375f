package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A script is the commands of a txtar archive, run one after the other in a
// directory with the archive's files. A line is a command, words in single
// quotes, ! before it for the opposite:
//
//	code N PROGRAM ARG...  run a program, which has to exit with N
//	stdout REGEXP          the last program printed this
//	stderr REGEXP          the last program told this
//	cmp FILE FILE          both are the same; stdout is the last output
//	mounted DIR            intact is mounted there
//	save FILE TEXT         write in place, as a program of its own
//	exists, rm, mkdir, cp, write, flip, killdaemon, termdaemon
type script struct {
	t      *testing.T
	ctx    context.Context
	dir    string
	env    []string
	stdout string
	stderr string
}

// scriptLimit is how long a script may take on a slow machine.
const scriptLimit = 3 * time.Minute

func runScript(t *testing.T, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	defer cancel()
	s := &script{t: t, ctx: ctx, dir: filepath.Join(dir, "w")}
	t.Cleanup(func() { takeDown(t, dir) })
	s.prepare(dir)
	commands := s.unpack(string(text))
	for i, line := range strings.Split(commands, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if err := s.line(line); err != nil {
			t.Fatalf("%s:%d: %s: %v\nstdout:\n%s\nstderr:\n%s", name, i+1, line, err, s.stdout, s.stderr)
		}
	}
}

// prepare gives the script the program, and a place for its sockets.
func (s *script) prepare(dir string) {
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{s.dir, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Symlink(exe, filepath.Join(bin, "intact")); err != nil {
		s.t.Fatal(err)
	}
	// A socket's path has to be short.
	sockets, err := os.MkdirTemp("", "intact-cli")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	s.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TZ=UTC", "NO_COLOR=1", "XDG_RUNTIME_DIR="+sockets, "WORK="+s.dir)
}

// unpack writes the files of the archive and returns what is before them.
func (s *script) unpack(text string) string {
	marker := regexp.MustCompile(`(?m)^-- (\S+) --\n`)
	places := marker.FindAllStringSubmatchIndex(text, -1)
	if places == nil {
		return text
	}
	for i, p := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		s.must(s.write(text[p[2]:p[3]], text[p[1]:end]))
	}
	return text[:places[0][0]]
}

func (s *script) must(err error) {
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) write(name, content string) error {
	path := s.abs(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

func (s *script) abs(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, name)
}

var errOpposite = errors.New("the opposite was wanted")

func (s *script) line(line string) error {
	line = strings.ReplaceAll(line, "$WORK", s.dir)
	not := strings.HasPrefix(line, "! ")
	words := split(strings.TrimPrefix(line, "! "))
	err := s.command(words[0], words[1:])
	if not && err == nil {
		return errOpposite
	}
	if not {
		return nil
	}
	return err
}

// split cuts a line into words; single quotes keep spaces.
func split(line string) []string {
	var words []string
	word, quoted, open := "", false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			if open {
				words = append(words, word)
			}
			word, open = "", false
		default:
			word, open = word+string(r), true
		}
	}
	if open {
		words = append(words, word)
	}
	return words
}

func (s *script) command(name string, args []string) error {
	switch name {
	case "code":
		return s.code(args)
	case "stdout":
		return match(s.stdout, args[0])
	case "stderr":
		return match(s.stderr, args[0])
	case "cmp":
		return s.cmp(args[0], args[1])
	case "mounted":
		return isMounted(s.abs(args[0]))
	case "exists":
		_, err := os.Lstat(s.abs(args[0]))
		return err
	case "rm":
		return os.Remove(s.abs(args[0]))
	case "mkdir":
		return os.Mkdir(s.abs(args[0]), 0o755)
	case "write":
		return s.write(args[0], args[1])
	case "cp":
		content, err := s.read(args[0])
		return errors.Join(err, s.write(args[1], content))
	case "save":
		return s.code([]string{"0", "sh", "-c", `printf '%s\n' "$1" > "$0"`, s.abs(args[0]), args[1]})
	case "flip":
		return s.flip(args[0])
	case "killdaemon":
		return killDaemon(s.abs(args[0]), unix.SIGKILL)
	case "termdaemon":
		return killDaemon(s.abs(args[0]), unix.SIGTERM)
	}
	return fmt.Errorf("no such command")
}

// code runs a program in a process group of its own, which ends with the
// script; a daemon leaves it.
func (s *script) code(args []string) error {
	var stdout, stderr bytes.Buffer
	path := args[1]
	if path == "intact" {
		path = filepath.Join(filepath.Dir(s.dir), "bin", "intact")
	}
	cmd := exec.CommandContext(s.ctx, path, args[2:]...)
	cmd.Args[0] = args[1]
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	s.stdout, s.stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
		return fmt.Errorf("exit code %s, want %s", got, args[0])
	}
	return nil
}

func match(text, pattern string) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err == nil && !re.MatchString(text) {
		err = errors.New("no match")
	}
	return err
}

func (s *script) read(name string) (string, error) {
	switch name {
	case "stdout":
		return s.stdout, nil
	case "stderr":
		return s.stderr, nil
	}
	content, err := os.ReadFile(s.abs(name))
	return string(content), err
}

func (s *script) cmp(a, b string) error {
	got, err := s.read(a)
	if err != nil {
		return err
	}
	want, err := s.read(b)
	if err != nil {
		return err
	}
	if strings.TrimSuffix(got, "\n") != strings.TrimSuffix(want, "\n") {
		return fmt.Errorf("%s is %q, %s is %q", a, got, b, want)
	}
	return nil
}

func isMounted(point string) error {
	mounts, err := intactMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.point == point {
			return nil
		}
	}
	return errors.New("not mounted")
}

// flip damages the files that a pattern names, in their middle.
func (s *script) flip(pattern string) error {
	names, err := filepath.Glob(s.abs(pattern))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no file: %w", err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		content[len(content)/2] ^= 0x55
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// killDaemon sends the daemon of a mount a signal and waits for its end.
func killDaemon(point string, signal unix.Signal) error {
	pid := daemonOf(point)
	if pid == 0 {
		return errors.New("no daemon")
	}
	if err := unix.Kill(pid, signal); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("process %d does not end", pid)
		}
	}
	return nil
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

// alive is false also for a process that only waits to be reaped.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !bytes.Contains(status, []byte("\nState:\tZ"))
}

// takeDown ends the daemons that a failed script left, and their mounts.
func takeDown(t *testing.T, dir string) {
	mounts, err := intactMounts()
	if err != nil {
		t.Error(err)
	}
	for _, m := range mounts {
		if !within(dir, m.point) {
			continue
		}
		if !t.Failed() {
			t.Errorf("the script left %s mounted", m.point)
		}
		if pid := daemonOf(m.point); pid != 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if err := m.detach(); err != nil {
			t.Error(err)
		}
	}
}
