package programs

import (
	"path/filepath"
	"testing"
)

// history counts the versions that intact log lists, and fails the test if
// the one before the last save is not among them, or can't be had back.
func (s subject) history(t *testing.T, v *versions) int {
	t.Helper()
	if s.p.plain {
		return 0
	}
	path := s.path()
	all := s.b.m.Versions(path)
	least := 2
	if filepath.Ext(path) == ".jsonl" {
		least = 1 // appends since the last publishing are one version: it begins with all before
	}
	if len(all) < least {
		t.Errorf("intact log lists %d versions after three saves", len(all))
		return len(all)
	}
	before := all[max(0, len(all)-2)]
	if v.exact != nil {
		found := false
		for _, a := range all {
			if a.Holds(v.final[1]) {
				before, found = a, true
			}
		}
		if !found {
			t.Errorf("the second of three saves is none of the %d versions", len(all))
			return len(all)
		}
	}
	if before.Removed {
		return len(all)
	}
	if content := s.b.m.Show(path, before); !before.Holds(content) {
		t.Errorf("intact show prints %d bytes that are not the version of %d", len(content), before.Size)
	}
	return len(all)
}
