package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// gatedHistory holds Preserve of some paths up.
type gatedHistory struct {
	*memoryHistory
	arrived chan string
	pass    chan struct{}
}

func newGatedHistory(d disk.Disk) *gatedHistory {
	return &gatedHistory{newHistory(d), make(chan string, 100), make(chan struct{})}
}

func (h *gatedHistory) Preserve(ctx context.Context, path string, vs []Kept) error {
	if strings.HasPrefix(path, "slow") {
		h.arrived <- path
		<-h.pass
	}
	return h.memoryHistory.Preserve(ctx, path, vs)
}

// busyJournal has a round under way: workers paths hang in it, others of it
// did not begin.
func busyJournal(t *testing.T) (*Journal, *gatedHistory, *disktest.Disk, chan error) {
	t.Helper()
	d := disktest.New()
	h := newGatedHistory(d)
	o := small(h)
	o.Manual, o.PublishDelay, o.SegmentSize = false, time.Hour, 256<<10
	j := mustOpen(t, d, o)
	for i := range workers {
		mustCommit(t, j, fmt.Sprintf("slow%d.json", i), "slow")
	}
	for i := range 20 {
		mustCommit(t, j, fmt.Sprintf("later%d.json", i), "later")
	}
	round := make(chan error, 1)
	go func() { round <- j.Checkpoint(background0) }()
	for range workers {
		<-h.arrived
	}
	return j, h, d, round
}

