package savers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"intactfs/integration/crashlab/ledger"
)

// Remove stands among the ways of a file for unlinking it.
const Remove = "remove"

// File is a file of a workload and the ways it is saved in.
type File struct {
	Name string
	Ways []string // names of Ways, or Remove
	// New leaves the file to be created by its first save; otherwise
	// version 1 is there, and synced, before the crashes that count.
	New bool
	// Link, if set, is another name of the file, with the same last element,
	// and every save is by one of the two.
	Link string
	// Saves is how often it is saved at most; 0: as often as the workload
	// says.
	Saves int
}

// Workload is a number of saves of each file, all files at the same time.
type Workload struct {
	Files []File
	Saves int // of each file that does not say otherwise
	Seed  uint64
	Pause time.Duration // the longest before a save; 0: none
}

// Plant writes the first versions of the files that are there from the
// start. The caller syncs.
func (w Workload) Plant(dir string, mark func(string) error) error {
	for _, f := range w.Files {
		if f.New {
			continue
		}
		e := ledger.Event{File: f.Name, Number: 1}
		err := errors.Join(
			mark(e.Label("start")),
			os.WriteFile(filepath.Join(dir, f.Name), ledger.Content(f.Name, 1), 0o644),
			mark(e.Label("ack")))
		if f.Link != "" {
			err = errors.Join(err, os.MkdirAll(filepath.Join(dir, filepath.Dir(f.Link)), 0o755))
		}
		if err != nil {
			return fmt.Errorf("plant %s: %w", f.Name, err)
		}
	}
	return nil
}

// Link gives the files their other names, durably. Nothing was saved since Plant.
func (w Workload) Link(dir string, mark func(string) error) error {
	for _, f := range w.Files {
		if f.Link == "" {
			continue
		}
		err := os.Link(filepath.Join(dir, f.Name), filepath.Join(dir, f.Link))
		if err == nil {
			err = SyncDir(filepath.Join(dir, filepath.Dir(f.Link)))
		}
		if err == nil {
			err = mark(ledger.Linked(f.Link))
		}
		if err != nil {
			return fmt.Errorf("link %s: %w", f.Link, err)
		}
	}
	return nil
}

// Save brings version n of a file about in one of the ways.
type Save func(way, name string, n int) error

// InDir saves files in a directory, by system calls.
func InDir(dir string, step Step) Save {
	return func(way, name string, n int) error {
		if way == Remove {
			return os.Remove(filepath.Join(dir, name))
		}
		return Ways[way](dir, name, n, step)
	}
}

// Run saves until every file was saved as often as asked, or ctx ends. It
// marks the start and the acknowledgement of each save. A save that fails is
// an error: the laboratory's disks are large enough and never fail.
func (w Workload) Run(ctx context.Context, mark func(string) error, save Save) error {
	done := make(chan error, len(w.Files))
	for i, f := range w.Files {
		go func() {
			rng := rand.New(rand.NewPCG(w.Seed, uint64(i)))
			done <- w.saveAll(ctx, f, rng, mark, save)
		}()
	}
	var errs []error
	for range w.Files {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

func (f File) saves(w Workload) int {
	if f.Saves > 0 {
		return min(f.Saves, w.Saves)
	}
	return w.Saves
}

func (w Workload) saveAll(ctx context.Context, f File, rng *rand.Rand, mark func(string) error, save Save) error {
	number, exists := 1, true
	if f.New {
		number, exists = 0, false
	}
	for range f.saves(w) {
		if ctx.Err() != nil {
			return fmt.Errorf("save %s: %w", f.Name, ctx.Err())
		}
		if w.Pause > 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(w.Pause))))
		}
		number++
		way := f.Ways[rng.IntN(len(f.Ways))]
		if way == Remove && !exists {
			way = "truncate"
		}
		e := ledger.Event{File: f.Name, Number: number, Removal: way == Remove, Synced: Synced[way]}
		if err := mark(e.Label("start")); err != nil {
			return err
		}
		name := f.Name
		if f.Link != "" && rng.IntN(2) == 0 {
			name = f.Link
		}
		if err := save(way, name, number); err != nil {
			return fmt.Errorf("%s %d by %s: %w", name, number, way, err)
		}
		if err := mark(e.Label("ack")); err != nil {
			return err
		}
		exists = way != Remove
	}
	return nil
}
