package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// TestFullJournalRefuses fills a journal of which nothing can be published:
// what comes then is refused with the reason, and what was acknowledged stays.
func TestFullJournalRefuses(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	h.fail = func(string) error { return syscall.EDQUOT }
	o := small(h)
	o.MaxPending = 6000
	j := mustOpen(t, d, o)
	acked := map[string]string{}
	var err error
	for i := 0; i < 50 && err == nil; i++ {
		path, content := fmt.Sprintf("f%d.json", i%3), text(fmt.Sprint(i), 1000)
		if _, err = j.Commit(background0, put(path, content)); err == nil {
			acked[path] = content
		}
	}
	// The second time the reason is known beforehand.
	d.Heal()
	_, again := j.Commit(background0, put("f0.json", "x"))
	_, appended := j.Append(background0, AppendPut{Path: "l.jsonl", Bytes: []byte("x")})
	for _, err := range []error{err, again, appended} {
		if !errors.Is(err, syscall.EDQUOT) {
			t.Errorf("got %v, want EDQUOT", err)
		}
	}
	if steps := d.Steps(); len(steps) > 0 {
		t.Errorf("it was tried again: %v", steps)
	}
	for path, content := range acked {
		if got, ok := current(t, j, d, path); !ok || got != content {
			t.Errorf("%s is %s", path, brief(got))
		}
	}
	h.fail = nil
	mustCheckpoint(t, j)
	mustCommit(t, j, "f0.json", "there is room again")
}

// TestClosedWhileWaitingForRoom ends the wait of a commit.
func TestClosedWhileWaitingForRoom(t *testing.T) {
	d := disktest.New()
	h := newGatedHistory(d)
	o := small(h)
	o.Manual, o.PublishDelay, o.MaxPending = false, time.Hour, 3000
	j := mustOpen(t, d, o)
	for i := range 2 {
		mustCommit(t, j, fmt.Sprintf("slow%d.json", i), text("x", 1000))
	}
	done := make(chan error, 1)
	go func() {
		_, err := j.Commit(background0, put("g.json", "x"))
		done <- err
	}()
	<-h.arrived // the full journal is being published, for the sake of the commit
	closed := make(chan error, 1)
	go func() { closed <- j.Close() }()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	close(h.pass)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := userTree(d); got["slow0.json"] != text("x", 1000) || got["slow1.json"] != text("x", 1000) {
		t.Errorf("published %v", sortedKeys(got))
	}
}

