package planted

import (
	"fmt"
	"os"
	"testing"

	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
)

func TestMain(m *testing.M) {
	recdisk.Main()
	if err := volume.Isolate(); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" {
			fmt.Fprintln(os.Stderr, "the laboratory needs root:", err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stderr, "skipped:", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}
