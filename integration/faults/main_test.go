package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
	"intactfs/integration/harness"
)

var tablePath = flag.String("table", "", "write the table of faults to this file")

func TestMain(m *testing.M) {
	recdisk.Main()
	daemonMain()
	flag.Parse()
	if os.Geteuid() == 0 {
		// What a test that dies leaves behind goes with the namespace.
		if err := volume.Isolate(); err != nil {
			fmt.Fprintln(os.Stderr, "no mount namespace of our own:", err)
		}
	}
	code := harness.Main(m)
	if code == 0 && *tablePath != "" {
		if err := os.WriteFile(*tablePath, []byte(table.markdown()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
