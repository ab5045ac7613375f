package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	// Scripts, and the daemons that commands start, run this binary again
	// under the name of the program.
	if filepath.Base(os.Args[0]) == "intact" {
		main()
	}
	os.Exit(m.Run())
}

// newApp is a command that prints nowhere, at a fixed time.
func newApp() *app {
	return &app{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
		now:  func() time.Time { return time.Date(2026, 3, 29, 15, 0, 0, 0, time.UTC) },
		zone: time.UTC,
	}
}

func TestOffline(t *testing.T) { runScripts(t, "offline") }

func TestMounted(t *testing.T) {
	needFUSE(t)
	runScripts(t, "mounted")
}

// needFUSE skips a test where nothing can be mounted, unless that has to work.
func needFUSE(t *testing.T) {
	t.Helper()
	why := ""
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		why = err.Error()
	} else {
		_ = f.Close()
		if _, err := exec.LookPath("fusermount3"); err != nil && os.Geteuid() != 0 {
			why = "neither root nor fusermount3"
		}
	}
	if why == "" {
		return
	}
	if os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" {
		t.Fatalf("nothing can be mounted here: %s", why)
	}
	t.Skipf("nothing can be mounted here: %s", why)
}

func runScripts(t *testing.T, dir string) {
	names, err := filepath.Glob(filepath.Join("testdata", "script", dir, "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts for %s: %v", dir, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			runScript(t, name)
		})
	}
}
