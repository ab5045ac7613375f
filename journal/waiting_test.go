package journal

import (
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// longJournal has a long file, and a clock that the test sets.
func longJournal(t *testing.T) (j *Journal, d *disktest.Disk, h *memoryHistory, base string, now *time.Time) {
	t.Helper()
	base = strings.Repeat("0123456789abcde\n", (2<<20)/16)
	d = disktest.New()
	d.Put("log.jsonl", base)
	h = newHistory(nil)
	now = new(time.Time)
	*now = time.Unix(1_700_000_000, 0)
	o := small(h)
	o.SegmentSize, o.Now = 1<<20, func() time.Time { return *now }
	return mustOpen(t, d, o), d, h, base, now
}

func mustAppend(t testing.TB, j *Journal, path, more string, base int64) {
	t.Helper()
	if _, err := j.Append(background0, AppendPut{Path: path, Bytes: []byte(more), BaseSize: base}); err != nil {
		t.Fatal(err)
	}
}

func pendingContent(t testing.TB, j *Journal, path string) string {
	t.Helper()
	_, c, ok, err := j.OpenPending(path)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestShortAppendsToALongFileWait says what publishes them.
func TestShortAppendsToALongFileWait(t *testing.T) {
	line := text("line", 200)
	cases := []struct {
		name string
		then func(j *Journal, base int64, now *time.Time) error
		want bool // published by the next round
	}{
		{"nothing", func(*Journal, int64, *time.Time) error { return nil }, false},
		{"almost 30 seconds", func(_ *Journal, _ int64, now *time.Time) error { *now = now.Add(29 * time.Second); return nil }, false},
		{"30 seconds", func(_ *Journal, _ int64, now *time.Time) error { *now = now.Add(30 * time.Second); return nil }, true},
		{"a clock that was put back", func(_ *Journal, _ int64, now *time.Time) error { *now = now.Add(-time.Hour); return nil }, true},
		{"a sixteenth of the file", func(j *Journal, base int64, _ *time.Time) error {
			for n := base + 200; n < base+base/16; n += 2000 {
				if _, err := j.Append(background0, AppendPut{Path: "log.jsonl", Bytes: make([]byte, 2000), BaseSize: n}); err != nil {
					return err
				}
			}
			return nil
		}, true},
		{"another content", func(j *Journal, _ int64, _ *time.Time) error {
			_, err := j.Commit(background0, put("log.jsonl", "short"))
			return err
		}, true},
		{"settle", func(j *Journal, _ int64, _ *time.Time) error { return j.Settle(background0, "log.jsonl") }, true},
		{"checkpoint", func(j *Journal, _ int64, _ *time.Time) error { return j.Checkpoint(background0) }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j, _, _, base, now := longJournal(t)
			mustAppend(t, j, "log.jsonl", line, int64(len(base)))
			if err := c.then(j, int64(len(base)), now); err != nil {
				t.Fatal(err)
			}
			if err := j.checkpoint(background0, false); err != nil {
				t.Fatal(err)
			}
			_, pending := j.Pending("log.jsonl")
			if pending == c.want || (j.Stats().WaitingPaths == 1) == c.want {
				t.Errorf("pending %v, %d wait; want published: %v", pending, j.Stats().WaitingPaths, c.want)
			}
		})
	}
}

// TestWaitingAppendsHoldNothingUp commits much else while a long file waits:
// the segment of its appends is used again all the same, and they survive.
func TestWaitingAppendsHoldNothingUp(t *testing.T) {
	j, d, h, base, _ := longJournal(t)
	want := base
	for i := range 3 {
		line := fmt.Sprintf("line %d\n", i)
		mustAppend(t, j, "log.jsonl", line, int64(len(want)))
		want += line
	}
	for i := range 600 {
		if _, err := j.Commit(background0, put(fmt.Sprintf("f%d.json", i%7), text(fmt.Sprint(i), 20000))); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, j, "small.json", text(fmt.Sprint(i), 2000))
		if i%20 == 0 {
			if err := j.checkpoint(background0, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 4000 {
		mustCommit(t, j, "small.json", text(fmt.Sprint(i), 2000))
		if i%100 == 0 {
			if err := j.checkpoint(background0, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := j.Stats(); s.Segments > stuckSegments+1 || s.WaitingPaths != 1 {
		t.Errorf("%+v", s)
	}
	after := d.AfterCrash(nil, 0)
	again := mustOpen(t, after, small(h.on(after)))
	if got := pendingContent(t, again, "log.jsonl"); got != want {
		t.Errorf("%d bytes after a crash, want %d", len(got), len(want))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if d.Tree("")["log.jsonl"] != want {
		t.Error("published content differs")
	}
}

// TestWaitingIsBounded appends to many long files: what waits together is at
// most a segment.
func TestWaitingIsBounded(t *testing.T) {
	j, d, _, base, _ := longJournal(t)
	for i := range 40 {
		path := fmt.Sprintf("log%d.jsonl", i)
		d.Put(path, base)
		for n := range 20 {
			mustAppend(t, j, path, text("x", 2000), int64(len(base)+2000*n))
		}
	}
	if err := j.checkpoint(background0, false); err != nil {
		t.Fatal(err)
	}
	s := j.Stats()
	if s.WaitingPaths == 0 || s.PendingBytes > j.o.SegmentSize {
		t.Errorf("%d paths wait with %d bytes; want some, and at most a segment", s.WaitingPaths, s.PendingBytes)
	}
}

// TestManyAppendsOpenAsOnePiece checks the bytes that are joined in memory,
// through rounds that take only a part of them, and where some are not held.
func TestManyAppendsOpenAsOnePiece(t *testing.T) {
	for _, maxHeld := range []int64{maxHeld, 3000, 0} {
		t.Run(fmt.Sprint(maxHeld), func(t *testing.T) {
			d := freshDisk()
			h := newHistory(nil)
			j := mustOpen(t, d, small(h))
			j.index.maxHeld = maxHeld
			rng := rand.New(rand.NewSource(maxHeld))
			want := map[string]string{"a.json": before["a.json"], "n.json": ""}
			h.fail = func(path string) error { // a commit in the middle of a round
				more := text("during", 30)
				mustAppend(t, j, path, more, int64(len(want[path])))
				want[path] += more
				return nil
			}
			for i := range 300 {
				path := []string{"a.json", "n.json"}[rng.Intn(2)]
				switch rng.Intn(20) {
				case 0:
					mustCheckpoint(t, j)
				case 1:
					want[path] = text(fmt.Sprint("whole", i), rng.Intn(900))
					mustCommit(t, j, path, want[path])
				default:
					more := text(fmt.Sprint(i), 1+rng.Intn(100))
					mustAppend(t, j, path, more, int64(len(want[path])))
					want[path] += more
				}
				if got, _ := current(t, j, d, path); got != want[path] {
					t.Fatalf("step %d: %s has %s, want %s", i, path, brief(got), brief(want[path]))
				}
			}
			if v := j.index.newest("a.json"); maxHeld > 1<<20 && v != nil && v.appended && v.joined == nil {
				t.Error("the bytes in memory are not joined")
			}
			h.fail = nil
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			for path, content := range want {
				if d.Tree("")[path] != content {
					t.Errorf("%s: published content differs", path)
				}
			}
		})
	}
}

// TestAppendBeforeAShorterContent crashes after a content that is shorter
// than what an append goes on from took the place of it.
func TestAppendBeforeAShorterContent(t *testing.T) {
	for _, step := range []string{"publish:sync-dir", "commit:append"} {
		t.Run(step, func(t *testing.T) {
			d := freshDisk()
			h := newHistory(d)
			j := mustOpen(t, d, small(h))
			mustAppend(t, j, "a.json", " and more", int64(len(before["a.json"])))
			mustCommit(t, j, "a.json", "x")
			seen := false
			d.Heal(disktest.Watch(func(_ int, s disk.Step) {
				renamed := d.Tree("")["a.json"] == "x"
				if string(s) != step || !renamed || seen {
					return
				}
				seen = true
				after := d.AfterCrash(nil, 100)
				again := mustOpen(t, after, small(h.on(after)))
				if got, _ := current(t, again, after, "a.json"); got != "x" {
					t.Errorf("a reader finds %q", got)
				}
				if report, err := Check(background0, after); err != nil || len(report.Damage) > 0 {
					t.Errorf("check: %v, %+v", err, report)
				}
			}))
			mustCheckpoint(t, j)
			if !seen {
				t.Error("no crash was tried")
			}
			if !contains(h.contents("a.json"), before["a.json"]+" and more") {
				t.Error("the append is not in the history")
			}
		})
	}
}
