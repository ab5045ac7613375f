// Package product puts the binary into the crash laboratory: programs save
// through its mount, and its own commands recover and verify each crash.
package product

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"

	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/ledger"
	"intactfs/integration/crashlab/savers"
	"intactfs/integration/crashlab/volume"
	"intactfs/store"
)

// Subject is the product: programs save through a mount of the
// binary over the recorded directory.
type Subject struct {
	Binary string // path of intact
	// Quick examines crashes with package store in this process, where a
	// run of "intact recover" and "intact verify" would take most of the
	// time. The recorded run is the binary's in any case.
	Quick bool
	// Relaxed has the recorded run promise less: see Relaxed.
	Relaxed bool
}

var _ crashlab.Subject = Subject{}

// commandPatience bounds one run of the binary.
const commandPatience = time.Minute

// Workload is the saves that the product is tried with: small and
// large files, replaced, overwritten, renamed over, appended to, created and
// removed, and saved by either of two names. A file gets fewer saves than retention keeps; the large ones get
// fewest, because what recovery does for them costs most.
func Workload(seed uint64) savers.Workload {
	return savers.Workload{Seed: seed, Saves: 8, Files: []savers.File{
		{Name: "small-0.json", Ways: []string{"truncate", "fsync", "overwrite"}},
		{Name: "small-1.json", Ways: []string{"rename", "rename-fsync", "atomic"}},
		{Name: "small-2.json", Ways: []string{"truncate", "rename", savers.Remove}},
		{Name: "small-3.json", Ways: []string{"truncate", "atomic"}, New: true},
		{Name: "mid-0.json", Ways: []string{"truncate", "overwrite", "rename"}, Saves: 6},
		{Name: "large-0.json", Ways: []string{"truncate", "overwrite", "rename", "fsync"}, Saves: 4},
		{Name: "lines-0.jsonl", Ways: []string{"append", "append-fsync"}},
		{Name: "small-4.json", Link: "linked/small-4.json", Ways: []string{"truncate", "overwrite", "fsync"}, Saves: 6},
		{Name: "large-1.json", Link: "linked/large-1.json", Ways: []string{"truncate", "overwrite"}, Saves: 2},
		{Name: "lines-1.jsonl", Link: "linked/lines-1.jsonl", Ways: []string{"append", "append-fsync"}, Saves: 6},
	}}
}

// defaultSegments is how many runs come to one with journal segments of the
// default size. The others have small ones: every recovery reads all of them,
// and goes from one to the next more often.
const defaultSegments = 10

// Setup is a run of the product. Every other one forces writeback while
// programs save: that shows what is written too early, and hides what is
// never synced.
func Setup(kind volume.Type, seed uint64) crashlab.Setup {
	s := crashlab.Setup{Type: kind, Workload: Workload(seed)}
	if seed%2 == 0 {
		s.Writeback = 0.1
	}
	if seed%defaultSegments != 0 {
		s.Prepare = smallSegments
	}
	return s
}

// Relaxed makes a setup one of relaxed durability: saves may be lost for a
// second unless they were synced, and come with pauses, so that the run is a
// few seconds long. Three runs of four are without forced writeback, which
// makes most saves durable.
func Relaxed(s crashlab.Setup) crashlab.Setup {
	s.Grace = time.Second
	s.Workload.Pause = 600 * time.Millisecond
	if s.Workload.Seed%4 != 0 {
		s.Writeback = 0
	}
	return s
}

func smallSegments(data string) error {
	if err := os.Mkdir(filepath.Join(data, store.Dir), 0o700); err != nil {
		return err
	}
	return os.WriteFile(store.ConfigPath(data), []byte("segment_size = \"2MiB\"\n"), 0o600)
}

// WithoutRemovals leaves removals out of a run. A removal is not durable by
// itself, and what recovery makes of half a removal is a matter of its own.
func WithoutRemovals(s crashlab.Setup) crashlab.Setup {
	for i, f := range s.Workload.Files {
		s.Workload.Files[i].Ways = slices.DeleteFunc(f.Ways, func(way string) bool { return way == savers.Remove })
	}
	return s
}

// Run implements Subject. The daemon ends by an orderly unmount or by
// SIGKILL, as the seed says.
func (p Subject) Run(ctx context.Context, run crashlab.Run) error {
	rng := rand.New(rand.NewPCG(run.Workload.Seed, 3))
	delay := time.Duration(1+rng.IntN(100)) * time.Millisecond
	// A pause in the middle of a save must not count as its end, however
	// slow the machine: the bounds know of no version but whole ones.
	flags := []string{"--idle-commit", "0s"}
	if p.Relaxed {
		flags = append(flags, "--durability", "relaxed")
		if rng.IntN(2) == 0 { // what is published is synced
			delay = time.Minute
		}
	}
	d, err := p.start(ctx, run.Data, append(flags, "--publish-delay", delay.String())...)
	if err != nil {
		return err
	}
	if err := run.Mark("serving"); err != nil {
		return errors.Join(err, d.kill())
	}
	err = run.Workload.Link(run.Data, run.Mark)
	if err == nil {
		err = run.Workload.Run(ctx, run.Mark, savers.InDir(run.Data, run.Step))
	}
	if err != nil {
		return fmt.Errorf("%w\ndaemon: %s", errors.Join(err, d.kill()), d.log.String())
	}
	if rng.IntN(3) == 0 {
		return d.kill()
	}
	return p.unmount(ctx, d)
}

