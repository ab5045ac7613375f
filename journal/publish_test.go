package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

func mustCommit(t testing.TB, j *Journal, path, content string) Version {
	t.Helper()
	v, err := j.Commit(background0, put(path, content))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustCheckpoint(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Checkpoint(background0); err != nil {
		t.Fatal(err)
	}
}

func TestPublishKeepsAttributesAndCoalesces(t *testing.T) {
	for _, staged := range []bool{false, true} {
		t.Run(fmt.Sprintf("staged=%v", staged), func(t *testing.T) {
			d := freshDisk()
			h := newHistory(d)
			j := mustOpen(t, d, small(h))
			for i := range 5 {
				content := text(fmt.Sprint(i), 500)
				if !staged {
					mustCommit(t, j, "a.json", content)
				} else if _, err := putStaged(background0, j, put("a.json", content)); err != nil {
					t.Fatal(err)
				}
			}
			d.Heal()
			mustCheckpoint(t, j)
			renames := 0
			for _, s := range d.Steps() {
				if s == "publish:rename" {
					renames++
				}
			}
			if s := j.Stats(); renames != 1 || s.Published != 1 || s.Coalesced != 4 {
				t.Errorf("%d renames, %+v; want one for five versions", renames, s)
			}
			f, err := d.Open("a.json")
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Attr()
			if diff := cmp.Diff(put("", "").Attr, got, cmp.FilterPath(func(p cmp.Path) bool {
				return p.String() == "Atime"
			}, cmp.Ignore())); diff != "" || err != nil {
				t.Errorf("attributes: %v\n%s", err, diff)
			}
			if n := len(h.contents("a.json")); n != 6 || h.contents("a.json")[0] != before["a.json"] {
				t.Errorf("%d entries in history, want the adopted one and 5 versions", n)
			}
			info, err := d.Stat("a.json")
			if err != nil || info.Nlink != 1 {
				t.Errorf("published file has %d names, %v", info.Nlink, err)
			}
		})
	}
}

func TestContentOutlivesPublishing(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	j.index.maxHeld = 0 // contents are read back from the segment
	mustCommit(t, j, "small.json", "small one")
	if _, err := putStaged(background0, j, put("big.json", text("big", 5000))); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"small.json": "small one", "big.json": text("big", 5000)}
	open := map[string]Content{}
	for path := range want {
		_, c, ok, err := j.OpenPending(path)
		if err != nil || !ok {
			t.Fatal(path, ok, err)
		}
		open[path] = c
	}
	mustCheckpoint(t, j)
	for i := range 30 {
		mustCommit(t, j, "small.json", text(fmt.Sprint(i), 1500))
		mustCheckpoint(t, j)
	}
	for path, c := range open {
		b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err != nil || string(b) != want[path] {
			t.Errorf("%s: %s, %v", path, brief(string(b)), err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, ok, err := j.OpenPending("none.json"); ok || err != nil {
		t.Errorf("nothing pending: %v, %v", ok, err)
	}
}

func TestTargetsThatCanNotBeReplaced(t *testing.T) {
	d := disktest.New()
	d.Put("file", "not a directory")
	if err := d.MkdirAll("test:mkdir", "dir.json", 0o755); err != nil {
		t.Fatal(err)
	}
	h := newHistory(d)
	j := mustOpen(t, d, small(h))
	mustCommit(t, j, "dir.json", "over a directory")
	mustCommit(t, j, "file/below.json", "below a file")
	mustCommit(t, j, "gone/deep/x.json", "parents are gone")
	mustCheckpoint(t, j)
	if s := j.Stats(); s.Pending != 0 || s.Stranded != 2 || s.Published != 1 {
		t.Errorf("%+v; want 2 stranded, 1 published", s)
	}
	for path, want := range map[string]string{"dir.json": "over a directory", "file/below.json": "below a file"} {
		if got := h.contents(path); len(got) != 1 || got[0] != want {
			t.Errorf("history of %s: %q", path, got)
		}
	}
	if got := d.AfterCrash(nil, 0).Tree("")["gone/deep/x.json"]; got != "parents are gone" {
		t.Errorf("directories were not made again durably: %q", got)
	}
}

func TestOneFailingPathHoldsNothingUp(t *testing.T) {
	d := disktest.New()
	h := newHistory(d)
	h.fail = func(path string) error {
		if path == "bad.json" {
			return syscall.EACCES
		}
		return nil
	}
	j := mustOpen(t, d, small(h))
	mustCommit(t, j, "bad.json", "bad one")
	mustCommit(t, j, "bad.json", "bad two")
	for i := range 100 {
		mustCommit(t, j, "good.json", text(fmt.Sprint(i), 1500))
		if err := j.checkpoint(background0, false); err != nil && !errors.Is(err, syscall.EACCES) {
			t.Fatal(err)
		}
	}
	s := j.Stats()
	if s.Segments > stuckSegments+1 || s.Pending != 2 || s.PublishFailing == nil {
		t.Errorf("%+v; want few segments and two pending versions", s)
	}
	if s.PublishErrors > 20 {
		t.Errorf("%d attempts in 100 rounds: no rest between them", s.PublishErrors)
	}
	after := d.AfterCrash(nil, 0)
	h = h.on(after)
	j = mustOpen(t, after, small(h))
	mustCheckpoint(t, j)
	if got := h.contents("bad.json"); cmp.Diff([]string{"bad one", "bad two"}, got) != "" {
		t.Errorf("history after the recovery: %q", got)
	}
	if got := after.Tree("")["bad.json"]; got != "bad two" {
		t.Errorf("got %q", got)
	}
}

func TestFailedPublishIsTriedWithANewFile(t *testing.T) {
	for _, step := range []disk.Step{"publish:create", "publish:write", "publish:attr", "publish:sync", "publish:rename", "publish:sync-dir",
		"publish:stage-attr", "publish:stage-sync", "publish:link-stage"} {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EPERM} {
			t.Run(fmt.Sprint(step, " ", errno), func(t *testing.T) {
				d := freshDisk()
				j := mustOpen(t, d, small(newHistory(d)))
				mustCommit(t, j, "a.json", "new a")
				if _, err := putStaged(background0, j, put("dir/b.json", text("new b", 4000))); err != nil {
					t.Fatal(err)
				}
				d.Heal(disktest.FailStep(step, 1, errno, false))
				err := j.Checkpoint(background0)
				if !d.Failed() || (err != nil && !errors.Is(err, errno)) {
					t.Fatalf("got %v", err)
				}
				if got, _ := current(t, j, d, "a.json"); got != "new a" {
					t.Errorf("readers see %q", got)
				}
				d.Heal()
				mustCheckpoint(t, j)
				want := map[string]string{"a.json": "new a", "dir/b.json": text("new b", 4000)}
				if diff := cmp.Diff(want, userTree(d.AfterCrash(nil, 0))); diff != "" {
					t.Error(diff)
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				wantClean(t, d)
			})
		}
	}
}

func TestCommitDuringPublishing(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	j := mustOpen(t, d, small(h))
	mustCommit(t, j, "a.json", "one")
	raced := false
	h.fail = func(string) error {
		if !raced {
			raced = true
			mustCommit(t, j, "a.json", "two")
		}
		return nil
	}
	mustCheckpoint(t, j)
	if got, _ := current(t, j, d, "a.json"); got != "two" {
		t.Errorf("got %q", got)
	}
	if got := d.Tree("")["a.json"]; got != "one" {
		t.Errorf("backing file: %q", got)
	}
	mustCheckpoint(t, j)
	if got := d.Tree("")["a.json"]; got != "two" {
		t.Errorf("backing file: %q", got)
	}
}

func TestSettleTouchesOnlyWhatIsBelow(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	paths := []string{"d/a.json", "d/e/b.json", "da.json", "d2/c.json"}
	for _, p := range paths {
		mustCommit(t, j, p, p)
	}
	if diff := cmp.Diff([]string{"a.json"}, j.PendingNames("d")); diff != "" {
		t.Error(diff)
	}
	if got := j.PendingNames(""); len(got) != 1 || got[0] != "da.json" {
		t.Errorf("root: %q", got)
	}
	if got := j.PendingNew("d"); len(got) != 1 {
		t.Errorf("new in d: %q", got)
	}
	if err := j.Settle(background0, "d"); err != nil {
		t.Fatal(err)
	}
	after := d.AfterCrash(nil, 0)
	again := mustOpen(t, after, small(nil))
	for _, p := range paths {
		_, pending := again.Pending(p)
		_, exists := after.Tree("")[p]
		if below := strings.HasPrefix(p, "d/"); pending == below || exists != below {
			t.Errorf("%s: pending %v, published %v", p, pending, exists)
		}
	}
	if s := j.Stats(); s.PendingPaths != 2 || len(j.PendingNames("d")) != 0 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancel(background0)
	cancel()
	if err := j.Settle(ctx, "d2"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestBackgroundPublishes(t *testing.T) {
	d := disktest.New()
	o := small(nil)
	o.Manual, o.PublishDelay = false, time.Millisecond
	j := mustOpen(t, d, o)
	mustCommit(t, j, "a.json", "one")
	wait(t, "the file in the backing directory", func() bool { _, pending := j.Pending("a.json"); return !pending })
	if got := d.AfterCrash(nil, 0).Tree("")["a.json"]; got != "one" {
		t.Errorf("got %q", got)
	}
	d.Heal(disktest.FailStep("publish:create", 1, syscall.ENOSPC, false))
	mustCommit(t, j, "a.json", "two")
	wait(t, "another attempt after the failure", func() bool { _, pending := j.Pending("a.json"); return !pending })
	if !d.Failed() {
		t.Error("no failure happened")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBackgroundComesBackForAFailingPath(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	failures := 0
	h.fail = func(string) error {
		if failures++; failures <= 4 {
			return syscall.EIO
		}
		return nil
	}
	o := small(h)
	o.Manual, o.PublishDelay = false, time.Millisecond
	j := mustOpen(t, d, o)
	mustCommit(t, j, "a.json", "one")
	wait(t, "success after four failures", func() bool { _, pending := j.Pending("a.json"); return !pending })
	wait(t, "the failure to be over", func() bool { return j.Stats().PublishFailing == nil })
	if s := j.Stats(); s.PublishErrors != 4 {
		t.Errorf("%d failed attempts, want 4", s.PublishErrors)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCommitWaitsForRoom(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	gate := make(chan struct{})
	h.fail = func(string) error { <-gate; return nil }
	o := small(h)
	o.Manual, o.PublishDelay, o.MaxPending = false, time.Hour, 4000
	j := mustOpen(t, d, o)
	for i := range 3 {
		mustCommit(t, j, fmt.Sprintf("f%d.json", i), text("x", 1000))
	}
	ctx, cancel := context.WithTimeout(background0, 20*time.Millisecond)
	defer cancel()
	if _, err := j.Commit(ctx, put("g.json", "x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("commit into a full journal: got %v, want to wait", err)
	}
	done := make(chan error)
	go func() {
		_, err := j.Commit(background0, put("g.json", "x"))
		done <- err
	}()
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("after room was made: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullJournalTellsWhyItCanNotPublish(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	h.fail = func(string) error { return syscall.EROFS }
	o := small(h)
	o.MaxPending = 4000
	j := mustOpen(t, d, o)
	var err error
	for i := range 10 {
		if _, err = j.Commit(background0, put(fmt.Sprintf("f%d.json", i), text("x", 1000))); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v, want EROFS", err)
	}
}
