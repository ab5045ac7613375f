package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intactfs/integration/harness"
)

// The exit codes of intact that these tests expect.
const (
	exitUsage        = 3
	exitMountRefused = 4
	exitDamaged      = 5
	exitInvalid      = 6
)

const old = `{"version": "old", "kept": true}` + "\n"

// runPython runs a program given as text, with its arguments in sys.argv[1:].
func runPython(t *testing.T, program string, args ...string) harness.Result {
	t.Helper()
	return harness.Run(t, append([]string{harness.Tool(t, "python3"), "-c", program}, args...)...)
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("read: %v, want %.60q", err, want)
	} else if string(got) != want {
		t.Errorf("%s holds %d bytes %.60q, want %.60q", path, len(got), got, want)
	}
}

// wantRefused fails unless the command failed as told, with a reason.
func wantRefused(t *testing.T, r harness.Result, code int, says ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit %d, want %d\n%s%s", r.Code, code, r.Stdout, r.Stderr)
	}
	for _, s := range says {
		if !strings.Contains(r.Stderr, s) {
			t.Errorf("stderr does not say %q:\n%s", s, r.Stderr)
		}
	}
}

func TestInvalidSaveIsRefused(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	save(t, path, []byte(old))
	const bad = "{\n  \"version\": \"new\",\n  \"broken\": oops\n}\n"
	r := runPython(t, `
import sys, errno
f = open(sys.argv[1], "w")
f.write(sys.argv[2])
try:
    f.close()
except OSError as e:
    print(errno.errorcode[e.errno])
`, path, bad)
	if got := strings.TrimSpace(r.Stdout); got != "EBADMSG" {
		t.Errorf("close said %q, want EBADMSG\n%s", got, r.Stderr)
	}
	wantContent(t, path, old)

	t.Run("log", func(t *testing.T) {
		var line string
		harness.Eventually(t, "the log tells of the refusal", func() bool {
			for _, l := range strings.Split(m.Log(), "\n") {
				if strings.Contains(l, "state.json") && strings.Contains(strings.ToLower(l), "refused") {
					line = l
					return true
				}
			}
			return false
		})
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("the log is not JSON: %v: %s", err, line)
		}
		for key, want := range map[string]string{"path": "state.json", "program": "python3", "line": "3", "column": "13"} {
			if got := strings.Trim(string(must(json.Marshal(fields[key]))), `"`); !strings.HasPrefix(got, want) {
				t.Errorf("%s is %s, want %s: %s", key, got, want, line)
			}
		}
	})
	t.Run("rejected", func(t *testing.T) {
		list := m.MustIntact("rejected", "list", m.Point)
		for _, want := range []string{"state.json", "3", "13", "python3"} {
			if !strings.Contains(list, want) {
				t.Errorf("intact rejected list does not tell %q:\n%s", want, list)
			}
		}
		if got := m.MustIntact("rejected", "show", path); got != bad {
			t.Errorf("intact rejected show printed %q, want %q", got, bad)
		}
	})
	m.Unmount()
	wantContent(t, m.Backing("state.json"), old)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestRenameOfInvalidIsRefused(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path, temp := m.File("state.json"), m.File("state.tmp")
	save(t, path, []byte(old))
	save(t, temp, []byte(`{"half":`))
	r := harness.Run(t, "mv", temp, path)
	if r.Code == 0 || !strings.Contains(r.Stderr, "Bad message") {
		t.Errorf("mv: exit %d, %q, want a bad message", r.Code, r.Stderr)
	}
	wantContent(t, path, old)
	wantContent(t, temp, `{"half":`)
}

func TestEmptyResultKeepsTheOld(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	tests := []struct{ name, program string }{
		{"truncating-open", `open(sys.argv[1], "w").close()`},
		{"truncate-by-path", `os.truncate(sys.argv[1], 0)`},
		{"write-then-empty", `f = open(sys.argv[1], "w"); f.write("{"); f.flush(); f.truncate(0); f.close()`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := m.File(tt.name + ".json")
			save(t, path, []byte(old))
			if r := runPython(t, "import os, sys\n"+tt.program, path); r.Code != 0 {
				t.Errorf("exit %d\n%s", r.Code, r.Stderr)
			}
			wantContent(t, path, old)
		})
	}
	m.Unmount()
	for _, tt := range tests {
		wantContent(t, m.Backing(tt.name+".json"), old)
	}
}

func TestMountRefusals(t *testing.T) {
	harness.NeedFUSE(t)
	m := harness.Start(t, harness.Options{})
	save(t, m.File("state.json"), []byte(old))
	if err := os.Mkdir(m.File("below"), 0o755); err != nil {
		t.Fatal(err)
	}
	free := t.TempDir()
	file := filepath.Join(free, "file")
	save(t, file, nil)
	other := t.TempDir()
	tests := []struct {
		name string
		args []string
	}{
		{"directory-missing", []string{filepath.Join(free, "nowhere")}},
		{"point-missing", []string{free, filepath.Join(free, "nowhere")}},
		{"directory-is-a-file", []string{file}},
		{"mounted-directory-again", []string{m.Dir, other}},
		{"over-a-mount", []string{other, m.Point}},
		{"mount-of-a-mount", []string{m.Point, other}},
		{"directory-inside-a-mount", []string{m.File("below"), other}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(must(os.ReadFile("/proc/self/mountinfo")))
			r := m.Intact(append([]string{"mount"}, tt.args...)...)
			wantRefused(t, r, exitMountRefused, "error: ")
			if after := len(must(os.ReadFile("/proc/self/mountinfo"))); r.Code == 0 && after > before {
				_ = m.Intact("unmount", tt.args[len(tt.args)-1])
			}
		})
	}
	wantContent(t, m.File("state.json"), old)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"mount"}, {"mount", "--no-such-flag", "x"}, {"nonsense"}, {"restore"}} {
		r := harness.Run(t, append([]string{harness.Binary(t)}, args...)...)
		wantRefused(t, r, exitUsage, "error: ")
	}
}