// daemon is a serving process of the binary.
type daemon struct {
	cmd  *exec.Cmd
	log  bytes.Buffer // read it after the process ended
	data string
	done chan error // what Wait said, once
}

// start mounts the binary over data, and waits until it serves.
func (p Subject) start(ctx context.Context, data string, flags ...string) (*daemon, error) {
	d := &daemon{data: data, done: make(chan error, 1)}
	d.cmd = exec.Command(p.Binary, append(append([]string{"mount", "-f"}, flags...), data)...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	d.cmd.WaitDelay = 10 * time.Second
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The daemon dies with the thread that started it, which so has
		// to live as long.
		runtime.LockOSThread()
		err := d.cmd.Start()
		started <- err
		if err == nil {
			d.done <- d.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start daemon: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	for {
		infos, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(data))
		if err == nil && len(infos) > 0 && strings.HasPrefix(infos[len(infos)-1].FSType, "fuse") {
			return d, nil
		}
		select {
		case err := <-d.done:
			return nil, fmt.Errorf("daemon ended before it served: %w: %s", err, d.log.String())
		case <-ctx.Done():
			return nil, fmt.Errorf("daemon does not serve: %w", errors.Join(ctx.Err(), d.kill()))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// kill ends the daemon at once and removes its dead mount.
func (d *daemon) kill() error {
	_ = d.cmd.Process.Kill() // it may have ended
	ended := <-d.done
	if err := unix.Unmount(d.data, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("detach %s, whose daemon ended with %w: %w", d.data, ended, err)
	}
	return nil
}

// unmount ends the daemon in order.
func (p Subject) unmount(ctx context.Context, d *daemon) error {
	if err := p.command(ctx, "unmount", d.data); err != nil {
		return fmt.Errorf("%w\ndaemon: %s", errors.Join(err, d.kill()), d.log.String())
	}
	select {
	case err := <-d.done:
		if err != nil {
			return fmt.Errorf("daemon: %w: %s", err, d.log.String())
		}
		return nil
	case <-time.After(commandPatience):
		return errors.Join(errors.New("the daemon lives on after its unmount"), d.kill())
	}
}

// command runs the binary once.
func (p Subject) command(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Binary, args...)
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // see start
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("intact %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// unused says that the crash came before the directory was ever set up:
// there is nothing to recover, and the checks of the files say all.
func unused(data string) bool {
	_, err := os.Lstat(filepath.Join(data, store.Dir, "FORMAT"))
	return errors.Is(err, os.ErrNotExist)
}

// Recover implements Subject.
func (p Subject) Recover(ctx context.Context, data string) error {
	switch {
	case unused(data):
		return nil
	case !p.Quick:
		return p.command(ctx, "recover", data)
	}
	return withStore(data, false, func(s *store.Store) error {
		if err := s.Checkpoint(ctx); err != nil {
			return err
		}
		_, err := s.Reconcile(ctx)
		return err
	})
}

// withStore opens the directory in this process.
func withStore(data string, readOnly bool, do func(*store.Store) error) error {
	dir, err := os.Open(data)
	if err != nil {
		return err
	}
	s, err := store.Open(dir, store.Options{Purpose: "crash laboratory", ReadOnly: readOnly})
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	return errors.Join(do(s), s.Close(), dir.Close())
}

// Inspect implements crashlab.Subject: it verifies, and reads every version
// that is listed.
func (p Subject) Inspect(ctx context.Context, data string, names []string) (map[string][]int, error) {
	if unused(data) {
		return nil, crashlab.ErrNoHistory
	}
	if !p.Quick {
		if err := p.command(ctx, "verify", data); err != nil {
			return nil, err
		}
	}
	out := map[string][]int{}
	err := withStore(data, true, func(s *store.Store) error {
		if p.Quick {
			if err := verify(ctx, s); err != nil {
				return err
			}
		}
		for _, name := range names {
			versions, err := history(ctx, s, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			out[name] = versions
		}
		return nil
	})
	return out, err
}

func verify(ctx context.Context, s *store.Store) error {
	r, err := s.Verify(ctx, nil)
	if err == nil && len(r.Problems)+len(r.Damage) > 0 {
		err = fmt.Errorf("verify: problems %v, damage %v", r.Problems, r.Damage)
	}
	return err
}

func history(ctx context.Context, s *store.Store, name string) ([]int, error) {
	entries, err := s.Log(ctx, name)
	if errors.Is(err, store.ErrNoHistory) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var versions []int
	for _, e := range entries {
		if e.Removed {
			continue
		}
		n, err := readVersion(ctx, s, name, e.Tx)
		if err != nil {
			return nil, err
		}
		versions = append(versions, n)
	}
	return versions, nil
}

func readVersion(ctx context.Context, s *store.Store, name string, tx uint64) (int, error) {
	_, c, err := s.OpenVersion(ctx, name, tx)
	if err != nil {
		return 0, err
	}
	content, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err = errors.Join(err, c.Close()); err != nil {
		return 0, fmt.Errorf("read transaction %d: %w", tx, err)
	}
	n, err := ledger.Identify(name, content)
	if err != nil {
		return 0, fmt.Errorf("transaction %d: %w", tx, err)
	}
	return n, nil
}
