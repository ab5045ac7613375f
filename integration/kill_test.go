package integration

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// TestKilledWriters kills writers of all kinds at random instants while
// readers look on: 8 kinds by 26 rounds.
func TestKilledWriters(t *testing.T) {
	c := &campaign{asked: killsAsked(t, 208, 1600)}
	t.Cleanup(func() { c.print(t, "writers") }) // after the last verify
	m := harness.Start(t, harness.Options{Lifetime: c.lifetime()})
	t.Run("kinds", func(t *testing.T) {
		for i, w := range writers {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				killWriter(c.counting(t), c, m, w, c.share(i, len(writers)))
			})
		}
	})
	m.Unmount()
	for _, w := range writers {
		content, err := os.ReadFile(m.Backing(w.file))
		if err != nil {
			t.Errorf("the plain file: %v", err)
		} else if _, err := w.parse(content); err != nil {
			t.Errorf("the plain file %s: %v", w.file, err)
		}
	}
}

func killWriter(t testing.TB, c *campaign, m *harness.Mount, w writer, rounds int) {
	path := m.File(w.file)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		watch(t, path, w.parse, stop)
	}()
	defer func() { close(stop); <-stopped }()

	var seq int64
	for round := range rounds {
		p := w.start(t, path, seq, 50+rand.IntN(1500))
		waitAck(t, p)
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond)
		p.Signal(syscall.SIGKILL)
		p.KillGroup()
		p.Wait(t, 0)
		ack := acked(t, p, seq)
		c.killed(t, ack-seq)
		seq = checkAcked(t, fmt.Sprintf("round %d", round), path, w, ack)
		if t.Failed() {
			return
		}
	}
}

// checkAcked reads what a writer left when it was killed: the version it saw
// saved last, or the one it was about to see.
func checkAcked(t testing.TB, when, path string, w writer, ack int64) int64 {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%s: %s: %v", when, w.name, err)
		return ack
	}
	n, err := w.parse(content)
	if err != nil {
		t.Errorf("%s: %s: %v", when, w.name, err)
		return ack
	}
	if n < ack || n > ack+1 {
		t.Errorf("%s: %s: document %d is there, %d was saved", when, w.name, n, ack)
	}
	return max(n, ack)
}

// TestKilledDaemon kills the daemon at random instants while all kinds of
// writers work: 4 mounts by 52 kills. After each kill the plain files are
// whole as they lie there, recovery makes the directory verify, and what a
// writer saw saved is found.
func TestKilledDaemon(t *testing.T) {
	c := &campaign{asked: killsAsked(t, 208, 1200)}
	t.Cleanup(func() { c.print(t, "daemons") }) // after the last verify
	// Most kills hit commits; with short delays they hit publications, too.
	mounts := []harness.Options{
		{},
		{Flags: []string{"--publish-delay=1ms"}},
		{Flags: []string{"--publish-delay=20ms"}},
		{Over: true}, // stays above its own directory
	}
	t.Run("mounts", func(t *testing.T) {
		for i, o := range mounts {
			t.Run(fmt.Sprintf("mount%d", i), func(t *testing.T) {
				t.Parallel()
				counting := c.counting(t)
				k := daemonKiller{c: c, m: harness.New(counting, o), seqs: make([]int64, len(writers))}
				for round := range c.share(i, len(mounts)) {
					k.round(counting, round, []int{(2*i + round) % len(writers), (2*i + round + 3) % len(writers)})
					if t.Failed() {
						return
					}
				}
				k.m.Start()
				k.check(counting, "at last")
			})
		}
	})
}

type daemonKiller struct {
	c    *campaign
	m    *harness.Mount
	seqs []int64 // the last version of each writer
}

// round mounts, checks what the round before left, and kills the daemon under
// the given writers.
func (k *daemonKiller) round(t testing.TB, round int, kinds []int) {
	t.Helper()
	when := fmt.Sprintf("round %d", round)
	k.m.Start()
	k.check(t, when)

	var procs []*harness.Proc
	for _, kind := range kinds {
		w := writers[kind]
		procs = append(procs, w.start(t, k.m.File(w.file), k.seqs[kind], 20+rand.IntN(800)))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	endReaders := sync.OnceFunc(func() { close(stop); readers.Wait() })
	defer endReaders()
	for i, kind := range kinds {
		waitAck(t, procs[i])
		readers.Go(func() { watch(t, k.m.File(writers[kind].file), writers[kind].parse, stop) })
	}
	time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
	k.m.Kill()
	endReaders()

	saves := int64(0)
	for i, kind := range kinds {
		r := procs[i].Wait(t, 0) // its next save fails
		if r.Code == 0 {
			t.Errorf("%s: %s did not notice that the mount was gone", when, writers[kind].name)
		}
		ack := acked(t, procs[i], k.seqs[kind])
		saves += ack - k.seqs[kind]
		k.seqs[kind] = ack
	}
	k.c.killed(t, saves)
	if k.m.Point != k.m.Dir {
		k.checkPlain(t, when)
	}
	if round%4 == 0 {
		k.recover(t, when)
	}
}

// check reads every file through the mount.
func (k *daemonKiller) check(t testing.TB, when string) {
	t.Helper()
	for kind, w := range writers {
		if k.seqs[kind] > 0 {
			k.seqs[kind] = checkAcked(t, when, k.m.File(w.file), w, k.seqs[kind])
		}
	}
}

// checkPlain reads the plain files as somebody would who has the directory
// but no intact: old perhaps, and whole.
func (k *daemonKiller) checkPlain(t testing.TB, when string) {
	t.Helper()
	for kind, w := range writers {
		content, err := os.ReadFile(k.m.Backing(w.file))
		if errors.Is(err, iofs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Errorf("%s: the plain file: %v", when, err)
			continue
		}
		n, err := w.parse(content)
		if err != nil {
			t.Errorf("%s: the plain file %s: %v", when, w.file, err)
		}
		if n > k.seqs[kind]+1 {
			t.Errorf("%s: the plain file %s has document %d, %d was saved", when, w.file, n, k.seqs[kind])
		}
	}
}

// recover brings the directory up to date without mounting, and verifies it.
func (k *daemonKiller) recover(t testing.TB, when string) {
	t.Helper()
	if k.m.Point == k.m.Dir {
		return // the dead mount hides it
	}
	if r := k.m.Intact("recover", k.m.Dir); r.Code != 0 {
		t.Errorf("%s: intact recover: exit %d\n%s%s", when, r.Code, r.Stdout, r.Stderr)
	}
	if r := k.m.Intact("verify", k.m.Dir); r.Code != 0 {
		t.Errorf("%s: intact verify: exit %d\n%s%s", when, r.Code, r.Stdout, r.Stderr)
	}
	for kind, w := range writers {
		if k.seqs[kind] > 0 {
			checkAcked(t, when+": recovered", k.m.Backing(w.file), w, k.seqs[kind])
		}
	}
}