func TestGarbageInConfig(t *testing.T) {
	m := harness.New(t, harness.Options{Damaged: true})
	mustWrite(t, m.Backing("state.json"), old)
	mustWrite(t, m.Backing(".intact/config.toml"), "durability = \"full\"\n]] garbage [[\n")
	r := harness.Run(t, m.Args()...)
	wantRefused(t, r, exitMountRefused, "error: ", "config.toml", "2")
	wantContent(t, m.Backing("state.json"), old)

	mustWrite(t, m.Backing(".intact/config.toml"), "durability = \"sometimes\"\n")
	r = harness.Run(t, m.Args()...)
	wantRefused(t, r, exitMountRefused, "error: ", "config.toml", "sometimes")
	wantContent(t, m.Backing("state.json"), old)
}

func mustWrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	save(t, path, []byte(content))
}

// newest is the largest file below dir whose name has the suffix.
func biggest(t *testing.T, dir string) string {
	t.Helper()
	var best string
	var size int64 = -1
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > size {
			best, size = path, info.Size()
		}
		return err
	})
	if err != nil || best == "" {
		t.Fatalf("no file below %s: %v", dir, err)
	}
	return best
}

// flip turns over bits where needle is found in the file.
func flip(t *testing.T, path string, needle []byte) {
	t.Helper()
	content := must(os.ReadFile(path))
	at := bytes.Index(content, needle)
	if at < 0 {
		t.Fatalf("%s does not hold %q", path, needle)
	}
	content[at+len(needle)/2] ^= 0x55
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// segmentHolding is the journal segment that holds the needle.
func segmentHolding(t *testing.T, m *harness.Mount, needle string) string {
	t.Helper()
	names, err := filepath.Glob(m.Backing(".intact/journal/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if bytes.Contains(must(os.ReadFile(name)), []byte(needle)) {
			return name
		}
	}
	t.Fatalf("none of %q holds %q", names, needle)
	return ""
}

func TestDamagedJournal(t *testing.T) {
	// Nothing is published before the kill: the journal alone has the saves.
	m := harness.Start(t, harness.Options{Damaged: true, Flags: []string{"--publish-delay=1h"}})
	save(t, m.File("state.json"), []byte(old))
	m.Unmount()
	m.Start()
	save(t, m.File("state.json"), []byte(`{"mark": "first-mark-of-the-journal"}`))
	save(t, m.File("state.json"), []byte(`{"mark": "second-mark-of-the-journal"}`))
	save(t, m.File("other.json"), []byte(`{"mark": "third-mark-of-the-journal"}`))
	m.Kill()
	segment := segmentHolding(t, m, "first-mark-of-the-journal")
	flip(t, segment, []byte("first-mark-of-the-journal"))
	damaged := must(os.ReadFile(segment))

	wantRefused(t, m.Intact("verify", m.Dir), exitDamaged, "error: ")
	wantRefused(t, m.Intact("recover", m.Dir), exitDamaged, "error: ")
	wantContent(t, m.Backing("state.json"), old)
	if !bytes.Equal(must(os.ReadFile(segment)), damaged) {
		t.Error("the damaged segment was changed")
	}
	// The mount comes up read-only, and says why.
	m.Start()
	if content := must(os.ReadFile(m.File("state.json"))); !json.Valid(content) {
		t.Errorf("state.json reads as %q", content)
	}
	if err := os.WriteFile(m.File("state.json"), []byte(`{}`), 0o644); err == nil {
		t.Error("a save succeeded over a damaged journal")
	}
	m.Unmount()
}

func TestDamagedHistory(t *testing.T) {
	m := harness.Start(t, harness.Options{Damaged: true})
	for seq := range int64(5) {
		save(t, m.File("state.json"), makeDocument(seq+1, 2000))
	}
	m.Unmount()
	m.Verify()
	pack := biggest(t, m.Backing(".intact/history"))
	content := must(os.ReadFile(pack))
	content[len(content)/2] ^= 0x55
	if err := os.WriteFile(pack, content, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, m.Intact("verify", m.Dir), exitDamaged, "error: ", "state.json")
	want := string(makeDocument(5, 2000))
	wantContent(t, m.Backing("state.json"), want)
	m.Start() // damaged history is no reason to refuse service
	wantContent(t, m.File("state.json"), want)
	save(t, m.File("state.json"), makeDocument(6, 2000))
	wantContent(t, m.File("state.json"), string(makeDocument(6, 2000)))
	m.Unmount()
}

func TestVerifyFindsForeignChanges(t *testing.T) {
	m := harness.Start(t, harness.Options{Damaged: true})
	save(t, m.File("state.json"), []byte(old))
	m.Unmount()
	m.Verify()
	mustWrite(t, m.Backing("state.json"), `{"torn":`)
	wantRefused(t, m.Intact("verify", m.Dir), exitInvalid, "state.json")
}
