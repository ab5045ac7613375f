// Package labtest runs the tests of the crash laboratory where they may make
// file systems and mount them.
package labtest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
)

// Main is the TestMain of a package that uses a laboratory: in a mount
// namespace of its own, and as the server of recording disks when it was
// started as one. Without root the tests are skipped, and fail where CI or
// INTACT_REQUIRE_FUSE says that everything is there.
func Main(m *testing.M) {
	recdisk.Main()
	if err := volume.Isolate(); err != nil {
		if required() {
			fmt.Fprintln(os.Stderr, "the laboratory needs root:", err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stderr, "skipped:", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func required() bool { return os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" }

// Need ends a test whose file system can't be had here. Where everything is
// said to be there, only a kernel without that file system is an excuse.
func Need(t testing.TB, kind volume.Type) {
	t.Helper()
	err := kind.Available()
	switch {
	case err == nil:
	case required() && !errors.Is(err, unix.ENODEV):
		t.Fatalf("this file system must be there: %v", err)
	default:
		t.Skip(err)
	}
}
