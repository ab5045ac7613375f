package journal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

// TestAppendToPendingIsPublished publishes a run of versions that begins with
// whole ones and ends with an append, while the history takes them: the checksum
// of the append is not known before its turn comes there.
func TestAppendToPendingIsPublished(t *testing.T) {
	for _, whole := range []int{1, keepAtOnce + 10} {
		t.Run(fmt.Sprintf("after %d whole", whole), func(t *testing.T) {
			for range 20 {
				d := disktest.New()
				o := small(newHistory(d))
				o.Manual, o.PublishDelay, o.SegmentSize = false, time.Hour, 256<<10
				j := mustOpen(t, d, o)
				content := ""
				for i := range whole {
					content = fmt.Sprintf("{\"version\":%d}\n", i)
					mustCommit(t, j, "l.jsonl", content)
				}
				added := strings.Repeat("{}\n", 100)
				if _, err := j.Append(background0, AppendPut{Path: "l.jsonl", Bytes: []byte(added), BaseSize: int64(len(content))}); err != nil {
					t.Fatal(err)
				}
				mustCheckpoint(t, j)
				if got, _ := current(t, j, d, "l.jsonl"); got != content+added {
					t.Fatalf("the target has %q", got)
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
