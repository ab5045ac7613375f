package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Version is one line of intact log --json.
type Version struct {
	Version string
	Size    int64
	SHA256  string
	Removed bool
	Note    string
	Writer  struct {
		Program string
		PID     uint32
	}
}

// Versions is what intact log tells of a file, the oldest first.
func (m *Mount) Versions(path string) []Version {
	m.t.Helper()
	var all []Version
	out := m.MustIntact("log", "--json", path)
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		m.t.Fatalf("intact log --json: %v\n%s", err, out)
	}
	return all
}

// Show is the content of a version.
func (m *Mount) Show(path string, v Version) string {
	m.t.Helper()
	return m.MustIntact("show", path+"@"+v.Version)
}

// Holds reports whether the version is this content, by its checksum.
func (v Version) Holds(content string) bool {
	sum := sha256.Sum256([]byte(content))
	return !v.Removed && v.SHA256 == hex.EncodeToString(sum[:])
}
