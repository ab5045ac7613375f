package fs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// noRules protects nothing.
type noRules struct{}

func (noRules) For(string) *Rule { return nil }

// TestPosix runs go-fuse's conformance suite on files that no rule protects,
// in a process that doesn't serve the mount.
func TestPosix(t *testing.T) {
	if dir := os.Getenv("INTACT_TEST_POSIX"); dir != "" {
		for name, fn := range posixtest.All {
			if name == "FcntlFlockLocksFile" {
				continue // wants POSIX locks of one process to conflict
			}
			t.Run(name, func(t *testing.T) {
				own := filepath.Join(dir, name)
				if err := os.Mkdir(own, 0755); err != nil {
					t.Fatal(err)
				}
				fn(t, own)
			})
		}
		return
	}
	m := mount(t, noRules{})
	m.rerun(t, "INTACT_TEST_POSIX="+m.dir)
}
