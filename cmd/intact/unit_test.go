package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"intactfs/control"
	"intactfs/store"
)

func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.FixedZone("CET", 3600)
	}
	// The clocks of Berlin went forward at two o'clock that night.
	now := time.Date(2026, 3, 29, 15, 30, 0, 0, time.FixedZone("CEST", 7200))
	tests := []struct{ text, want string }{
		{"2026-01-04T12:00:00Z", "2026-01-04T12:00:00Z"},
		{"2026-01-04T12:00:00+05:00", "2026-01-04T07:00:00Z"},
		{"2026-01-04T12:00:00.123456Z", "2026-01-04T12:00:00.123456Z"},
		{"2026-01-04", "2026-01-03T23:00:00Z"},
		{"2026-01-04T12:00", "2026-01-04T11:00:00Z"},
		{"2026-01-04 12:00", "2026-01-04T11:00:00Z"},
		{"2026-01-04 12:00:30", "2026-01-04T11:00:30Z"},
		{"  now ", "2026-03-29T13:30:00Z"},
		{"15:04", "2026-03-29T13:04:00Z"},
		{"15:31", "2026-03-28T14:31:00Z"},
		{"9:05", "2026-03-29T07:05:00Z"},
		{"today", "2026-03-28T23:00:00Z"},
		{"today 9:00", "2026-03-29T07:00:00Z"},
		{"Yesterday 14:00", "2026-03-28T13:00:00Z"},
		{"yesterday", "2026-03-27T23:00:00Z"},
		{"2h ago", "2026-03-29T11:30:00Z"},
		{"1h30m ago", "2026-03-29T12:00:00Z"},
		{"90 minutes ago", "2026-03-29T12:00:00Z"},
		{"1 day ago", "2026-03-28T14:30:00Z"},
		{"3d ago", "2026-03-26T14:30:00Z"},
		{"2 weeks ago", "2026-03-15T14:30:00Z"},
		{"1 month ago", "2026-03-01T14:30:00Z"},
		{"1 year ago", "2025-03-29T14:30:00Z"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.text, "/", "|"), func(t *testing.T) {
			got, err := parseTime(tt.text, now, berlin)
			if err != nil {
				t.Fatal(err)
			}
			if s := got.UTC().Format(time.RFC3339Nano); s != tt.want && berlin.String() == "Europe/Berlin" {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
	for _, text := range []string{"", "never", "25:00", "2026-13-01", "ago", "x ago", "-2h ago", "2 parsecs ago", "yesterday noon", "tomorrow", "12", "99999999999 days ago"} {
		if got, err := parseTime(text, now, time.UTC); !errors.Is(err, errTime) {
			t.Errorf("%q is %v, %v, want no time", text, got, err)
		}
	}
}

func TestParseTimeNeverPanics(t *testing.T) {
	words := []string{"yesterday", "today", "ago", "2", "h", " ", ":", "14", "-", "2026", "days", "T", "now"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 6).Draw(t, "words"), "")
		now := time.Date(2026, 3, 29, 15, 0, 0, 0, time.UTC)
		if got, err := parseTime(text, now, time.UTC); err == nil && got.IsZero() {
			t.Fatalf("%q is the zero time", text)
		}
	})
}

func TestSplitVersion(t *testing.T) {
	a := newApp()
	tests := []struct{ arg, file, version string }{
		{"a.json", "a.json", ""},
		{"a.json@12", "a.json", "12"},
		{"a.json@12.1", "a.json", "12.1"},
		{"a.json@~1", "a.json", "~1"},
		{"a.json@~", "a.json", "~"},
		{"a.json@yesterday 14:00", "a.json", "yesterday 14:00"},
		{"a.json@2026-01-04T12:00:00Z", "a.json", "2026-01-04T12:00:00Z"},
		{"me@home.json", "me@home.json", ""},
		{"me@home.json@3", "me@home.json", "3"},
		{"a.json@nonsense", "a.json@nonsense", ""},
		{"@3", "@3", ""},
		{"a.json@", "a.json@", ""},
	}
	for _, tt := range tests {
		if file, version := a.splitVersion(tt.arg); file != tt.file || version != tt.version {
			t.Errorf("%q is %q and %q, want %q and %q", tt.arg, file, version, tt.file, tt.version)
		}
	}
}

