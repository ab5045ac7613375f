package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"intactfs/integration/bench/result"
)

// The load of million: so many workers, each with files of its own.
const (
	millionWorkers = 8
	millionFiles   = 8 // of each worker
	millionSize    = 200
	millionSamples = 100
)

// million is whether the daemon grows with the number of saves: its memory and
// its descriptors, sampled along the way. It is mounted with relaxed
// durability, so that the disk does not set the pace. What does not fit into
// the budget of time is left out, and said.
func million(ctx context.Context, p *place) ([]result.Result, error) {
	saves := p.saves
	if saves == 0 {
		saves = 1_000_000
		if p.quick {
			saves = 20_000
		}
	}
	if err := p.unmount(); err != nil {
		return nil, err
	}
	p.data = filepath.Join(p.root, "million")
	if err := os.MkdirAll(p.data, 0o755); err != nil {
		return nil, fmt.Errorf("make work directory: %w", err)
	}
	if err := p.mount(ctx, p.data, "--durability", "relaxed"); err != nil {
		return nil, err
	}
	m := &marathon{dir: p.data, pid: p.daemon.Process.Pid, saves: int64(saves), end: time.Now().Add(p.budget)}
	took, err := timed(1, func() error { return m.run(ctx) })
	if err != nil {
		return nil, err
	}
	return []result.Result{m.result(took)}, nil
}

// marathon is many saves in a row, with samples on the way.
type marathon struct {
	dir   string
	pid   int
	saves int64
	end   time.Time

	next, done atomic.Int64

	mu      sync.Mutex
	samples []sample
}

// sample is what the daemon had after so many saves.
type sample struct {
	saves       int64
	resident    int64 // bytes
	descriptors int
}

// run saves until all is done, or until the budget is used up.
func (m *marathon) run(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, millionWorkers)
	for w := range millionWorkers {
		all.Go(func() { errs[w] = m.work(ctx, w) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (m *marathon) work(ctx context.Context, worker int) error {
	every := max(1, m.saves/millionSamples)
	for turn := 0; ; turn++ {
		n := m.next.Add(1)
		if n > m.saves || time.Now().After(m.end) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(m.dir, fmt.Sprintf("file-%d-%d.json", worker, turn%millionFiles))
		if err := saveInPlace(path, document(int(n), millionSize)); err != nil {
			return err
		}
		if done := m.done.Add(1); done%every == 0 {
			if err := m.sample(done); err != nil {
				return err
			}
		}
	}
}

func (m *marathon) sample(saves int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	resident, err := residentBytes(m.pid)
	if err != nil {
		return err
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.pid))
	if err != nil {
		return fmt.Errorf("count daemon's descriptors: %w", err)
	}
	m.samples = append(m.samples, sample{saves, resident, len(fds)})
	return nil
}

// result compares the last quarter with the second: the first is for growing
// to the size that the load needs.
func (m *marathon) result(took time.Duration) result.Result {
	done := m.done.Load()
	r := result.Result{Name: fmt.Sprintf("%d saves of %s in a row, memory of the daemon", done, bytesName(millionSize))}
	if done < m.saves {
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %d saves: the time was up", done, m.saves))
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%s a save, %d workers on %d files", (took/time.Duration(max(done, 1))).Round(time.Microsecond),
		millionWorkers, millionWorkers*millionFiles))
	for i := 9; i < len(m.samples); i += max(10, len(m.samples)/10) {
		s := m.samples[i]
		r.Notes = append(r.Notes, fmt.Sprintf("after %7d saves: %5.1f MiB, %d descriptors", s.saves, float64(s.resident)/(1<<20), s.descriptors))
	}
	var quarters [4][]float64
	most := int64(0)
	for i, s := range m.samples {
		q := i * 4 / len(m.samples)
		quarters[q] = append(quarters[q], float64(s.resident))
		most = max(most, s.resident)
	}
	if second := result.Median(quarters[1]); second > 0 {
		r.Bars = append(r.Bars, result.Bar{Variant: "last quarter", Base: "second quarter", Ratio: result.Median(quarters[3]) / second, Limit: 1.1})
	}
	r.Bars = append(r.Bars, result.Bar{Variant: mounted + ", at most", Base: "MiB", Ratio: float64(most) / (1 << 20)})
	return r
}
