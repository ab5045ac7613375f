// Package harness lets tests drive the real intact binary: it builds it once
// for a test process, mounts it over directories of the test's own and runs
// programs against them.
//
// Nothing here may hang or leave something behind: every command has a
// timeout, every process dies with the test process, a mount that stays busy
// is detached, and a daemon that stops answering is killed, which turns every
// blocked system call into an error. Nothing here knows a package of the
// project: the command line is the whole interface.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen soon. It is only
// ever reached when something is broken or the machine is lost.
const Patience = 60 * time.Second

// buildDir is where Main has the binary built.
var buildDir string

var binary struct {
	once sync.Once
	path string
	err  error
}

// Main runs the tests of a package and removes the binary they built. Call it
// from TestMain and exit with what it returns.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "intact-binary-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	buildDir = dir
	code := m.Run()
	for _, point := range leftMounts() {
		fmt.Fprintln(os.Stderr, "integration: a mount was left behind:", point)
		detach(point)
		code = 1
	}
	return code
}

// Binary is the path of intact, built when first asked for. INTACT_BINARY
// names one that exists instead.
func Binary(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.path = os.Getenv("INTACT_BINARY"); binary.path != "" {
			return
		}
		binary.path = filepath.Join(buildDir, "intact")
		out, err := exec.Command("go", "build", "-o", binary.path, "intactfs/cmd/intact").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("build intact: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// required reports whether a test that lacks something must fail.
func required() bool {
	return os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != ""
}

// Lacks ends a test that can't have what it needs: it is skipped on a
// developer's machine and fails where everything is said to be there.
func Lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if required() {
		t.Fatalf("this test must run: "+format, args...)
	}
	t.Skipf(format, args...)
}

// NeedFUSE ends the test where nothing can be mounted.
func NeedFUSE(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		Lacks(t, "there is no FUSE here: %v", err)
	}
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("fusermount3"); err != nil {
			Lacks(t, "neither root nor fusermount3: %v", err)
		}
	}
}

// NeedRoot ends the test where it doesn't run as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacks(t, "only root can do this")
	}
}

// Long reports whether the long form of the tests is asked for.
func Long() bool { return os.Getenv("INTACT_LONG") != "" }

// Scale is short in the usual run, and long in the long form.
func Scale(short, long int) int {
	if Long() {
		return long
	}
	return short
}

// Tool finds a program, or ends the test. A shim in the path that only looks
// for the real Python is looked through, as it costs more than the program.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Lacks(t, "%s is not installed: run make setup", name)
	}
	if name != "python3" {
		return path
	}
	return interpreter(path)
}

var interpreters sync.Map // of the paths that were asked already

// interpreter is the program behind a path that may be a shim.
func interpreter(path string) string {
	if known, ok := interpreters.Load(path); ok {
		return known.(string)
	}
	found := path
	if out, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output(); err == nil {
		if resolved := strings.TrimSpace(string(out)); resolved != "" {
			found = resolved
		}
	}
	interpreters.Store(path, found)
	return found
}

// Eventually polls until the condition holds, and fails the test when it
// still doesn't after Patience.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", Patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