// testLog has two versions, a removal, and two more.
func testLog() []store.Entry {
	day := func(d int) time.Time { return time.Date(2026, 3, d, 12, 0, 0, 0, time.UTC) }
	return []store.Entry{
		{Tx: 16, Version: "1", Time: day(20)},
		{Tx: 32, Version: "2", Time: day(22)},
		{Tx: 32, Version: "2", Time: day(24), Removed: true},
		{Tx: 48, Version: "3", Time: day(26)},
		{Tx: 49, Version: "3.1", Time: day(28)},
	}
}

func TestPick(t *testing.T) {
	a := newApp()
	tests := []struct{ spec, want string }{
		{"1", "1"}, {"3.1", "3.1"}, {"2", "2"},
		{"~0", "3.1"}, {"~1", "3"}, {"~", "3"}, {"~2", "2"}, {"~3", "1"},
		{"2026-03-21", "1"}, {"2026-03-22T12:00:00Z", "2"}, {"yesterday 13:00", "3.1"}, {"2d ago", "3"},
	}
	for _, tt := range tests {
		spec, err := a.parseVersion(tt.spec)
		if err != nil {
			t.Errorf("%s: %v", tt.spec, err)
			continue
		}
		if e, err := spec.pick(testLog()); err != nil || e.Version != tt.want || e.Removed {
			t.Errorf("%s is %+v, %v, want %s", tt.spec, e, err, tt.want)
		}
	}
	for _, text := range []string{"7", "~4", "2026-03-01", "2026-03-25"} {
		spec, err := a.parseVersion(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if e, err := spec.pick(testLog()); !errors.Is(err, store.ErrNoVersion) {
			t.Errorf("%s is %+v, %v, want none", text, e, err)
		}
	}
	for _, text := range []string{"", "x", "~x", "~-1"} {
		if spec, err := a.parseVersion(text); err == nil {
			t.Errorf("%q is %+v", text, spec)
		}
	}
	if e, err := beforeNow(testLog()); err != nil || e.Version != "3" {
		t.Errorf("before now is %+v, %v", e, err)
	}
	if e, err := beforeNow(testLog()[:3]); err != nil || e.Version != "2" {
		t.Errorf("before the removal is %+v, %v", e, err)
	}
	if _, err := beforeNow(testLog()[:1]); !errors.Is(err, store.ErrNoVersion) {
		t.Errorf("before the first is %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	plain := errors.New("plain")
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"plain", plain, 1},
		{"usage", usageError{plain}, 3},
		{"config", fmt.Errorf("x: %w", &store.ConfigError{Line: 1}), 3},
		{"refused", refused{plain}, 4},
		{"refused-config", refused{&store.ConfigError{}}, 4},
		{"damaged", fmt.Errorf("x: %w", store.ErrDamaged), 5},
		{"damaged-at-mount", refused{store.ErrDamaged}, 5},
		{"invalid", hint(invalid{plain}, "do"), 6},
		{"interrupted", interrupted{plain}, 130},
		{"command", exitStatus(7), 7},
		{"command-interrupted", interrupted{exitStatus(137)}, 137},
		{"relayed", hint(relayed{Code: 4, Message: "x"}, "y"), 4},
		{"remote-damage", &control.Error{Code: "damaged", Message: "x"}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := exitCode(tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"none", nil, ""},
		{"plain", errors.New("it broke"), "error: it broke\n"},
		{"several-lines", errors.Join(errors.New("one"), errors.New("two")), "error: one; two\n"},
		{"own-hint", hint(errors.New("it broke"), "mend %s", "it"), "error: it broke\nhint: mend it\n"},
		{"kind-hint", fmt.Errorf("a.json: %w", store.ErrNoVersion), "error: a.json: no such version\nhint: intact log FILE lists the versions\n"},
		{"command", exitStatus(3), ""},
		{"interrupted", interrupted{usageError{errors.New("x")}}, "error: interrupted\n"},
		{"permission", fmt.Errorf("open x: %w", iofs.ErrPermission), "error: open x: permission denied\nhint: run it as the user who mounted the directory, or as root\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			a := newApp()
			a.stderr = &b
			a.report(tt.err)
			if b.String() != tt.want {
				t.Errorf("told %q, want %q", b.String(), tt.want)
			}
		})
	}
	for _, err := range []error{store.ErrFormat, store.ErrUninitialized, store.ErrNoHistory, store.ErrNotRejected, store.ErrLocked, control.ErrUnknownOp, usageError{errors.New("x")}} {
		if hintFor(err) == "" {
			t.Errorf("%v comes without a hint", err)
		}
	}
}

func TestMountHelperArgs(t *testing.T) {
	tests := []struct {
		name, argv, want string
	}{
		{"plain", "intact mount d", ""},
		{"no-arguments", "intact", ""},
		{"one-path", "intact /d", ""},
		{"fuse3", "intact /d /m -o rw,noatime", "mount --option=noatime -- /d /m"},
		{"joined", "intact /d /m -orw,durability=relaxed", "mount --durability=relaxed -- /d /m"},
		{"by-name", "/sbin/mount.fuse.intact d m", "mount -- d m"},
		{"flags", "mount.intact d m -t fuse.intact -v -n -s -o defaults,nofail,x-systemd.automount,idle_commit=1s,verbose",
			"mount --verbose --idle-commit=1s --verbose -- d m"},
		{"underscores", "mount.intact d m -o on-conflict=refuse,publish_delay=5s,log_file=/var/log/x",
			"mount --on-conflict=refuse --publish-delay=5s --log-file=/var/log/x -- d m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := mountHelperArgs(strings.Fields(tt.argv))
			if ok != (tt.want != "") || strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestMountOf(t *testing.T) {
	mounts := []mounted{{point: "/a"}, {point: "/a/b/c"}, {point: "/x"}, {point: "/x", id: 2}}
	for path, want := range map[string]string{
		"/a": "/a", "/a/b": "/a", "/a/b/c": "/a/b/c", "/a/b/c/d": "/a/b/c", "/ab": "", "/": "", "/x/y": "/x",
	} {
		m, ok := mountOf(mounts, path)
		if ok != (want != "") || m.point != want {
			t.Errorf("%s is in %q, want %q", path, m.point, want)
		}
	}
	if m, _ := mountOf(mounts, "/x"); m.id != 2 {
		t.Errorf("not the mount on top: %+v", m)
	}
	if !within("/", "/a") || !within("/a", "/a") || within("/a", "/ab") {
		t.Error("within is wrong")
	}
}

func TestDiffOutput(t *testing.T) {
	tests := []struct{ name, file, before, after, want string }{
		{"json", "a.json", `{"a":1,"b":[1,2],"c":"x"}`, `{"a":2,"b":[1,2,3],"d":null}`,
			"~ /a: 1 → 2\n+ /b/-: 3\n- /c: \"x\"\n+ /d: null\n"},
		{"same", "a.json", `{"a":1}`, `{"a":1}`, ""},
		{"spelling", "a.json", `{"a":1}`, `{ "a": 1 }`, "the values are the same; the bytes differ\n"},
		{"yaml", "a.yaml", "a: 1\n", "a: 2\n", "~ /a: 1 → 2\n"},
		{"toml", "a.toml", "a = 1\n", "a = 2\n", "~ /a: 1 → 2\n"},
		{"lines", "a.jsonl", "{\"a\":1}\n", "{\"a\":1}\n{\"b\":2}\n", "+ /-: {\"b\":2}\n"},
		{"html", "a.json", `{"a":"<b>"}`, `{"a":"&"}`, "~ /a: \"<b>\" → \"&\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			a := newApp()
			a.stdout = &b
			if err := a.printDiff(tt.file, "1", []byte(tt.before), "2", []byte(tt.after)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("text", func(t *testing.T) {
		var b bytes.Buffer
		a := newApp()
		a.stdout, a.color = &b, true
		if err := a.printDiff("a.txt", "1", []byte("one\ntwo\n"), "2", []byte("one\nthree\n")); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); !strings.Contains(got, "\x1b[31m-two\x1b[0m") || !strings.Contains(got, "\x1b[32m+three\x1b[0m") {
			t.Errorf("output is %q", got)
		}
	})
	t.Run("json-of-text", func(t *testing.T) {
		a := newApp()
		a.asJSON = true
		if err := a.printDiff("a.txt", "1", []byte("one"), "2", []byte("two")); exitCode(err) != exitInvalid {
			t.Errorf("got %v", err)
		}
	})
	t.Run("json-of-nothing", func(t *testing.T) {
		var b bytes.Buffer
		a := newApp()
		a.stdout, a.asJSON = &b, true
		if err := a.printDiff("a.json", "1", []byte("{}"), "2", []byte("{}")); err != nil || strings.TrimSpace(b.String()) != "[]" {
			t.Errorf("printed %q, %v", b.String(), err)
		}
	})
}

func TestSummary(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{`{"a":1}`, `{"a":2,"b":1}`, "+1 -0 ~1"}, {`{"a":1}`, `{}`, "+0 -1 ~0"}, {`torn`, `{}`, "not compared"},
	} {
		if got := summary("a.json", []byte(tt.before), []byte(tt.after)); got != tt.want {
			t.Errorf("%s to %s is %q, want %q", tt.before, tt.after, got, tt.want)
		}
	}
}

func TestLogFileRotates(t *testing.T) {
	dir := t.TempDir()
	l, err := openLogDir(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	l.max = 100
	line := strings.Repeat("x", 39) + "\n"
	for range 7 {
		if _, err := io.WriteString(l, line); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{"log": 1, "log.1": 2} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(content) != strings.Repeat(line, want) {
			t.Errorf("%s holds %d lines, want %d: %v", name, bytes.Count(content, []byte("\n")), want, err)
		}
	}
	// A daemon that starts again goes on where the log was.
	if _, err := io.WriteString(l, line); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "log")); err != nil || st.Size() != 80 {
		t.Errorf("log is %v, %v", st, err)
	}
	_ = l.Close()
}

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	newLog(&b, false, slog.LevelInfo).Info("hallo", "path", "a.json")
	if got := b.String(); !strings.HasPrefix(got, "{") || !strings.Contains(got, `"path":"a.json"`) {
		t.Errorf("not JSON: %q", got)
	}
	b.Reset()
	newLog(&b, true, slog.LevelInfo).Info("hallo", "path", "a.json")
	if got := b.String(); strings.HasPrefix(got, "{") || !strings.Contains(got, "hallo") {
		t.Errorf("not for people: %q", got)
	}
	b.Reset()
	newLog(&b, false, slog.LevelWarn).Info("hallo")
	if b.Len() > 0 {
		t.Errorf("told %q", b.String())
	}
}

func TestProgress(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	a := newApp()
	a.stderr, a.terminal, a.now = &b, true, func() time.Time { return now }
	p := a.newProgress("verifying")
	p.at(1, 10)
	if b.Len() > 0 {
		t.Errorf("shown at once: %q", b.String())
	}
	now = now.Add(2 * time.Second)
	p.at(5, 10)
	p.end()
	if !strings.Contains(b.String(), "verifying") {
		t.Errorf("not shown after two seconds: %q", b.String())
	}
	b.Reset()
	a.terminal = false
	p = a.newProgress("verifying")
	now = now.Add(time.Hour)
	p.at(5, 10)
	p.end()
	if b.Len() > 0 {
		t.Errorf("shown where there is no terminal: %q", b.String())
	}
}

func TestReady(t *testing.T) {
	tests := []struct {
		name, text string
		code       int
		hint       string
	}{
		{"serving", `{"code":0}`, 0, ""},
		{"read-only", `{"code":0,"warning":"mounted read-only"}`, 0, ""},
		{"refused", `{"code":4,"message":"no","hint":"do"}`, 4, "do"},
		{"damaged", `{"code":5,"message":"no"}`, 5, ""},
		{"died", ``, 1, "intact mount -f shows why"},
		{"garbage", `panic: x`, 1, "intact mount -f shows why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			warning, err := readReady(strings.NewReader(tt.text))
			if want := strings.Contains(tt.text, "warning"); (warning != "") != want {
				t.Errorf("warning is %q, want %v", warning, want)
			}
			if got := exitCode(err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if got := hintFor(err); err != nil && got != tt.hint {
				t.Errorf("hint is %q, want %q", got, tt.hint)
			}
		})
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	readyPipe{w}.failed(hint(refused{errors.New("no")}, "do"))
	if _, err := readReady(r); exitCode(err) != exitRefused || hintFor(err) != "do" {
		t.Errorf("through the pipe it is %v, %d", err, exitCode(err))
	}
	openReady(0).serving("") // nobody waits: nothing happens
}

func TestWaitLock(t *testing.T) {
	dir := t.TempDir()
	if err := waitLock(context.Background(), dir, time.Second); err != nil {
		t.Errorf("without a lock: %v", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	s, err := store.Open(d, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := waitLock(context.Background(), dir, 20*time.Millisecond); err == nil {
		t.Error("a lock that is held is not waited for")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := waitLock(ctx, dir, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := waitLock(context.Background(), dir, time.Minute); err != nil {
		t.Errorf("after the close: %v", err)
	}
}

func TestScanHolders(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("12/comm", "writer\n")
	write("12/fdinfo/3", "pos:\t0\nflags:\t02\nmnt_id:\t77\nino:\t5\n")
	write("13/comm", "other\n")
	write("13/fdinfo/3", "mnt_id:\t7\n")
	write("14/comm", "shell\n")
	if err := os.Symlink("/mnt/sub", filepath.Join(proc, "14", "cwd")); err != nil {
		t.Fatal(err)
	}
	write("self/comm", "self\n")
	got := describe(scanHolders(proc, mounted{point: "/mnt", id: 77}))
	if want := "writer (process 12) has files open, shell (process 14) works in it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	many := make([]holder, 8)
	if got := describe(many); !strings.HasSuffix(got, "and 3 more") {
		t.Errorf("many are %q", got)
	}
}

func TestCounts(t *testing.T) {
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 1234: "1,234 files"} {
		if got := count(n, "file"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := size(-5); got != "0 B" {
		t.Errorf("a negative size is %q", got)
	}
}

func TestVerdict(t *testing.T) {
	p := []store.Problem{{Path: "a.json", What: "torn", Line: 3, Column: 7, Good: "12"}}
	for _, tt := range []struct {
		name   string
		report store.VerifyReport
		code   int
	}{
		{"sound", store.VerifyReport{Warnings: p}, 0},
		{"wrong", store.VerifyReport{Problems: p}, exitInvalid},
		{"damaged", store.VerifyReport{Problems: p, Damage: p}, exitDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := verdict("d", tt.report)
			if got := exitCode(err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if err != nil && !strings.Contains(err.Error(), "a.json:3:7: torn (last good version: 12)") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestEveryCommandIsDescribed(t *testing.T) {
	root := newApp().root()
	for _, c := range root.Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Short != strings.ToLower(c.Short[:1])+c.Short[1:] {
			t.Errorf("%s is described as %q", c.Name(), c.Short)
		}
	}
}
