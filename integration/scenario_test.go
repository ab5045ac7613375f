package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// TestLockedIncrements lets four processes add one forty times each.
func TestLockedIncrements(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	for _, kind := range []string{"flock", "flock-unlock", "lockf", "lock-file"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			path := m.File(kind + ".json")
			save(t, path, []byte(`{"n": 0}`))
			runTogether(t, 4, func(int) []string {
				return []string{harness.Tool(t, "python3"), "testdata/increment.py", kind, path}
			})
			wantContent(t, path, `{"n": 160}`)
		})
	}
}

// runTogether runs n processes at once to their end.
func runTogether(t *testing.T, n int, args func(i int) []string) {
	t.Helper()
	var procs []*harness.Proc
	for i := range n {
		procs = append(procs, harness.Cmd{Args: args(i)}.Start(t))
	}
	for _, p := range procs {
		if r := p.Wait(t, 2*harness.Patience); r.Code != 0 {
			t.Errorf("exit %d\n%s", r.Code, r.Stderr)
		}
	}
}

// TestAppenders lets four processes append fifty lines each to one log.
func TestAppenders(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	for _, kind := range []string{"reopen", "hold"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			path := m.File(kind + ".jsonl")
			save(t, path, []byte("{\"who\": \"first\", \"n\": 0}\n"))
			runTogether(t, 4, func(i int) []string {
				return []string{harness.Tool(t, "python3"), "testdata/append.py", kind, path, fmt.Sprint(i)}
			})
			content := must(os.ReadFile(path))
			next := map[string]int{}
			for line := range bytes.Lines(content) {
				var l struct {
					Who string
					N   int
				}
				if err := json.Unmarshal(line, &l); err != nil {
					t.Fatalf("line %.80q: %v", line, err)
				}
				if l.N != next[l.Who] {
					t.Errorf("line %d of %s comes where %d is due", l.N, l.Who, next[l.Who])
				}
				next[l.Who]++
			}
			if got := bytes.Count(content, []byte("\n")); got != 201 {
				t.Errorf("%d lines, want 201", got)
			}
		})
	}
}

func shell(t *testing.T, script string, args ...string) harness.Result {
	t.Helper()
	return harness.Run(t, append([]string{"sh", "-c", script, "sh"}, args...)...)
}

// TestSharedDescriptors has one descriptor written and closed by several
// processes.
func TestSharedDescriptors(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	t.Run("two-documents-are-none", func(t *testing.T) {
		path := m.File("two.json")
		save(t, path, []byte(old))
		r := shell(t, `{ /bin/echo '{"first":1}'; cat "$1"; sleep 0.1; /bin/echo '{"second":1}'; } > "$1"`, path)
		if strings.Contains(r.Stderr, "echo") || strings.Contains(r.Stderr, "sleep") {
			t.Errorf("a command complains that is not to blame: %s", r.Stderr)
		}
		wantContent(t, path, old)
	})
	t.Run("two-commands-one-document", func(t *testing.T) {
		path := m.File("one.json")
		save(t, path, []byte(old))
		r := shell(t, `{ /bin/echo '{"first":1,'; /bin/echo '"second":1}'; } > "$1"`, path)
		if r.Code != 0 || r.Stderr != "" {
			t.Errorf("exit %d: %s", r.Code, r.Stderr)
		}
		wantContent(t, path, "{\"first\":1,\n\"second\":1}\n")
	})
	t.Run("child-outlives-parent", func(t *testing.T) {
		path := m.File("outlive.json")
		save(t, path, []byte(old))
		r := runPython(t, `
import subprocess, sys
f = open(sys.argv[1], "w")
p = subprocess.Popen(["sh", "-c", "sleep 0.2; printf '{\"by\": \"child\"}'"], stdout=f)
f.close()
assert open(sys.argv[1]).read() == sys.argv[2], "the parent's close committed"
sys.exit(p.wait())
`, path, old)
		if r.Code != 0 {
			t.Errorf("exit %d\n%s", r.Code, r.Stderr)
		}
		wantContent(t, path, `{"by": "child"}`)
	})
	t.Run("killed-sibling", func(t *testing.T) {
		path := m.File("sibling.json")
		save(t, path, []byte(old))
		r := runPython(t, `
import os, signal, subprocess, sys
f = open(sys.argv[1], "w")
p = subprocess.Popen(["sleep", "60"], stdout=f)
f.write('{"by": ')
f.flush()
p.send_signal(signal.SIGKILL)
p.wait()
f.write('"survivor"}')
f.close()
`, path)
		if r.Code != 0 {
			t.Errorf("exit %d\n%s", r.Code, r.Stderr)
		}
		wantContent(t, path, `{"by": "survivor"}`)
	})
	t.Run("clean-handle", func(t *testing.T) {
		path := m.File("clean.json")
		save(t, path, []byte(old))
		r := shell(t, `exec 9>>"$1"; echo '{"newer": true}' > "$1"; exec 9>&-`, path)
		if r.Code != 0 {
			t.Errorf("exit %d\n%s", r.Code, r.Stderr)
		}
		// The shell still holds the file when it closes the one it wrote:
		// only the last release can tell, and nobody waits for that.
		harness.Eventually(t, "the newer is committed", func() bool {
			return string(must(os.ReadFile(path))) == "{\"newer\": true}\n"
		})
	})
}

