package journal

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

// tail appends to what the ledger knows as the newest content.
func (l *ledger) tail(j *Journal, path, more string) error {
	if len(l.started[path]) == 0 {
		l.started[path] = []string{absent}
	}
	versions := l.started[path]
	base := versions[len(versions)-1]
	if base == absent {
		base = ""
	}
	l.started[path] = append(versions, base+more)
	v, err := j.Append(background0, AppendPut{Path: path, Bytes: []byte(more), BaseSize: int64(len(base))})
	if err != nil {
		// Only what is known to be the newest can be continued.
		l.started[path] = append(l.started[path][:len(versions):len(versions)], base+more, base)
		return err
	}
	l.acked[path] = len(l.started[path]) - 1
	l.maxTx = max(l.maxTx, v.Tx)
	return nil
}

// appendWorkload mixes appends with whole commits and rounds.
func appendWorkload(d *disktest.Disk, h *memoryHistory, l *ledger) {
	o := small(h)
	j, _, err := Open(d, o)
	if err != nil {
		return
	}
	step := func(err error) bool { return err == nil || d.Crashed() }
	for i := range 6 {
		if !step(l.tail(j, "a.json", fmt.Sprintf("\nline %d", i))) || !step(l.tail(j, "log.jsonl", text(fmt.Sprint(i), 900)+"\n")) {
			break
		}
		if i == 3 {
			_ = j.Checkpoint(background0)
		}
	}
	_ = l.commit(j, "dir/b.json", text("whole", 4000), true)
	_ = l.tail(j, "dir/b.json", "and more")
	_ = j.Settle(background0, "dir")
	_ = l.tail(j, "dir/b.json", "and more again")
	for i := range 12 {
		_ = l.commit(j, "c.json", text(fmt.Sprint(i), 1900), false)
	}
	_ = l.tail(j, "c.json", "end")
	_ = j.Checkpoint(background0)
	_ = l.tail(j, "c.json", "end")
	_ = j.Close()
}

func TestAppendCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	for n := 1; ; n += stride {
		d := freshDisk(disktest.CrashAt(n))
		h, l := newHistory(d), newLedger(before)
		appendWorkload(d, h, l)
		if !d.Crashed() {
			t.Logf("%d operations", n-1)
			return
		}
		for name, after := range variants(n, d) {
			labelled(t, fmt.Sprintf("crash instead of operation %d (%s), %s", n, d.Steps()[n-1], name), func() {
				recoverAndCheck(t, after, h, l)
				// Recovery itself interrupted, at a few places.
				for m := 3; m < 40; m += 13 {
					again := d.AfterCrash(rand.New(rand.NewSource(int64(m))), 60, disktest.CrashAt(m))
					h := h.on(again)
					if j, _, err := Open(again, small(h)); err == nil {
						_ = j.Close()
					}
					recoverAndCheck(t, again.AfterCrash(nil, 0), h, l)
				}
			})
		}
	}
}

func TestAppendErrorAtEveryOperation(t *testing.T) {
	t.Parallel()
	errorAtEveryOperation(t, appendWorkload, syscall.EIO, false)
}

func TestAppendCostsWhatIsAppended(t *testing.T) {
	d := disktest.New()
	big := strings.Repeat("0123456789abcde\n", 64<<10)
	d.Put("log.jsonl", big)
	h := newHistory(nil)
	j := mustOpen(t, d, small(h))
	want := big
	for i := range 30 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := j.Append(background0, AppendPut{Path: "log.jsonl", Bytes: []byte(line), BaseSize: int64(len(want))}); err != nil {
			t.Fatal(err)
		}
		want += line
	}
	if s := j.Stats(); s.PendingBytes > 1000 || s.Segments != 1 {
		t.Errorf("30 short appends: %+v", s)
	}
	_, c, ok, err := j.OpenPending("log.jsonl")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	defer c.Close()
	got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil || string(got) != want {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	rng := rand.New(rand.NewSource(1))
	for range 200 { // reads that begin and end anywhere near the pieces
		off := int64(len(big) - 20 + rng.Intn(300))
		p := make([]byte, rng.Intn(60))
		n, err := c.ReadAt(p, off)
		rest := ""
		if off < int64(len(want)) {
			rest = want[off:]
		}
		if string(p[:n]) != rest[:min(len(p), len(rest))] || (n < len(p)) != errors.Is(err, io.EOF) {
			t.Fatalf("read %d at %d: %d, %v", len(p), off, n, err)
		}
	}
	mustCheckpoint(t, j)
	if d.Tree("")["log.jsonl"] != want {
		t.Error("published content differs")
	}
	if n := len(h.contents("log.jsonl")); n != 1 {
		t.Errorf("%d entries in history, want the last of the run", n)
	}
	if got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); err != nil || string(got) != want {
		t.Errorf("content after publishing: %d bytes, %v", len(got), err)
	}
}

func TestAppendRefuses(t *testing.T) {
	d := freshDisk()
	j := mustOpen(t, d, small(nil))
	v := mustCommit(t, j, "p.json", "pending")
	cases := []struct {
		name string
		put  AppendPut
		want error
	}{
		{"backing file of another size", AppendPut{Path: "a.json", Bytes: []byte("x"), BaseSize: 3}, ErrMoved},
		{"pending version of another size", AppendPut{Path: "p.json", Bytes: []byte("x"), BaseSize: 3}, ErrMoved},
		{"pending version of another number", AppendPut{Path: "p.json", Bytes: []byte("x"), BaseSize: 7, BaseTx: v.Tx + 1}, ErrMoved},
		{"no file", AppendPut{Path: "n.json", Bytes: []byte("x"), BaseSize: 1}, ErrMoved},
		{"too long", AppendPut{Path: "n.json", Bytes: make([]byte, 3000)}, ErrTooLarge},
		{"negative", AppendPut{Path: "n.json", BaseSize: -1}, syscall.EINVAL},
		{"path", AppendPut{Path: "../n.json"}, syscall.EINVAL},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := j.Append(background0, c.put); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if s := j.Stats(); s.Pending != 1 {
		t.Errorf("%d pending", s.Pending)
	}
}

// TestConcurrentAppendersKeepAllRecords lets appenders race for the end.
func TestConcurrentAppendersKeepAllRecords(t *testing.T) {
	d := disktest.New()
	h := newHistory(nil)
	o := small(h)
	o.Manual, o.PublishDelay = false, time.Millisecond
	j := mustOpen(t, d, o)
	const appenders, lines = 8, 25
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for i := 0; i < lines; {
				size := int64(0)
				if v, ok := j.Pending("log.jsonl"); ok {
					size = v.Size
				} else if info, err := d.Stat("log.jsonl"); err == nil {
					size = info.Size
				}
				_, err := j.Append(background0, AppendPut{Path: "log.jsonl", BaseSize: size, Bytes: fmt.Appendf(nil, "%d.%d\n", a, i)})
				switch {
				case err == nil:
					i++
				case !errors.Is(err, ErrMoved):
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(d.Tree("")["log.jsonl"], "\n"), "\n")
	if len(got) != appenders*lines {
		t.Errorf("%d lines, want %d", len(got), appenders*lines)
	}
	next := map[string]int{}
	for _, line := range got {
		who, n, _ := strings.Cut(line, ".")
		if n != fmt.Sprint(next[who]) {
			t.Fatalf("line %q where number %d was due", line, next[who])
		}
		next[who]++
	}
}
