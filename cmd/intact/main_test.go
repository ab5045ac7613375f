package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts, and the daemons that commands start, run this binary
// again under the names of the program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"intact": main, "mount.fuse.intact": main})
}

// newApp is a command that prints nowhere, at a fixed time.
func newApp() *app {
	return &app{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
		now:  func() time.Time { return time.Date(2026, 3, 29, 15, 0, 0, 0, time.UTC) },
		zone: time.UTC, silent: silentAfter, patience: callPatience,
	}
}

// mustMount tells whether a test that can't mount has failed.
func mustMount() bool { return os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" }

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
	if mustMount() {
		t.Fatalf("nothing can be mounted here: %s", why)
	}
	t.Skipf("nothing can be mounted here: %s", why)
}