func finish(t *testing.T, j *Journal, h *gatedHistory, round chan error) {
	t.Helper()
	close(h.pass)
	if err := <-round; err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	if s := j.Stats(); s.Pending != 0 {
		t.Errorf("after a checkpoint: %+v", s)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSettleDoesNotWaitForOtherPaths settles while a round hangs: a path that
// the round did not begin, one that came after it, and one that nobody wrote.
func TestSettleDoesNotWaitForOtherPaths(t *testing.T) {
	j, h, d, round := busyJournal(t)
	mustCommit(t, j, "new.json", "new")
	for _, path := range []string{"later7.json", "new.json", "none.json"} {
		if err := j.Settle(background0, path); err != nil {
			t.Fatal(err)
		}
		if _, pending := j.Pending(path); pending {
			t.Errorf("%s is pending after Settle", path)
		}
	}
	tree := d.AfterCrash(nil, 0).Tree("")
	if tree["later7.json"] != "later" || tree["new.json"] != "new" {
		t.Error("settled files are not durable")
	}
	finish(t, j, h, round)
}

// TestSettleMakesARoundEndEarly settles a path that hangs in a round: the
// round takes up nothing more, and the checkpoint publishes the rest later.
func TestSettleMakesARoundEndEarly(t *testing.T) {
	j, h, _, round := busyJournal(t)
	settled := make(chan error, 1)
	go func() { settled <- j.Settle(background0, "slow3.json") }()
	wait(t, "the round to hurry", func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.claims["slow3.json"].round.hurry
	})
	ctx, cancel := context.WithCancel(background0)
	cancel()
	if err := j.Settle(ctx, "slow3.json"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while it waits: %v", err)
	}
	finish(t, j, h, round)
	if err := <-settled; err != nil {
		t.Error(err)
	}
}

// TestCommitsDoNotWaitForRounds commits, reads and syncs while a round hangs.
func TestCommitsDoNotWaitForRounds(t *testing.T) {
	j, h, d, round := busyJournal(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { mustCommit(t, j, fmt.Sprintf("slow%d.json", i), "again") })
	}
	wg.Wait()
	if got, _ := current(t, j, d, "slow1.json"); got != "again" {
		t.Errorf("got %q", got)
	}
	if err := j.Sync(background0); err != nil {
		t.Error(err)
	}
	close(h.pass)
	if err := <-round; err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSettleTakesFewSyncs counts what a Settle of one small file waits for:
// the new file, its directory, and the mark. The history's own come on top,
// at the same time as the first.
func TestSettleTakesFewSyncs(t *testing.T) {
	d := freshDisk()
	j := mustOpen(t, d, small(newHistory(d)))
	mustCommit(t, j, "a.json", "new")
	d.Heal()
	if err := j.Settle(background0, "a.json"); err != nil {
		t.Fatal(err)
	}
	var got []disk.Step
	for _, s := range d.Steps() {
		if strings.Contains(string(s), "sync") {
			got = append(got, s)
		}
	}
	if want := []disk.Step{"publish:sync", "publish:sync-dir", "commit:sync"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	d.Heal()
	if err := j.Settle(background0, "a.json"); err != nil || len(d.Steps()) != 0 {
		t.Errorf("nothing pending: %v, %v", err, d.Steps())
	}
}

// TestHistoryAndTargetAreWrittenTogether hangs the history until the new
// target was synced.
func TestHistoryAndTargetAreWrittenTogether(t *testing.T) {
	d := disktest.New()
	h := newGatedHistory(d)
	o := small(h)
	o.Manual, o.PublishDelay = false, time.Hour
	j := mustOpen(t, d, o)
	mustCommit(t, j, "slow.json", "content")
	round := make(chan error, 1)
	go func() { round <- j.Checkpoint(background0) }()
	<-h.arrived
	wait(t, "the new target", func() bool { return slices.Contains(d.Steps(), "publish:sync") })
	if slices.Contains(d.Steps(), "publish:rename") {
		t.Error("the target was replaced before the history had its versions")
	}
	finish(t, j, h, round)
}

// TestFailedDirectorySyncKeepsTheOldFile crashes after a directory could not
// be synced: the old name may come back, and must find the old bytes.
func TestFailedDirectorySyncKeepsTheOldFile(t *testing.T) {
	d := freshDisk()
	j := mustOpen(t, d, small(newHistory(d)))
	mustCommit(t, j, "a.json", "one")
	d.Heal(disktest.FailStep("publish:sync-dir", 1, 5, false))
	if err := j.Checkpoint(background0); err == nil {
		t.Fatal("no error")
	}
	if got := d.AfterCrash(nil, 0).Tree("")["a.json"]; got != before["a.json"] {
		t.Errorf("after a crash: %q", got)
	}
	if len(j.old) != 1 {
		t.Errorf("%d files are held", len(j.old))
	}
	mustCheckpoint(t, j)
	if len(j.old) != 0 || d.AfterCrash(nil, 0).Tree("")["a.json"] != "one" {
		t.Errorf("%d files are held after the directory was synced", len(j.old))
	}
	for i := range maxHeldOld + 10 {
		d.Heal(disktest.FailStep("publish:sync-dir", 1, 5, false))
		mustCommit(t, j, "a.json", fmt.Sprint(i))
		if err := j.Checkpoint(background0); err == nil {
			t.Fatal("no error")
		}
	}
	if len(j.old) > maxHeldOld {
		t.Errorf("%d files are held", len(j.old))
	}
	d.Heal()
	if err := j.Close(); err != nil || len(j.old) != 0 {
		t.Errorf("close: %v, %d files are held", err, len(j.old))
	}
}

// hookedDisk calls a function before an operation with some label.
type hookedDisk struct {
	*disktest.Disk
	step disk.Step
	call func()
}

func (d *hookedDisk) Remove(step disk.Step, name string) error {
	if step == d.step && d.call != nil {
		call := d.call
		d.call = nil
		call()
	}
	return d.Disk.Remove(step, name)
}

// TestShrinkRemovesWhatItsMarkSpares lets another round free segments while
// unused ones are being removed: no mark says yet that they may go.
func TestShrinkRemovesWhatItsMarkSpares(t *testing.T) {
	mem := disktest.New(disktest.ReuseFreed())
	d := &hookedDisk{Disk: mem, step: "segment:remove"}
	j := mustOpen(t, d, small(nil))
	for i := range 40 {
		mustCommit(t, j, fmt.Sprintf("f%d.json", i), text("x", 1500))
	}
	d.call = func() {
		for i := range 40 {
			mustCommit(t, j, fmt.Sprintf("g%d.json", i), text("y", 1500))
		}
		if err := j.publish(background0, "", manner{}); err != nil {
			t.Error(err)
		}
	}
	if err := j.publish(background0, "", manner{}); err != nil {
		t.Fatal(err)
	}
	if err := j.shrink(0); err != nil {
		t.Fatal(err)
	}
	after := mem.AfterCrash(nil, 0)
	if len(after.Tree(segmentDir)) < 4 {
		t.Errorf("segments that were freed meanwhile are gone: %v", sortedKeys(after.Tree(segmentDir)))
	}
	mustOpen(t, after, small(nil))
}
