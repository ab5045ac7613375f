package savers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"intactfs/integration/crashlab/ledger"
)

// File is a file of a workload and the ways it is saved in.
type File struct {
	Name string
	Ways []string // names of Ways, or "remove"
	// New leaves the file to be created by its first save; otherwise
	// version 1 is there, and synced, before the crashes that count.
	New bool
}

// Workload is a number of saves of each file, all files at the same time.
type Workload struct {
	Files []File
	Saves int // of each file
	Seed  uint64
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
		if err != nil {
			return fmt.Errorf("plant %s: %w", f.Name, err)
		}
	}
	return nil
}

// Run saves until every file was saved as often as asked, or ctx ends. It
// marks the start and the acknowledgement of each save. A save that fails is
// an error: the laboratory's disks are large enough and never fail.
func (w Workload) Run(ctx context.Context, dir string, mark func(string) error, step Step) error {
	done := make(chan error, len(w.Files))
	for i, f := range w.Files {
		go func() {
			rng := rand.New(rand.NewPCG(w.Seed, uint64(i)))
			done <- w.saveAll(ctx, dir, f, rng, mark, step)
		}()
	}
	var errs []error
	for range w.Files {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

func (w Workload) saveAll(ctx context.Context, dir string, f File, rng *rand.Rand, mark func(string) error, step Step) error {
	number := 1
	if f.New {
		number = 0
	}
	exists := !f.New
	for range w.Saves {
		if ctx.Err() != nil {
			return fmt.Errorf("save %s: %w", f.Name, ctx.Err())
		}
		number++
		way := f.Ways[rng.IntN(len(f.Ways))]
		e := ledger.Event{File: f.Name, Number: number, Removal: way == "remove" && exists}
		if err := mark(e.Label("start")); err != nil {
			return err
		}
		var err error
		switch {
		case e.Removal:
			err = os.Remove(filepath.Join(dir, f.Name))
		case way == "remove":
			err = Ways["truncate"](dir, f.Name, number, step)
		default:
			err = Ways[way](dir, f.Name, number, step)
		}
		if err != nil {
			return fmt.Errorf("%s by %s: %w", e.Label("save"), way, err)
		}
		if err := mark(e.Label("ack")); err != nil {
			return err
		}
		exists = !e.Removal
	}
	return nil
}