// TestSignals ends a writer by each signal while its half is a document of its
// own: a line of a log, a bare number.
func TestSignals(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	for _, name := range []string{"SIGKILL", "SIGTERM", "SIGSEGV", "SIGXFSZ"} {
		for _, tt := range []struct{ file, old, half string }{
			{"log.jsonl", "{\"n\": 1}\n{\"n\": 2}\n", `{"n": 10}\n{"n": 20}\n{"n":`},
			{"number.json", "1234567\n", `42`},
			{"object.json", old, `{"half": tr`},
		} {
			t.Run(name+"/"+tt.file, func(t *testing.T) {
				t.Parallel()
				path := m.File(name + "-" + tt.file)
				save(t, path, []byte(tt.old))
				r := runPython(t, `
import os, signal, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(fd, sys.argv[2].replace("\\n", "\n").encode())
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
os.kill(os.getpid(), getattr(signal, sys.argv[3]))
signal.pause()
`, path, tt.half, name)
				if r.Signal == 0 {
					t.Fatalf("the writer was not killed: exit %d\n%s", r.Code, r.Stderr)
				}
				wantContent(t, path, tt.old)
			})
		}
	}
}

// TestSeenAtOnce writes, closes and reads 300 times.
func TestSeenAtOnce(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	for seq := range int64(300) {
		want := makeDocument(seq, int(seq)%60)
		save(t, path, want)
		if got := must(os.ReadFile(path)); !bytes.Equal(got, want) {
			t.Fatalf("round %d: %.60q after %.60q was saved", seq, got, want)
		}
	}
}

// TestHeldHandle saves through a handle that is never closed.
func TestHeldHandle(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	save(t, path, []byte(old))
	saves := []string{`{"longer": "` + strings.Repeat("x", 9000) + `"}`, `{"short": 1}`, `{"longer": "` + strings.Repeat("y", 300) + `"}`}
	p := harness.Cmd{
		Args:  []string{harness.Tool(t, "python3"), "testdata/held.py", path},
		Stdin: strings.Join(saves, "\n") + "\n",
	}.Start(t)
	if r := p.Wait(t, 0); r.Code != 0 {
		t.Fatalf("exit %d\n%s", r.Code, r.Stderr)
	}
	wantContent(t, path, saves[2])
	for _, want := range saves {
		found := false
		for _, v := range m.Versions(path) {
			found = found || v.Holds(want)
		}
		if !found {
			t.Errorf("no version holds %.40q", want)
		}
	}
}

// TestRenamesUnderReaders replaces a file by rename while it is opened and
// looked at all the time.
func TestRenamesUnderReaders(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path, temp := m.File("state.json"), m.File("state.tmp")
	save(t, path, makeDocument(0, 10))
	stop := make(chan struct{})
	var looks atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var last int64
			for {
				select {
				case <-stop:
					return
				default:
				}
				looks.Add(1)
				if _, err := os.Stat(path); err != nil {
					t.Errorf("stat: %v", err)
					return
				}
				content, err := os.ReadFile(path)
				var n int64
				if err == nil {
					n, err = parse(content)
				}
				if err != nil || n < last {
					t.Errorf("read: document %d after %d, %v", n, last, err)
					return
				}
				last = n
			}
		})
	}
	for seq := range int64(harness.Scale(1000, 10_000)) {
		err := os.WriteFile(temp, makeDocument(seq, 10), 0o644)
		if err == nil {
			err = os.Rename(temp, path)
		}
		if err != nil {
			t.Errorf("round %d: %v", seq, err)
			break
		}
	}
	close(stop)
	readers.Wait()
	t.Logf("%d looks", looks.Load())
}

