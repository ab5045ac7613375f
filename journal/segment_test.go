package journal

import (
	"fmt"
	"testing"

	"intactfs/journal/disk/disktest"
)

// TestHeaderThatIsWrittenInPart lets the write of the header of a new or a
// used segment fail after some of it, wherever the first one comes: the
// journal goes on, and whoever opens it next finds no damage.
func TestHeaderThatIsWrittenInPart(t *testing.T) {
	for _, used := range []bool{false, true} {
		t.Run(fmt.Sprintf("used=%v", used), func(t *testing.T) {
			d := disktest.New()
			j := mustOpen(t, d, small(nil))
			if used {
				for i := range 60 {
					mustCommit(t, j, "a.json", text(fmt.Sprint(i), 1900))
				}
				mustCheckpoint(t, j)
			}
			j.spare = nil // the next segment is begun now
			n := 1
			if !used {
				for n = 1; ; n++ { // which operation writes the header
					probe := disktest.New(disktest.ShortWriteAt(n))
					_, _, _ = Open(probe, small(nil)) // only which operations it does
					if steps := probe.Steps(); len(steps) >= n && steps[n-1] == "segment:header" {
						break
					}
				}
				d = disktest.New(disktest.ShortWriteAt(n))
				if _, _, err := Open(d, small(nil)); err == nil {
					t.Fatal("open succeeds")
				}
			} else {
				d.Heal(disktest.ShortWriteAt(n))
				if err := j.prepareSpare(); err == nil || d.Steps()[0] != "segment:header" {
					t.Fatalf("got %v after %v", err, d.Steps())
				}
				mustCommit(t, j, "a.json", "after that")
			}
			d.Heal()
			for _, after := range []*disktest.Disk{d.AfterCrash(nil, 0), d.AfterCrash(nil, 100)} {
				again := mustOpen(t, after, small(nil))
				if got, ok := current(t, again, after, "a.json"); used && got != "after that" || ok != used {
					t.Errorf("got %s", brief(got))
				}
			}
		})
	}
}