// TestAppendWaitsForTheOneBefore lets two appends meet in the queue: the base
// of the second is known only when the first is through.
func TestAppendWaitsForTheOneBefore(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("the first fails: %v", fails), func(t *testing.T) {
			mem := disktest.New()
			d := &gatedDisk{Disk: mem}
			j := mustOpen(t, d, small(nil))
			g := &gate{arrived: make(chan struct{}), pass: make(chan struct{})}
			d.gate.Store(g)
			first, second := make(chan error, 1), make(chan error, 1)
			appendTo := func(base int64, done chan error) {
				_, err := j.Append(background0, AppendPut{Path: "l.jsonl", Bytes: []byte("line\n"), BaseSize: base})
				done <- err
			}
			go appendTo(0, first)
			<-g.arrived
			go appendTo(5, second)
			if fails {
				mem.Heal(disktest.FailStep("commit:sync", 1, syscall.EIO, false))
			}
			d.gate.Store(nil)
			g.pass <- struct{}{}
			want := error(nil)
			if fails {
				want = ErrStopped
			}
			for _, done := range []chan error{first, second} {
				if err := <-done; !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			if got, _ := current(t, j, d, "l.jsonl"); !fails && got != "line\nline\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAppendTooLargeForASegment(t *testing.T) {
	d := disktest.New()
	o := small(nil)
	j := mustOpen(t, d, o)
	p := AppendPut{Path: "l.jsonl", Bytes: []byte("x"), Attr: disk.Attr{Xattrs: map[string][]byte{"user.a": make([]byte, o.SegmentSize)}}}
	if _, err := j.Append(background0, p); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if _, ok := j.Pending("l.jsonl"); ok {
		t.Error("it is pending")
	}
}

// TestBaseOfAnAppendIsCutBeneath shortens the file that pending appends go on
// from, behind the back of everybody: nobody is served something else, and it
// is not published.
func TestBaseOfAnAppendIsCutBeneath(t *testing.T) {
	d := disktest.New()
	d.Put("l.jsonl", "0123456789")
	h := newHistory(nil)
	j := mustOpen(t, d, small(h))
	mustAppend(t, j, "l.jsonl", "more\n", 10)
	d.Put("l.jsonl", "012")
	_, c, ok, err := j.OpenPending("l.jsonl")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if n, err := c.ReadAt(make([]byte, 15), 0); err == nil || n > 3 {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := j.Checkpoint(background0); err == nil {
		t.Error("published")
	}
	if got := h.contents("l.jsonl"); len(got) != 0 {
		t.Errorf("history has %q", got)
	}
	if got := userTree(d)["l.jsonl"]; got != "012" {
		t.Errorf("the file is %q", got)
	}
	if v, ok := j.Pending("l.jsonl"); !ok || v.Size != 15 {
		t.Errorf("pending: %+v, %v", v, ok)
	}
}

// TestStuckWaitsForTheOthers writes nothing again while something else in the
// oldest segment may still be published.
func TestStuckWaitsForTheOthers(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	j := mustOpen(t, d, small(h))
	mustCommit(t, j, "stuck.json", "stuck")
	mustCommit(t, j, "fine.json", "fine")
	for i := range 60 {
		mustCommit(t, j, "other.json", text(fmt.Sprint(i), 1900))
	}
	j.mu.Lock()
	j.failing["stuck.json"] = &row{failures: 1, err: syscall.EIO}
	j.mu.Unlock()
	if len(j.segs) <= stuckSegments {
		t.Fatalf("%d segments, the test needs more than %d", len(j.segs), stuckSegments)
	}
	if paths := j.stuck(); paths != nil {
		t.Errorf("%v would be written again", paths)
	}
	if err := j.Settle(background0, "fine.json"); err != nil {
		t.Fatal(err)
	}
	if err := j.Settle(background0, "other.json"); err != nil {
		t.Fatal(err)
	}
	if paths := j.stuck(); !slices.Equal(paths, []string{"stuck.json"}) {
		t.Errorf("%v would be written again", paths)
	}
	if err := j.moveStuck(background0); err != nil {
		t.Fatal(err)
	}
	if n := len(j.segs); n != 1 {
		t.Errorf("%d segments are left", n)
	}
	again := mustOpen(t, d.AfterCrash(nil, 0), small(h))
	if got, _ := current(t, again, d, "stuck.json"); got != "stuck" {
		t.Errorf("after a crash: %q", got)
	}
}

// TestStuckCanNotBeRead leaves everything as it is when a record can't be
// read that is to be written again.
func TestStuckCanNotBeRead(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	j.index.maxHeld = 0
	mustCommit(t, j, "stuck.json", "stuck")
	v := j.index.newest("stuck.json")
	for i := range 60 {
		mustCommit(t, j, "other.json", text(fmt.Sprint(i), 1900))
	}
	if err := j.Settle(background0, "other.json"); err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	j.failing["stuck.json"] = &row{failures: 1, err: syscall.EIO}
	j.mu.Unlock()
	d.Corrupt(v.seg.name, v.off+50, 1)
	segments := len(j.segs)
	if err := j.moveStuck(background0); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want damage", err)
	}
	if j.index.newest("stuck.json") != v || v.seg != j.segs[0] || len(j.segs) != segments || len(j.claims) != 0 {
		t.Error("something was given up")
	}
}

// TestPinnedSegmentsStay keeps a segment that somebody reads.
func TestPinnedSegmentsStay(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	for i := range 60 {
		mustCommit(t, j, "a.json", text(fmt.Sprint(i), 1900))
	}
	if err := j.publish(background0, "", manner{}); err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	free := len(j.free)
	j.free[0].pins++
	j.mu.Unlock()
	if err := j.shrink(0); err != nil || len(j.free) != free {
		t.Errorf("%d of %d segments are left, %v", len(j.free), free, err)
	}
	j.mu.Lock()
	j.free[0].pins--
	j.mu.Unlock()
	if err := j.shrink(0); err != nil || len(j.free) != 0 {
		t.Errorf("%d segments are left, %v", len(j.free), err)
	}
}

// TestCutFails fails what ends a segment after a write that failed: nobody can
// know any more what is on the disk, and the journal stops.
func TestCutFails(t *testing.T) {
	for _, step := range []disk.Step{"commit:cut", "commit:cut-sync"} {
		t.Run(string(step), func(t *testing.T) {
			d := disktest.New()
			j := mustOpen(t, d, small(nil))
			mustCommit(t, j, "a.json", "acknowledged")
			d.Heal(disktest.FailStep("commit:append", 1, syscall.ENOSPC, false), disktest.FailStep(step, 1, syscall.EIO, false))
			_, err := j.Commit(background0, put("a.json", text("refused", 1500)))
			for _, want := range []error{ErrStopped, syscall.EIO, syscall.ENOSPC} {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v in it", err, want)
				}
			}
			if got, _ := current(t, j, d, "a.json"); got != "acknowledged" {
				t.Errorf("served %q", got)
			}
			for _, after := range []*disktest.Disk{d.AfterCrash(nil, 0), d.AfterCrash(nil, 100)} {
				again := mustOpen(t, after, small(nil))
				if got, _ := current(t, again, after, "a.json"); got != "acknowledged" && got != text("refused", 1500) {
					t.Errorf("after a crash: %s", brief(got))
				}
			}
		})
	}
}

// changingDisk lets the target become something else just before the rename.
type changingDisk struct {
	disk.Disk
	errno syscall.Errno
}

func (d changingDisk) Rename(step disk.Step, oldName, newName string) error {
	if step == "publish:rename" {
		return fmt.Errorf("%s: %w", step, d.errno)
	}
	return d.Disk.Rename(step, oldName, newName)
}

// TestTargetChangesBeforeTheRename keeps a version in history alone whose name
// belongs to something else by then, and holds on to any other failure.
func TestTargetChangesBeforeTheRename(t *testing.T) {
	for errno, hopeless := range map[syscall.Errno]bool{
		syscall.EISDIR: true, syscall.ENOTDIR: true, syscall.ELOOP: true, syscall.EXDEV: true, syscall.ENAMETOOLONG: true,
		syscall.EIO: false, syscall.ENOSPC: false, syscall.EACCES: false,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			mem := disktest.New()
			h := newHistory(mem)
			j := mustOpen(t, changingDisk{mem, errno}, small(h))
			v := mustCommit(t, j, "a.json", "content")
			err := j.Checkpoint(background0)
			s := j.Stats()
			if !h.has("a.json", v.Tx) {
				t.Error("history has not the version")
			}
			if hopeless && (err != nil || s.Stranded != 1 || s.Pending != 0) {
				t.Errorf("got %v, %+v, want it stranded", err, s)
			}
			if !hopeless && (!errors.Is(err, errno) || s.Stranded != 0 || s.Pending != 1) {
				t.Errorf("got %v, %+v, want it tried again", err, s)
			}
			if left := mem.Tree(stagingDir); len(left) > 0 {
				t.Errorf("%d files are left in staging", len(left))
			}
		})
	}
}