// TestAttributes sets mode, owner and times before the close, by path and by
// descriptor: they are on what was committed.
func TestAttributes(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("state.json")
	save(t, path, []byte(old))
	before := stat(t, path)
	r := runPython(t, `
import os, sys
f = open(sys.argv[1], "w")
f.write('{"a": 1}')
os.fchmod(f.fileno(), 0o640)
os.setxattr(sys.argv[1], "user.colour", b"blue")
f.flush()
os.utime(sys.argv[1], (1_000_000_000, 1_000_000_000))
f.close()
`, path)
	if r.Code != 0 {
		t.Fatalf("exit %d\n%s", r.Code, r.Stderr)
	}
	check := func(path string) {
		t.Helper()
		st := stat(t, path)
		if st.Mode&0o7777 != 0o640 || st.Mtim.Sec != 1_000_000_000 {
			t.Errorf("mode %o, mtime %d, want 640, 1000000000", st.Mode&0o7777, st.Mtim.Sec)
		}
		value := make([]byte, 10)
		if n, err := syscall.Getxattr(path, "user.colour", value); err != nil || string(value[:max(n, 0)]) != "blue" {
			t.Errorf("the attribute is %q, %v", value[:max(n, 0)], err)
		}
	}
	check(path)
	if st := stat(t, path); st.Ino != before.Ino {
		t.Errorf("the inode number went from %d to %d", before.Ino, st.Ino)
	}
	m.Unmount()
	check(m.Backing("state.json"))
	m.Start()
	check(path)
	if st := stat(t, path); st.Ino != before.Ino {
		t.Errorf("the inode number went from %d to %d with a new daemon", before.Ino, st.Ino)
	}
}

func stat(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return st
}

// TestBindMountedFile saves through a single file that is mounted elsewhere,
// where a rename onto it fails natively.
func TestBindMountedFile(t *testing.T) {
	harness.NeedRoot(t)
	m := harness.Start(t, harness.Options{})
	save(t, m.File("state.json"), []byte(old))
	elsewhere := t.TempDir() + "/bound.json"
	save(t, elsewhere, nil)
	harness.Must(t, "mount", "--bind", m.File("state.json"), elsewhere)
	unbind := sync.OnceFunc(func() { harness.Must(t, "umount", elsewhere) })
	defer unbind()
	save(t, elsewhere, []byte(`{"through": "bind"}`))
	wantContent(t, m.File("state.json"), `{"through": "bind"}`)
	if r := runPython(t, `import sys; f = open(sys.argv[1], "w"); f.write("{"); f.close()`, elsewhere); r.Code == 0 {
		t.Error("a broken save through the bind mount was not refused")
	}
	wantContent(t, elsewhere, `{"through": "bind"}`)
	save(t, m.File("state.json"), []byte(`{"through": "mount"}`))
	wantContent(t, elsewhere, `{"through": "mount"}`)
	unbind()
}

// TestNewNameAppearsWhole creates a file: nobody else sees the name before it
// is complete.
func TestNewNameAppearsWhole(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	path := m.File("new.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString(`{"new": `); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, iofs.ErrNotExist) {
		t.Logf("a name that is not complete is there for its own writer: %v", err)
	}
	r := harness.Run(t, "cat", path)
	if r.Code == 0 {
		t.Errorf("somebody else reads %q of an unfinished file", r.Stdout)
	}
	if _, err := f.WriteString(`true}`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, `{"new": true}`)
	if ls := harness.Must(t, "ls", m.Point); ls != "new.json\n" {
		t.Errorf("ls shows %q", ls)
	}
}

// TestSavesDoNotWaitForPublishing: a commit is not put off until the backing
// directory is up to date.
func TestSavesDoNotWaitForPublishing(t *testing.T) {
	m := harness.Start(t, harness.Options{Flags: []string{"--publish-delay=1h"}})
	start := time.Now()
	for seq := range int64(50) {
		save(t, m.File("state.json"), makeDocument(seq, 100))
	}
	if took := time.Since(start); took > harness.Patience {
		t.Errorf("50 saves took %v", took)
	}
	m.Unmount()
	wantContent(t, m.Backing("state.json"), string(makeDocument(49, 100)))
}
