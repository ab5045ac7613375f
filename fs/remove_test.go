package fs

import (
	"slices"
	"testing"
)

// TestLastVersionIsKept takes protected names away from files that nothing was
// ever committed to: history is told of each before it goes.
func TestLastVersionIsKept(t *testing.T) {
	for _, tc := range []struct {
		name    string
		op      []string
		removed string
	}{
		{"unlink", []string{"unlink", "f.json"}, "f.json"},
		{"renamed to a name without a rule", []string{"rename", "f.json", "f.bak"}, "f.json"},
		{"renamed over another", []string{"rename", "f.json", "g.json"}, "f.json"},
		{"replaced by a link", []string{"rename", "link", "f.json"}, "f.json"},
		{"swapped for a file without a rule", []string{"rename", "f.json", "t.tmp", "2"}, "f.json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			c := m.client(t)
			m.seed(t, "f.json", oldDoc)
			m.seed(t, "g.json", "[1]")
			m.seed(t, "t.tmp", newDoc)
			c.want("ok", "symlink", "t.tmp", "link")
			c.want("ok", tc.op...)
			m.store.mu.Lock()
			defer m.store.mu.Unlock()
			if !slices.Contains(m.store.adopted, "f.json "+oldDoc) {
				t.Errorf("history was given %q, want f.json as it was", m.store.adopted)
			}
			if !slices.Contains(m.store.removed, tc.removed) {
				t.Errorf("history was told that %q are gone, want %q", m.store.removed, tc.removed)
			}
		})
	}
}
