package journal

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"

	"pgregory.net/rapid"
)

func TestCommitRefuses(t *testing.T) {
	j := mustOpen(t, disktest.New(), small(nil))
	with := func(change func(p *Put)) Put {
		p := put("a.json", "x")
		change(&p)
		return p
	}
	cases := []struct {
		name string
		put  Put
		want error
	}{
		{"no path", with(func(p *Put) { p.Path = "" }), syscall.EINVAL},
		{"absolute", with(func(p *Put) { p.Path = "/a" }), syscall.EINVAL},
		{"upwards", with(func(p *Put) { p.Path = "a/../b" }), syscall.EINVAL},
		{"empty element", with(func(p *Put) { p.Path = "a//b" }), syscall.EINVAL},
		{"own files", with(func(p *Put) { p.Path = ".intact/journal/x" }), syscall.EINVAL},
		{"NUL", with(func(p *Put) { p.Path = "a\x00" }), syscall.EINVAL},
		{"wrong size", with(func(p *Put) { p.Size = 5 }), syscall.EINVAL},
		{"not a stage", with(func(p *Put) { p.Stage, p.Inline = "a.json", nil }), ErrStage},
		{"stage outside", with(func(p *Put) { p.Stage, p.Inline = stagePrefix+"/../x", nil }), ErrStage},
		{"stage and inline", with(func(p *Put) { p.Stage = stagePrefix + "1-a" }), ErrStage},
		{"no such stage", with(func(p *Put) { p.Stage, p.Inline = stagePrefix+"1-a", nil }), syscall.ENOENT},
		{"long note", with(func(p *Put) { p.Note = strings.Repeat("n", 70000) }), ErrTooLarge},
		{"attributes over a segment", with(func(p *Put) { p.Attr.Xattrs = map[string][]byte{"user.x": make([]byte, 16000)} }), ErrTooLarge},
		{"long attribute name", with(func(p *Put) { p.Attr.Xattrs = map[string][]byte{strings.Repeat("x", 70000): nil} }), ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := j.Commit(background0, c.put); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if s := j.Stats(); s.Pending != 0 || s.LastTx != 0 {
		t.Errorf("refused commits left %+v", s)
	}
	name, f, err := j.NewStage()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	p := put("a.json", "xyz")
	p.Stage, p.Inline = name, nil
	if _, err := j.Commit(background0, p); !errors.Is(err, ErrStage) {
		t.Errorf("stage of another size: got %v", err)
	}
	for range 2 {
		if err := j.Discard(name); err != nil {
			t.Errorf("discard: %v", err)
		}
	}
	if err := j.Discard("a.json"); !errors.Is(err, ErrStage) {
		t.Errorf("discard of something else: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Commit(background0, put("a.json", "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	if err := j.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestVersionComesBackAsCommitted(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	p := put("dir/ü \n.json", "")
	p.Base = 77
	p.Attr.Atime = time.Unix(-5, 7)
	want, err := j.Commit(background0, p)
	if err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, d.AfterCrash(nil, 0), small(nil))
	got, ok := j.Pending(p.Path)
	if !ok || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestNumbersGrowForever takes the journal through closes, crashes and uses
// of every segment.
func TestNumbersGrowForever(t *testing.T) {
	d := disktest.New()
	var last TxID
	for session := range 12 {
		j := mustOpen(t, d, small(nil))
		for i := range session % 4 * 5 {
			v := mustCommit(t, j, "a.json", text(fmt.Sprint(i), 1900))
			if v.Tx <= last {
				t.Fatalf("session %d: tx %d after %d", session, v.Tx, last)
			}
			last = v.Tx
			if session%2 == 0 {
				mustCheckpoint(t, j)
			}
		}
		if session%3 == 0 {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		d = d.AfterCrash(nil, 0)
	}
	if n := len(d.Tree(segmentDir)); n > 8 {
		t.Errorf("%d segment files are kept", n)
	}
}

func TestRelaxedLosesOnlyWhatWasNotSynced(t *testing.T) {
	d := disktest.New()
	o := small(nil)
	o.Durability = Relaxed
	j := mustOpen(t, d, o)
	mustCommit(t, j, "a.json", "synced")
	if err := j.Sync(background0); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, j, "a.json", "not synced")
	if got, _ := current(t, j, d, "a.json"); got != "not synced" {
		t.Errorf("visible: %q", got)
	}
	lost := d.AfterCrash(nil, 0)
	if got, _ := current(t, mustOpen(t, lost, o), lost, "a.json"); got != "synced" {
		t.Errorf("after power loss: %q", got)
	}
	if got, _ := current(t, mustOpen(t, d.Clone(), o), d, "a.json"); got != "not synced" {
		t.Errorf("after the process died: %q", got)
	}
	mustCheckpoint(t, j)
	if got := d.AfterCrash(nil, 0).Tree("")["a.json"]; got != "not synced" {
		t.Errorf("published: %q", got)
	}
}

func TestRelaxedSyncsSoon(t *testing.T) {
	d := disktest.New()
	o := small(nil)
	o.Durability, o.Manual, o.PublishDelay = Relaxed, false, time.Hour
	j := mustOpen(t, d, o)
	mustCommit(t, j, "a.json", "soon")
	wait(t, "the background sync", func() bool {
		c := d.AfterCrash(nil, 0)
		got, _ := current(t, mustOpen(t, c, small(nil)), c, "a.json")
		return got == "soon"
	})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRelaxedCrashes(t *testing.T) {
	t.Parallel()
	for n := 1; ; n += stride {
		d := freshDisk(disktest.CrashAt(n))
		h, l := newHistory(d), newLedger(before)
		o := small(h)
		o.Durability = Relaxed
		if j, _, err := Open(d, o); err == nil {
			for i := range 14 {
				_ = l.commit(j, "a.json", text(fmt.Sprint(i), 1500), false)
				if i%5 == 3 {
					_ = j.Checkpoint(background0)
				}
			}
			_ = j.Close()
		}
		if !d.Crashed() {
			return
		}
		l.acked, l.ackedTx = map[string]int{}, nil // any of them may be lost, none may be torn
		for name, after := range variants(n, d) {
			labelled(t, fmt.Sprintf("crash instead of operation %d, %s", n, name), func() {
				h := h.on(after)
				l.wantWhole(t, after)
				j := mustOpen(t, after, small(h))
				l.wantDurable(t, j, after)
				seen := map[TxID]bool{}
				v := mustCommit(t, j, "later.json", "x")
				mustCheckpoint(t, j)
				for _, e := range h.entries["a.json"] {
					if e.tx != 0 && (seen[e.tx] || e.tx >= v.Tx) {
						t.Fatalf("tx %d used twice", e.tx)
					}
					seen[e.tx] = true
				}
			})
		}
	}
}

// TestFailedWriteFailsThatCommitOnly fails writes of the segment, which must
// not stop the journal, nor come back as commits.
func TestFailedWriteFailsThatCommitOnly(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	mustCommit(t, j, "a.json", "kept")
	d.Heal(disktest.FailStep("commit:append", 1, syscall.ENOSPC, false))
	if _, err := j.Commit(background0, put("a.json", text("refused", 1900))); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	c := d.AfterCrash(nil, 100)
	if got, _ := current(t, mustOpen(t, c, small(nil)), c, "a.json"); got != "kept" {
		t.Errorf("after a crash: %s", brief(got))
	}
	mustCommit(t, j, "a.json", "next")
	c = d.AfterCrash(nil, 0)
	if got, _ := current(t, mustOpen(t, c, small(nil)), c, "a.json"); got != "next" {
		t.Errorf("after the next commit: %s", brief(got))
	}
	d.Heal(disktest.FailStep("commit:append", 1, syscall.EIO, true), disktest.FailStep("commit:cut", 1, syscall.EIO, true))
	if _, err := j.Commit(background0, put("a.json", "x")); !errors.Is(err, ErrStopped) {
		t.Errorf("nothing can be written: got %v, want ErrStopped", err)
	}
}

// TestDiskFull fills the disk: commits fail with ENOSPC, and what was
// committed stays and is published when there is room again.
func TestDiskFull(t *testing.T) {
	d := freshDisk()
	h := newHistory(d)
	o := small(h)
	d.Heal(disktest.Capacity(3*o.SegmentSize + 4000))
	j := mustOpen(t, d, o)
	l := newLedger(before)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = l.commit(j, "a.json", text(fmt.Sprint(i), 1800), false)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	big := put("b.json", text("b", 9000)) // goes through a stage of the journal's
	if _, err := j.Commit(background0, big); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("stage: got %v, want ENOSPC", err)
	}
	l.wantDurable(t, j, d)
	after := d.AfterCrash(nil, 0)
	l.wantWhole(t, after)
	// Publishing needs room for one file, and makes room in the journal.
	mustCheckpoint(t, j)
	if err := l.commit(j, "a.json", "again", false); err != nil {
		t.Errorf("after a checkpoint: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := d.Tree("")["a.json"]; got != "again" {
		t.Errorf("got %s", brief(got))
	}
}

func TestReplayIsFast(t *testing.T) {
	d := disktest.New()
	o := Options{SegmentSize: 4 << 20, Manual: true, MaxPending: 1 << 30}
	j := mustOpen(t, d, o)
	const n = 10000
	content := text("x", 1024)
	for i := range n {
		mustCommit(t, j, fmt.Sprintf("d%d/f%d.json", i%100, i), content)
	}
	if len(j.PendingNames("d7")) != n/100 {
		t.Errorf("%d names in d7", len(j.PendingNames("d7")))
	}
	began := time.Now()
	j, report, err := Open(d.AfterCrash(nil, 0), o)
	took := time.Since(began)
	if err != nil || report.Pending != n || j.Stats().Pending != n {
		t.Fatalf("%+v, %v", report, err)
	}
	t.Logf("replayed %d records in %v", n, took)
	if took > 20*time.Second {
		t.Errorf("replay took %v", took)
	}
}

// TestModel runs random operations, crashes and errors against the ledger.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := freshDisk()
		h, l := newHistory(d), newLedger(before)
		seed := int64(0)
		open := func() *Journal {
			seed++
			o := small(h)
			o.Rand = rand.New(rand.NewSource(seed))
			return mustOpen(t, d, o)
		}
		j := open()
		paths := []string{"a.json", "dir/b.json", "dir/new.json", "c.json"}
		n := 0
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			path := rapid.SampledFrom(paths).Draw(rt, "path")
			switch op := rapid.IntRange(0, 19).Draw(rt, "op"); op {
			case 0:
				mustCheckpoint(t, j)
			case 1:
				if err := j.Settle(background0, path); err != nil {
					rt.Fatal(err)
				}
			case 2:
				if err := j.Close(); err != nil {
					rt.Fatal(err)
				}
				j = open()
			case 3, 4:
				d = d.AfterCrash(rand.New(rand.NewSource(seed)), rapid.IntRange(0, 100).Draw(rt, "percent"))
				h = h.on(d)
				l.wantWhole(t, d)
				j = open()
				l.settleUnknown(t, j, d)
			default:
				n++
				content := text(fmt.Sprint(n), rapid.IntRange(0, 4000).Draw(rt, "size"))
				if err := l.commit(j, path, content, op%5 == 0); err != nil {
					d.Heal()
					j = open() // stopped or not
					l.settleUnknown(t, j, d)
				}
			}
			if rapid.IntRange(0, 3).Draw(rt, "look") == 0 {
				l.wantDurable(t, j, d)
			}
			d.Heal()
		}
		if err := j.Close(); err != nil {
			rt.Fatal(err)
		}
		l.wantWhole(t, d)
		l.wantDurable(t, j, d)
		l.wantKept(t, h)
	})
}

// settleUnknown takes over what a crash made of the commits that were not
// acknowledged: from now on it is what was committed.
func (l *ledger) settleUnknown(t testing.TB, j *Journal, d disk.Disk) {
	t.Helper()
	l.wantDurable(t, j, d)
	for path, versions := range l.started {
		got, ok := current(t, j, d, path)
		if !ok {
			got = absent
		}
		for i := len(versions) - 1; i >= l.acked[path]; i-- {
			if versions[i] == got {
				l.acked[path] = i
				l.started[path] = versions[:i+1]
				break
			}
		}
	}
}