// TestCopyOfAStageIsCompared fails the attributes of a stage, so that a copy
// of it is published, and changes it meanwhile.
func TestCopyOfAStageIsCompared(t *testing.T) {
	d := freshDisk()
	j := mustOpen(t, d, small(newHistory(d)))
	content := text("large", 9000)
	if _, err := putStaged(background0, j, put("a.json", content)); err != nil {
		t.Fatal(err)
	}
	d.Heal(disktest.FailStep("publish:stage-attr", 1, syscall.EIO, false))
	if err := j.Checkpoint(background0); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	stage := j.index.newest("a.json").stage
	d.Corrupt(stage, 5000, 1)
	if err := j.Checkpoint(background0); err == nil {
		t.Error("published a content that changed")
	}
	if got := userTree(d)["a.json"]; got != before["a.json"] {
		t.Errorf("the file is %s", brief(got))
	}
	d.Corrupt(stage, 5000, 1)
	mustCheckpoint(t, j)
	if got := userTree(d)["a.json"]; got != content {
		t.Errorf("the file is %s", brief(got))
	}
}

// TestOpenPublishesWhatItFinds needs no commit to begin.
func TestOpenPublishesWhatItFinds(t *testing.T) {
	d, contents := killed(t, 3, 300)
	o := small(nil)
	o.Manual, o.PublishDelay = false, time.Hour
	j := mustOpen(t, d, o)
	wait(t, "the publication of what was found", func() bool { return j.Stats().Pending == 0 })
	for i, want := range contents {
		if got := userTree(d)[fmt.Sprintf("f%d.json", i)]; got != want {
			t.Errorf("file %d is %s", i, brief(got))
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCheckpointEndsWithItsContext waits for a path that another round has,
// until nobody wants it any more.
func TestCheckpointEndsWithItsContext(t *testing.T) {
	j, h, _, round := busyJournal(t)
	ctx, cancel := context.WithCancel(background0)
	done := make(chan error, 1)
	go func() { done <- j.Settle(ctx, "slow1.json") }()
	wait(t, "the round to hurry", func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.claims["slow1.json"].round.hurry
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "slow1.json") {
		t.Errorf("got %v", err)
	}
	if s := j.Stats(); s.PublishErrors != 0 {
		t.Errorf("it counts as a failure: %+v", s)
	}
	finish(t, j, h, round)
}
