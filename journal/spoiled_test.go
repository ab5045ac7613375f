package journal

import (
	"syscall"
	"testing"

	"intactfs/journal/disk/disktest"
)

// TestSpoiledStage commits a stage again whose first sync failed: a sync that
// succeeds after that says nothing of what was lost.
func TestSpoiledStage(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	name, f, err := j.NewStage()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt("test:stage", []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := put("a.json", "{}")
	p.Inline, p.Stage = nil, name
	d.Heal(disktest.FailAt(1, syscall.EIO, false))
	if _, err := j.Commit(background0, p); err == nil {
		t.Fatal("committed over a failed sync")
	}
	d.Heal()
	if _, err := j.Commit(background0, p); err == nil {
		t.Error("committed after a failed sync")
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
