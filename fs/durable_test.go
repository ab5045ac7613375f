package fs

import "testing"

// TestFsyncIsDurable: with relaxed durability a commit is on the disk only
// when the store was told to sync, and fsync has to tell it.
func TestFsyncIsDurable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		steps  []step
		synced bool
	}{
		{"a close is not synced", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("w", "ok", "close", "f"),
		}, false},
		{"fsync of a new content", []step{
			do("w", "ok", "open", "f", "f.json", "w"),
			do("w", "10", "write", "f", newDoc),
			do("w", "ok", "fsync", "f"),
			do("w", "ok", "close", "f"),
		}, true},
		{"fsync of an append", []step{
			do("w", "ok", "open", "f", "l.jsonl", "a"),
			do("w", "2", "write", "f", "2\n"),
			do("w", "ok", "fsync", "f"),
			do("w", "ok", "close", "f"),
		}, true},
		{"fsync of what was committed before", []step{
			do("w", "ok", "save", "f.json", newDoc),
			do("w", "ok", "open", "f", "f.json", "r+"),
			do("w", "ok", "fsync", "f"),
			do("w", "ok", "close", "f"),
		}, true},
		{"fsync by a reader", []step{
			do("w", "ok", "save", "f.json", newDoc),
			do("w", "ok", "open", "f", "f.json", "r"),
			do("w", "ok", "fsync", "f"),
			do("w", "ok", "close", "f"),
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "f.json", oldDoc)
			m.seed(t, "l.jsonl", "1\n")
			run(t, m, tc.steps)
			m.store.mu.Lock()
			defer m.store.mu.Unlock()
			if got := m.store.synced == m.store.tx; m.store.tx == 0 || got != tc.synced {
				t.Errorf("synced up to transaction %d of %d, want all: %v", m.store.synced, m.store.tx, tc.synced)
			}
		})
	}
}
