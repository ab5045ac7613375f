package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// gatedDisk holds syncs of segments up until the test lets them go.
type gatedDisk struct {
	disk.Disk
	gate atomic.Pointer[gate]
}

type gate struct {
	arrived chan struct{}
	pass    chan struct{}
}

type gatedFile struct {
	disk.File
	d *gatedDisk
}

func (d *gatedDisk) Create(step disk.Step, name string, perm uint32) (disk.File, error) {
	f, err := d.Disk.Create(step, name, perm)
	return gatedFile{f, d}, err
}

func (f gatedFile) Sync(step disk.Step) error {
	if g := f.d.gate.Load(); g != nil && step == "commit:sync" {
		g.arrived <- struct{}{}
		<-g.pass
	}
	return f.File.Sync(step)
}

// wait polls until ok, as long as a loaded machine may need.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (j *Journal) queued() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.queue)
}

func TestCommitsThatWaitShareOneSync(t *testing.T) {
	d := &gatedDisk{Disk: disktest.New()}
	o := small(nil)
	o.SegmentSize = 1 << 20
	j := mustOpen(t, d, o)
	g := &gate{arrived: make(chan struct{}), pass: make(chan struct{})}
	d.gate.Store(g)
	var wg sync.WaitGroup
	commit := func(i int) {
		wg.Go(func() {
			if _, err := j.Commit(background0, put(fmt.Sprintf("f%d.json", i), "{}")); err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
		})
	}
	commit(0)
	<-g.arrived // the first is being synced
	for i := 1; i <= 32; i++ {
		commit(i)
	}
	wait(t, "32 commits in the queue", func() bool { return j.queued() == 32 })
	if _, ok := j.Pending("f0.json"); ok {
		t.Error("a commit is visible before its sync")
	}
	d.gate.Store(nil)
	g.pass <- struct{}{}
	wg.Wait()
	if s := j.Stats(); s.Commits != 33 || s.Batches != 2 || s.Syncs != 2 {
		t.Errorf("33 commits took %d batches and %d syncs, want 2 and 2", s.Batches, s.Syncs)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFailedSyncFailsTheWholeBatchAndStops(t *testing.T) {
	mem := disktest.New()
	d := &gatedDisk{Disk: mem}
	j := mustOpen(t, d, small(nil))
	if _, err := j.Commit(background0, put("kept.json", "kept")); err != nil {
		t.Fatal(err)
	}
	g := &gate{arrived: make(chan struct{}), pass: make(chan struct{})}
	d.gate.Store(g)
	errs := make(chan error, 4)
	for i := range 4 {
		go func() {
			_, err := j.Commit(background0, put(fmt.Sprintf("f%d.json", i), "{}"))
			errs <- err
		}()
	}
	<-g.arrived
	wait(t, "3 commits in the queue", func() bool { return j.queued() == 3 })
	mem.Heal(disktest.FailStep("commit:sync", 1, syscall.EIO, false))
	d.gate.Store(nil)
	g.pass <- struct{}{}
	for range 4 {
		if err := <-errs; !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v, want ErrStopped and EIO", err)
		}
	}
	if _, err := j.Commit(background0, put("g.json", "{}")); !errors.Is(err, ErrStopped) {
		t.Errorf("later commit: got %v, want ErrStopped", err)
	}
	if got, ok := current(t, j, d, "kept.json"); !ok || got != "kept" {
		t.Errorf("acknowledged version: got %q", got)
	}
	if _, ok := j.Pending("f0.json"); ok {
		t.Error("a failed commit is visible")
	}
	if err := j.Close(); !errors.Is(err, ErrStopped) {
		t.Errorf("close: got %v, want ErrStopped", err)
	}
}

// TestManyWriters lets the real checkpointer, settling and readers loose on a
// real directory; the race detector watches.
func TestManyWriters(t *testing.T) {
	for _, durability := range []Durability{Full, Relaxed} {
		t.Run(fmt.Sprint(durability), func(t *testing.T) { manyWriters(t, durability) })
	}
}

func manyWriters(t *testing.T, durability Durability) {
	dir := t.TempDir()
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h := newHistory(d)
	o := Options{Durability: durability, SegmentSize: 128 << 10, MaxInline: 4 << 10, MaxPending: 256 << 10,
		PublishDelay: time.Millisecond, Preserver: h}
	j := mustOpen(t, d, o)
	const writers, saves = 16, 40
	var wg sync.WaitGroup
	for w := range writers {
		path := fmt.Sprintf("w%d.json", w)
		wg.Go(func() {
			for i := range saves {
				if _, err := j.Commit(background0, put(path, text(fmt.Sprintf("%d-%d", w, i), 200*(i%30)))); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				got, ok := current(t, j, d, path)
				if want := text(fmt.Sprintf("%d-%d", w, i), 200*(i%30)); !ok || got != want {
					t.Errorf("read %s after its commit: got %s, want %s", path, brief(got), brief(want))
				}
				if i%10 == 9 {
					if err := j.Settle(background0, path); err != nil {
						t.Errorf("settle: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		path := fmt.Sprintf("w%d.json", w)
		got, err := os.ReadFile(filepath.Join(dir, path))
		if want := text(fmt.Sprintf("%d-%d", w, saves-1), 200*((saves-1)%30)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", path, brief(string(got)), err)
		}
		if n := len(h.contents(path)); n != saves {
			t.Errorf("%s: %d versions in history, want %d", path, n, saves)
		}
	}
	s := j.Stats()
	t.Logf("%d commits, %d batches, %d syncs, %d published", s.Commits, s.Batches, s.Syncs, s.Published)
}

// BenchmarkFloor is what the disk itself takes: the same bytes written and
// synced in a file full of zeros.
func BenchmarkFloor(b *testing.B) {
	d, err := disk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	f, err := d.Create("bench:create", "f", 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt("bench:fill", make([]byte, defaultSegmentSize), 0); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync("bench:sync"); err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1200)
	for i := 0; b.Loop(); i++ {
		if _, err := f.WriteAt("bench:write", p, int64(i*len(p))%(defaultSegmentSize-4096)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync("bench:sync"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) { benchmarkCommit(b, n) })
	}
}

func benchmarkCommit(b *testing.B, goroutines int) {
	dir := os.Getenv("INTACT_BENCH_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	d, err := disk.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	j := mustOpen(b, d, Options{})
	content := text("x", 1024)
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			p := put(fmt.Sprintf("f%d.json", g), content)
			for next.Add(1) <= int64(b.N) {
				if _, err := j.Commit(background0, p); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	s := j.Stats()
	b.ReportMetric(float64(s.Commits)/float64(max(1, s.Batches)), "commits/batch")
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// TestBatchesAreBounded takes what is queued in order, at least one request
// and not much more than maxBatch.
func TestBatchesAreBounded(t *testing.T) {
	sized := func(size int) *request {
		r := newRequest(recordCommit)
		r.tail = make([]byte, size)
		return r
	}
	for _, c := range []struct {
		name  string
		sizes []int
		want  []int // lengths of the batches
	}{
		{"nothing large", []int{1, 2, 3}, []int{3}},
		{"one that is too large alone", []int{2 * maxBatch}, []int{1}},
		{"a large one in front", []int{2 * maxBatch, 1, 1}, []int{1, 2}},
		{"a large one behind", []int{1, 1, 2 * maxBatch, 1}, []int{2, 1, 1}},
		{"halves", []int{maxBatch / 2, maxBatch / 3, maxBatch / 2, maxBatch / 3}, []int{2, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &Journal{}
			var want []*request
			for _, size := range c.sizes {
				want = append(want, sized(size))
			}
			j.queue = append(j.queue, want...)
			for _, n := range c.want {
				batch := j.takeBatch()
				if !slices.Equal(batch, want[:n]) {
					t.Fatalf("a batch of %d, want %d", len(batch), n)
				}
				want = want[n:]
			}
			if len(j.queue) > 0 {
				t.Errorf("%d are left", len(j.queue))
			}
		})
	}
}

// TestAlarm rings once, however often it is set.
func TestAlarm(t *testing.T) {
	rings := func(a *alarm) bool {
		select {
		case <-a.c:
			return true
		default:
			return false
		}
	}
	a := newAlarm()
	a.in(0)
	a.in(-time.Second)
	if !rings(a) || rings(a) {
		t.Error("an alarm for now does not ring once")
	}
	a.in(time.Hour)
	a.in(time.Millisecond) // does not make it earlier
	if rings(a) {
		t.Error("an alarm for later rings")
	}
	a.in(0)
	if !rings(a) || a.running {
		t.Error("an alarm that is set does not ring for now")
	}
	a.in(time.Millisecond)
	wait(t, "the alarm", func() bool { return rings(a) })
	a.in(time.Millisecond)
	wait(t, "the alarm again", func() bool { return rings(a) })
}
