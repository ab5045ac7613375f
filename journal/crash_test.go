package journal

import (
	"errors"
	"fmt"
	"math/rand"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"intactfs/journal/disk/disktest"
)

// before is what the backing directory holds when a workload begins.
var before = map[string]string{"a.json": "the first a", "dir/b.json": "the first b"}

func freshDisk(opts ...disktest.Option) *disktest.Disk {
	d := disktest.New(disktest.ReuseFreed())
	for path, content := range before {
		d.Put(path, content)
	}
	d.Heal(opts...)
	return d
}

// workload does everything once: open, small and staged commits, a round of
// the checkpointer, settling, enough to change segments, close, open again.
// It goes on after errors, as programs do.
func workload(d *disktest.Disk, h *memoryHistory, l *ledger) {
	for session := 0; session < 2; session++ {
		o := small(h)
		o.Rand = rand.New(rand.NewSource(int64(session)))
		j, _, err := Open(d, o)
		if err != nil {
			continue
		}
		name := func(s string, i int) string { return fmt.Sprintf("%s%d.%d", s, session, i) }
		_ = l.commit(j, "a.json", text(name("a", 1), 300), false)
		_ = l.commit(j, "a.json", text(name("a", 2), 700), false)
		_ = l.commit(j, "dir/b.json", text(name("b", 1), 6000), true)
		_ = l.commit(j, "dir/new.json", text(name("n", 1), 500), false)
		_ = j.Checkpoint(background0)
		for i := range 9 {
			_ = l.commit(j, "a.json", text(name("aa", i), 1900), false)
		}
		_ = l.commit(j, "dir/b.json", text(name("b", 2), 5000), true)
		_ = j.Settle(background0, "dir")
		_ = l.commit(j, "dir/b.json", text(name("b", 3), 100), false)
		_ = l.commit(j, "dir/new.json", text(name("n", 2), 4500), true)
		if session == 0 {
			_ = l.commit(j, "c.json", text(name("c", 1), 2), false)
		}
		_ = j.Close()
	}
}

// variants are the states that a crash may leave.
func variants(n int, d *disktest.Disk) map[string]*disktest.Disk {
	return map[string]*disktest.Disk{
		"synced only": d.AfterCrash(nil, 0),
		"everything":  d.AfterCrash(nil, 100),
		"half":        d.AfterCrash(rand.New(rand.NewSource(int64(n))), 50),
		"most":        d.AfterCrash(rand.New(rand.NewSource(int64(-n))), 85),
	}
}

// labelled says which of thousands of cases failed. A subtest for each would
// take longer than the case.
func labelled(t *testing.T, label string, f func()) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(label)
		}
	}()
	f()
}

// recoverAndCheck recovers d and checks every promise.
func recoverAndCheck(t *testing.T, d *disktest.Disk, h *memoryHistory, l *ledger) {
	t.Helper()
	l.wantWhole(t, d)
	h = h.on(d)
	o := small(h)
	o.Rand = rand.New(rand.NewSource(99))
	j := mustOpen(t, d, o)
	l.wantDurable(t, j, d)
	if err := j.Checkpoint(background0); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	if s := j.Stats(); s.Pending != 0 || s.Stranded != 0 {
		t.Fatalf("after a checkpoint %d versions are pending, %d stranded", s.Pending, s.Stranded)
	}
	l.wantDurable(t, j, d)
	l.wantLinked(t, d)
	l.wantKept(t, h)
	v, err := j.Commit(background0, put("later.json", "later"))
	if err != nil || v.Tx <= l.maxTx {
		t.Fatalf("commit after recovery: %v, tx %d after %d", err, v.Tx, l.maxTx)
	}
	tree := userTree(d)
	if err := j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	tree["later.json"] = "later"
	wantClean(t, d)

	j = mustOpen(t, d, small(h))
	if err := j.Close(); err != nil {
		t.Fatalf("close again: %v", err)
	}
	if diff := cmp.Diff(tree, userTree(d)); diff != "" {
		t.Fatalf("recovering twice changes files:\n%s", diff)
	}
}

// wantClean checks that nothing is left in staging, and that Check agrees.
func wantClean(t *testing.T, d *disktest.Disk) {
	t.Helper()
	if left := d.Tree(stagingDir); len(left) > 0 {
		t.Fatalf("left in staging: %v", sortedKeys(left))
	}
	report, err := Check(background0, d)
	if err != nil || len(report.Damage) > 0 || report.Pending > 0 {
		t.Fatalf("check: %v, %+v", err, report)
	}
}

func TestCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	crashAtEveryOperation(t, workload, func(o disktest.Option) (*disktest.Disk, *ledger) { return freshDisk(o), newLedger(before) })
}

func crashAtEveryOperation(t *testing.T, work func(*disktest.Disk, *memoryHistory, *ledger), fresh func(disktest.Option) (*disktest.Disk, *ledger)) {
	for n := 1; ; n += stride {
		d, l := fresh(disktest.CrashAt(n))
		h := newHistory(d)
		work(d, h, l)
		if !d.Crashed() {
			t.Logf("%d operations", n-1)
			recoverAndCheck(t, d.AfterCrash(nil, 0), h, l)
			return
		}
		for name, after := range variants(n, d) {
			labelled(t, fmt.Sprintf("crash instead of operation %d (%s), %s", n, d.Steps()[n-1], name), func() {
				recoverAndCheck(t, after, h, l)
			})
		}
	}
}

func TestErrorAtEveryOperation(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for _, sticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s sticky=%v", errno, sticky), func(t *testing.T) {
				t.Parallel()
				errorAtEveryOperation(t, workload, errno, sticky)
			})
		}
	}
}

func errorAtEveryOperation(t *testing.T, work func(*disktest.Disk, *memoryHistory, *ledger), errno syscall.Errno, sticky bool) {
	for n := 1; ; n += stride {
		d := freshDisk(disktest.FailAt(n, errno, sticky))
		h, l := newHistory(d), newLedger(before)
		work(d, h, l)
		if !d.Failed() {
			return
		}
		step := d.Steps()[n-1]
		for name, after := range variants(n, d) {
			labelled(t, fmt.Sprintf("error at operation %d (%s), then crash, %s", n, step, name), func() {
				recoverAndCheck(t, after, h, l)
			})
		}
		// No crash at all: the process ends, and the next one starts.
		d.Heal()
		labelled(t, fmt.Sprintf("error at operation %d (%s), then restart", n, step), func() {
			recoverAndCheck(t, d, h, l)
		})
	}
}

// TestReadErrorAtEveryOperation fails reading operations: nothing gets lost
// or invalid by that, and the next start finds everything.
func TestReadErrorAtEveryOperation(t *testing.T) {
	t.Parallel()
	for n := 1; ; n += stride {
		d := freshDisk(disktest.FailReadAt(n, syscall.EIO, n%2 == 0))
		h, l := newHistory(d), newLedger(before)
		workload(d, h, l)
		if !d.Failed() {
			return
		}
		labelled(t, fmt.Sprintf("error at read %d", n), func() {
			recoverAndCheck(t, d.AfterCrash(nil, 0), h, l)
			d.Heal()
			recoverAndCheck(t, d, h, l)
		})
	}
}

// TestCrashDuringRecovery crashes the workload at every operation, and the
// recovery that follows at each of its own.
func TestCrashDuringRecovery(t *testing.T) {
	t.Parallel()
	for n := 1; ; n += 5 * stride {
		d := freshDisk(disktest.CrashAt(n))
		h, l := newHistory(d), newLedger(before)
		workload(d, h, l)
		if !d.Crashed() {
			return
		}
		rng := rand.New(rand.NewSource(int64(n)))
		after := d.AfterCrash(rng, 70)
		for m := 1; ; m++ {
			again := after.Clone(disktest.CrashAt(m))
			h2 := h.on(again)
			o := small(h2)
			o.Rand = rand.New(rand.NewSource(int64(m)))
			if j, _, err := Open(again, o); err == nil {
				_ = j.Checkpoint(background0)
				_ = j.Close()
			} else if errors.Is(err, ErrDamaged) {
				t.Fatalf("crash at %d, recovery: %v", n, err)
			}
			for _, percent := range []int{0, 60} {
				third := again.AfterCrash(rng, percent)
				labelled(t, fmt.Sprintf("crash at %d (%s), then at %d of recovery, %d %%", n, d.Steps()[n-1], m, percent), func() {
					recoverAndCheck(t, third, h2, l)
				})
			}
			if !again.Crashed() {
				break
			}
		}
	}
}
