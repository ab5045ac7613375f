// Package crashlab is the laboratory for power loss. It records every block
// that a real file system writes to its disk while a subject, the product or
// one of its broken relatives, saves files there; rebuilds what the disk may
// hold after a crash at any moment of that record; mounts each such image;
// and asks what somebody would find.
//
// The parts: blocklog models the disk, recdisk serves it, volume makes it a
// file system, savers drive a workload, ledger knows what may be found. A
// Lab joins them; a Campaign does so until enough states were tried.
package crashlab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/ledger"
	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/savers"
	"intactfs/integration/crashlab/volume"
)

// dataName is the directory on the recorded file system that the subject
// looks after.
const dataName = "data"

// Run is what a subject gets for its recorded run.
type Run struct {
	Data     string // the directory to look after
	Workload savers.Workload
	Mark     func(label string) error
	Step     savers.Step // call it between two steps of a save
}

// Subject is what the laboratory tries.
type Subject interface {
	// Run serves the directory, runs the workload on it and ends, in any
	// way that is not an error of the laboratory.
	Run(ctx context.Context, run Run) error
	// Recover does to the directory what is done after a crash. It is nil
	// when the directory is then as it was promised, as far as the subject
	// can tell by itself.
	Recover(ctx context.Context, data string) error
	// Inspect has the subject verify itself after Recover, and lists the
	// versions of each of the files that can be had back, having read each
	// to its end; ErrNoHistory if it keeps none.
	Inspect(ctx context.Context, data string, names []string) (map[string][]int, error)
}

// ErrNoHistory is Inspect's answer for a subject that keeps none.
var ErrNoHistory = errors.New("no history is kept")

// Lab is a place to record runs and to examine crashes. Its methods may be
// called from several goroutines.
type Lab struct {
	dir    string
	server *recdisk.Server
	mounts atomic.Int64
}

// Open sets a laboratory up below dir, an existing directory. The program
// must have called recdisk.Main and volume.Isolate.
func Open(dir string) (*Lab, error) {
	serverDir := filepath.Join(dir, "disks")
	if err := os.MkdirAll(serverDir, 0o700); err != nil {
		return nil, fmt.Errorf("open laboratory: %w", err)
	}
	server, err := recdisk.Start(serverDir)
	if err != nil {
		return nil, fmt.Errorf("open laboratory: %w", err)
	}
	return &Lab{dir: dir, server: server}, nil
}

// Close ends the laboratory.
func (l *Lab) Close() error { return l.server.Close() }

// mount mounts a disk in a file at a new directory.
func (l *Lab) mount(kind volume.Type, file string) (*volume.Volume, error) {
	dir := filepath.Join(l.dir, fmt.Sprintf("mount%d", l.mounts.Add(1)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	v, err := kind.Mount(file, dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return v, nil
}

func (l *Lab) unmount(v *volume.Volume) error {
	return errors.Join(v.Unmount(), os.Remove(v.Dir))
}

// Setup is what a recording is made of.
type Setup struct {
	Type     volume.Type
	Workload savers.Workload
	// Prepare, if set, puts into the directory what else is there, and
	// synced, before the crashes that count.
	Prepare func(data string) error
	// Writeback is the chance that a step of a save is followed by a
	// syncfs, and whether one runs in a loop beside the workload: what a
	// crash leaves shows only what had reached the disk.
	Writeback float64
	// Grace is for how long a save may be lost that was acknowledged and
	// not synced.
	Grace time.Duration
}

// Recording is a run on a disk of its own.
type Recording struct {
	Disk   *recdisk.Disk
	Type   volume.Type
	Ops    []blocklog.Op // headers
	Ledger ledger.Ledger
}

// Record runs a subject on a fresh file system and keeps all that reached
// its disk. A stuck run is ended by ctx, with the server killed: the
// laboratory is then of no more use.
func (l *Lab) Record(ctx context.Context, setup Setup, subject Subject) (*Recording, error) {
	defer l.watch(ctx)()
	disk, err := l.server.New(setup.Type.Size)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if err := setup.Type.Make(ctx, disk.Path()); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	v, err := l.mount(setup.Type, disk.Path())
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	err = recordOn(ctx, v.Dir, disk, setup, subject)
	if err = errors.Join(err, l.unmount(v)); err != nil {
		return nil, fmt.Errorf("record: %w", errors.Join(err, context.Cause(ctx)))
	}
	rec, err := newRecording(disk, setup.Type)
	if err == nil {
		rec.Ledger.Grace = setup.Grace
	}
	return rec, err
}

// watch kills the server when ctx ends, so that nothing waits for its disks
// for ever; the function it returns ends the watch.
func (l *Lab) watch(ctx context.Context) (stop func()) {
	cancel := context.AfterFunc(ctx, l.server.Kill)
	return func() { cancel() }
}

func newRecording(disk *recdisk.Disk, kind volume.Type) (*Recording, error) {
	ops, err := disk.Headers()
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	book, err := ledger.Read(ops)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return &Recording{Disk: disk, Type: kind, Ops: ops, Ledger: book}, nil
}

func recordOn(ctx context.Context, dir string, disk *recdisk.Disk, setup Setup, subject Subject) (err error) {
	data := filepath.Join(dir, dataName)
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	if err := setup.Workload.Plant(data, disk.Mark); err != nil {
		return err
	}
	if setup.Prepare != nil {
		if err := setup.Prepare(data); err != nil {
			return err
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := unix.Syncfs(int(root.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := disk.Mark(ledger.Begin); err != nil {
		return err
	}
	w := newWriteback(int(root.Fd()), setup)
	defer w.stop()
	err = subject.Run(ctx, Run{Data: data, Workload: setup.Workload, Mark: disk.Mark, Step: w.step})
	return errors.Join(err, disk.Mark("end"))
}

// writeback forces what was written out to the disk at moments of its own.
type writeback struct {
	fd     int
	chance float64
	done   chan struct{}
	wait   sync.WaitGroup

	mu  sync.Mutex
	rng *rand.Rand // guarded by mu
}

func newWriteback(fd int, setup Setup) *writeback {
	w := &writeback{fd: fd, chance: setup.Writeback, done: make(chan struct{}),
		rng: rand.New(rand.NewPCG(setup.Workload.Seed, 1<<32))}
	if setup.Writeback > 0 {
		w.wait.Go(w.loop)
	}
	return w
}

// sync ignores what syncfs says: the disk never fails, and when the server
// was killed the run says so.
func (w *writeback) sync() { _ = unix.Syncfs(w.fd) }

func (w *writeback) loop() {
	for {
		w.mu.Lock()
		pause := time.Duration(w.rng.IntN(20_000)) * time.Microsecond
		w.mu.Unlock()
		select {
		case <-w.done:
			return
		case <-time.After(pause):
			w.sync()
		}
	}
}

func (w *writeback) step() {
	w.mu.Lock()
	now := w.rng.Float64() < w.chance
	w.mu.Unlock()
	if now {
		w.sync()
	}
}

func (w *writeback) stop() {
	close(w.done)
	w.wait.Wait()
}
