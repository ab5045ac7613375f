package integration

import (
	"strings"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// TestDemo keeps the story of make demo true.
func TestDemo(t *testing.T) {
	harness.NeedFUSE(t)
	harness.Tool(t, "python3")
	r := harness.Cmd{
		Args:    []string{"../demo/demo.sh"},
		Env:     []string{"bin=" + harness.Binary(t), "TMPDIR=" + t.TempDir()},
		Timeout: 4 * time.Minute,
	}.Run(t)
	if r.Code != 0 {
		t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, want := range []string{"TORN", "whole: the inventory of day 1", "Bad message"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("the story does not tell %q:\n%s", want, r.Stdout)
		}
	}
}
