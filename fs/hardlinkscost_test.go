package fs

import "testing"

// TestHardLinksWithoutALook does what package managers and copies of whole trees
// do with many linked files: none of it may look through all of the directory.
func TestHardLinksWithoutALook(t *testing.T) {
	m := twins(t)
	m.seed(t, "one.json", oldDoc)
	m.link(t, "one.json", "two.json")
	m.seed(t, "three.json", oldDoc)
	m.link(t, "three.json", "four.json")
	run(t, m, []step{
		do("a", "2", "nlink", "f.json"),
		do("a", oldDoc, "cat", "d/g.json"),
		do("a", "ok", "link", "f.json", "n.json"),
		do("a", "ok", "unlink", "one.json"),
		do("a", oldDoc, "cat", "two.json"),
		do("a", "ok", "save", "t", newDoc),
		do("a", "ok", "rename", "t", "three.json"),
		do("a", oldDoc, "cat", "four.json"),
		do("a", "ok", "unlink", "f.json"),
		do("a", "ok", "save", "two.json", newDoc), // the last name
		do("a", oldDoc, "cat", "n.json"),
	})
	if got := m.store.walked(); got != 0 {
		t.Errorf("looked through the directory %d times", got)
	}
	run(t, m, []step{do("a", "ok", "save", "d/g.json", newDoc), do("a", newDoc, "cat", "n.json")})
}
