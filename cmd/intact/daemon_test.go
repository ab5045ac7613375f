package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"intactfs/store"

	"github.com/spf13/pflag"
)

// TestStartDaemonErrors: what keeps a daemon in the background from serving
// is what the command in front of it says.
func TestStartDaemonErrors(t *testing.T) {
	file := func(t *testing.T, dir, name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
		flags   mountFlags
		point   string // beside the directory; "": the directory
		error   string
		hint    string
	}{
		{name: "a-mistake-in-config", error: "config.toml:1:1: unknown key colour",
			prepare: func(t *testing.T, dir string) { file(t, dir, ".intact/config.toml", "colour = 1\n") }},
		{name: "another-format", error: "unknown format of .intact", hint: "use the version of intact that made it",
			prepare: func(t *testing.T, dir string) { file(t, dir, ".intact/FORMAT", "intact 99\n") }},
		{name: "no-place-for-the-log", flags: mountFlags{logPath: "no/such/log"}, error: "open log: "},
		{name: "no-mount-point", point: "no", error: "does not exist", hint: "create it with"},
		{name: "a-file-to-mount-on", point: "file", error: "is not a directory", hint: "intact mounts over directories",
			prepare: func(t *testing.T, dir string) { file(t, filepath.Dir(dir), "file", "") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.prepare != nil {
				tt.prepare(t, dir)
			}
			point := dir
			if tt.point != "" {
				point = filepath.Join(filepath.Dir(dir), tt.point)
			}
			f := tt.flags
			f.changed = func(string) bool { return false }
			if f.logPath != "" {
				f.logPath = filepath.Join(dir, f.logPath)
			}
			daemon, err := newApp().startDaemon(context.Background(), dir, point, &f)
			if err == nil {
				_ = daemon.Process.Kill()
				_ = daemon.Wait()
				t.Fatal("it serves")
			}
			if exitCode(err) != exitRefused || !strings.Contains(err.Error(), tt.error) {
				t.Errorf("error is %v (%d), want %q", err, exitCode(err), tt.error)
			}
			if got := hintFor(err); !strings.Contains(got, tt.hint) {
				t.Errorf("hint is %q, want %q", got, tt.hint)
			}
		})
	}
}

// TestFlagsReachTheDaemon: a daemon in the background is given every flag that
// was given, and no other.
func TestFlagsReachTheDaemon(t *testing.T) {
	for _, line := range []string{
		"", "--durability=relaxed", "--durability=full", "--idle-commit=1.5s", "--publish-delay=1m0s", "--on-conflict=refuse",
		"--verbose", "--debug", "--option=ro,noatime", "--durability=relaxed --debug --option=ro",
	} {
		t.Run(line, func(t *testing.T) {
			given := parsed(t, strings.Fields(line)).args()
			if len(given) != len(strings.Fields(line)) {
				t.Errorf("%q became %q", line, given)
			}
			again := parsed(t, given).args()
			slices.Sort(given)
			slices.Sort(again)
			if !slices.Equal(given, again) {
				t.Errorf("%q became %q", given, again)
			}
		})
	}
}

// parsed is the flags of a command line.
func parsed(t *testing.T, args []string) *mountFlags {
	t.Helper()
	var f mountFlags
	flags := pflag.NewFlagSet("mount", pflag.ContinueOnError)
	f.register(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	if err := f.check(); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return &f
}

// TestWhereADaemonLogs is a table of openLog.
func TestWhereADaemonLogs(t *testing.T) {
	tests := []struct {
		name     string
		ready    int    // the descriptor of a parent: in the background
		logPath  string // below another directory
		terminal bool
		want     string // where the line is, and how it begins
		begins   string
	}{
		{name: "in-front", want: "stderr", begins: `{"time":`},
		{name: "on-a-terminal", terminal: true, want: "stderr", begins: "\x1b["},
		{name: "in-the-background", ready: readyFD, want: logName, begins: `{"time":`},
		{name: "background-of-a-terminal", ready: readyFD, terminal: true, want: logName, begins: `{"time":`},
		{name: "to-a-file", logPath: "own.log", want: "own.log", begins: `{"time":`},
		{name: "to-a-file-in-the-background", ready: readyFD, logPath: "own.log", terminal: true, want: "own.log", begins: `{"time":`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, store.Dir), 0o755); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			a := newApp()
			a.stderr, a.terminal = &stderr, tt.terminal
			d := &daemon{app: a, dir: dir, flags: &mountFlags{readyFD: tt.ready}}
			if tt.logPath != "" {
				d.flags.logPath = filepath.Join(dir, tt.logPath)
			}
			var err error
			if d.dirFile, err = os.Open(dir); err != nil {
				t.Fatal(err)
			}
			if err := d.openLog(); err != nil {
				t.Fatal(err)
			}
			d.log.Info("hallo")
			d.log.Debug("too much")
			if err := d.close(); err != nil {
				t.Error(err)
			}
			got := stderr.String()
			if tt.want != "stderr" {
				if got != "" {
					t.Errorf("stderr has %q", got)
				}
				text, err := os.ReadFile(filepath.Join(dir, tt.want))
				if err != nil {
					t.Fatal(err)
				}
				got = string(text)
			}
			if !strings.HasPrefix(got, tt.begins) && !strings.Contains(got, tt.begins) || !strings.Contains(got, "hallo") {
				t.Errorf("logged %q, want what begins with %q", got, tt.begins)
			}
			if strings.Contains(got, "too much") {
				t.Errorf("logged at level debug: %q", got)
			}
		})
	}
}

func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		f    mountFlags
		want slog.Level
	}{
		{mountFlags{}, slog.LevelInfo}, {mountFlags{verbose: true}, slog.LevelDebug}, {mountFlags{debug: true}, slog.LevelDebug},
	} {
		if got := tt.f.level(); got != tt.want {
			t.Errorf("%+v logs from %v, want %v", tt.f, got, tt.want)
		}
	}
}

// TestWarn: in the background it is the parent that has a terminal.
func TestWarn(t *testing.T) {
	for _, tt := range []struct {
		name           string
		ready          int
		stderr, parent string
	}{
		{"in-front", 0, "warning: read-only\n", ""},
		{"in-the-background", readyFD, "", "read-only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr, log bytes.Buffer
			a := newApp()
			a.stderr = &stderr
			d := &daemon{app: a, flags: &mountFlags{readyFD: tt.ready}, log: newLog(&log, false, slog.LevelInfo)}
			d.warn("read-only")
			if stderr.String() != tt.stderr || d.warning != tt.parent || !strings.Contains(log.String(), "read-only") {
				t.Errorf("stderr %q, for the parent %q, log %q", &stderr, d.warning, &log)
			}
		})
	}
}
