package journal

import (
	"testing"
)

// A staged content may come without its checksum, so that a large save need
// not wait for it: history gets the computed one, at once or after a crash.
func TestStagedContentWithoutAChecksum(t *testing.T) {
	for _, crash := range []bool{false, true} {
		name := "published by who committed"
		if crash {
			name = "published by recovery"
		}
		t.Run(name, func(t *testing.T) {
			d := freshDisk()
			h := newHistory(d)
			j := mustOpen(t, d, small(h))
			content := text("large", 9000)
			stage, f, err := j.NewStage()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt("test:stage", []byte(content), 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			p := put("a.json", content)
			p.Inline, p.Stage, p.SHA256 = nil, stage, [32]byte{}
			v, err := j.Commit(background0, p)
			if err != nil {
				t.Fatal(err)
			}
			if crash {
				d = d.AfterCrash(nil, 0)
				h = newHistory(d)
				j = mustOpen(t, d, small(h))
			}
			mustCheckpoint(t, j)
			// The history of the harness refuses what its sum does not match.
			if !h.has("a.json", v.Tx) {
				t.Error("the version is not in history")
			}
			if got, ok := current(t, j, d, "a.json"); !ok || got != content {
				t.Errorf("got %s, want the content", brief(got))
			}
		})
	}
}
