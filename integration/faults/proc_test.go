package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// inD tells whether a thread of the process is in uninterruptible sleep.
func inD(pid int) bool {
	states, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range states {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), "\nState:\tD") {
			return true
		}
	}
	return false
}
