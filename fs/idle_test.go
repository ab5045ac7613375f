package fs

import (
	"testing"
	"time"
)

// TestIdleInTheMiddle has writers pause where what they wrote, and what is left
// of the version before, happen to be whole together.
func TestIdleInTheMiddle(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"the start of a new version", []step{
			do("w", "6", "pwrite", "f", "0", `{"new"`),
		}},
		{"with the file cut to more than was written", []step{
			do("w", "6", "pwrite", "f", "0", `{"new"`),
			do("w", "ok", "ftruncate", "f", "9"),
		}},
		{"appended before", []step{
			do("w", "10", "pwrite", "f", "9", "          "),
			do("w", "6", "pwrite", "f", "0", `{"new"`),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{}, func(o *Options) { o.IdleCommit = 20 * time.Millisecond })
			m.seed(t, "f.json", oldDoc)
			m.seed(t, "g.json", oldDoc)
			steps := append([]step{do("w", "ok", "open", "f", "f.json", "r+")}, tc.steps...)
			run(t, m, append(steps,
				// Another that is done says when the first was quiet long enough.
				do("w", "ok", "open", "g", "g.json", "r+"),
				do("w", "10", "pwrite", "g", "0", newDoc),
				do("r", "~"+newDoc, "cat", "g.json"),
				do("r", oldDoc, "cat", "f.json"),
				// It goes on to the end.
				do("w", "10", "pwrite", "f", "0", newDoc),
				do("w", "ok", "ftruncate", "f", "10"),
				do("r", "~"+newDoc, "cat", "f.json"),
			))
		})
	}
}

// TestIdleNever has a long-held handle whose content is whole, in a mount that
// commits at fsync, unlock and close only.
func TestIdleNever(t *testing.T) {
	m := mount(t, testRules{}, func(o *Options) { o.IdleCommit = -1 })
	m.seed(t, "f.json", oldDoc)
	steps := []step{
		do("w", "ok", "open", "f", "f.json", "r+"),
		do("w", "10", "pwrite", "f", "0", newDoc),
	}
	for range 200 { // long enough for a timer that is due at once
		steps = append(steps, do("r", oldDoc, "cat", "f.json"))
	}
	run(t, m, append(steps,
		do("w", "ok", "close", "f"),
		do("r", newDoc, "cat", "f.json"),
	))
}
