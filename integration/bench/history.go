package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"intactfs/integration/bench/result"
)

// history is what versions cost, in bytes and CPU time, and how long it takes
// to get them back: two series of saves of one file, and a tree of many files
// at a time in the past. Next to it are the other ways to keep every version.
func history(ctx context.Context, p *place) ([]result.Result, error) {
	big := series{name: "19 MB document, 20 KB more and three edits a save", saves: 1000, budget: 40 * time.Second, ours: 10 * time.Minute}
	small := series{name: "5.3 KB document, two fields a save", saves: 5000, budget: 15 * time.Second, ours: time.Minute}
	files := 10_000
	if p.quick {
		big.saves, big.budget, big.ours = 8, 4*time.Second, 4*time.Second
		small.saves, small.budget, small.ours = 300, 2*time.Second, 2*time.Second
		files = 500
	}
	big.documents = func() func() []byte { return growing(19_000_000, 20_000, 3) }
	small.documents = func() func() []byte { return growing(5300, 0, 2) }
	var out []result.Result
	for _, s := range []series{big, small} {
		r, err := s.run(ctx, filepath.Join(p.root, "history"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		out = append(out, r)
	}
	past, err := treeAt(ctx, p, files)
	return append(out, past), err
}

// series is a number of saves of one file.
type series struct {
	name  string
	saves int
	// budget ends the series of a contender that is slow, ours that of
	// intact; two saves are made whatever they say.
	budget    time.Duration
	ours      time.Duration
	documents func() func() []byte
}

// run saves the series with every contender.
func (s series) run(ctx context.Context, root string) (result.Result, error) {
	r := result.Result{Name: "history, " + s.name + " (CPU time of one save)"}
	for _, make := range keepers {
		dir := filepath.Join(root, "keep")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return r, err
		}
		k, err := make(ctx, dir)
		if errors.Is(err, errMissing) {
			r.Notes = append(r.Notes, err.Error())
			continue
		}
		if err != nil {
			return r, err
		}
		err = s.keep(ctx, k, &r)
		if err = errors.Join(err, k.close(), os.RemoveAll(dir)); err != nil {
			return r, fmt.Errorf("%s: %w", k.name(), err)
		}
	}
	return r, nil
}

// keep saves the series with one contender and restores from it.
func (s series) keep(ctx context.Context, k keeper, r *result.Result) error {
	next := s.documents()
	row := result.Row{Variant: k.name()}
	var sums [][sha256.Size]byte
	var first int64 // bytes of the first version
	budget := s.budget
	if k.name() == mounted {
		budget = s.ours
	}
	for begun := time.Now(); len(sums) < s.saves && (len(sums) < 2 || time.Since(begun) < budget); {
		doc := next()
		sums = append(sums, sha256.Sum256(doc))
		before, err := cpuTime()
		if err != nil {
			return err
		}
		if err := k.save(ctx, len(sums), doc); err != nil {
			return fmt.Errorf("save %d: %w", len(sums), err)
		}
		after, err := cpuTime()
		if err != nil {
			return err
		}
		row.Samples = append(row.Samples, after-before)
		if len(sums) == 1 {
			if first, err = k.stored(); err != nil {
				return err
			}
		}
	}
	row.Median = result.Median(row.Samples)
	row.Samples = thin(row.Samples, 25)
	r.Rows = append(r.Rows, row)
	total, err := k.stored()
	if err != nil {
		return err
	}
	if k.name() == mounted && first > 1<<20 { // of the large document
		whole := float64(first) + 999*float64(total-first)/float64(len(sums)-1)
		r.Bars = append(r.Bars, result.Bar{Variant: mounted, Base: fmt.Sprintf("MB of 1,000 saves, at the rate of %d", len(sums)), Ratio: whole / 1e6, Limit: 60})
	}
	each := float64(total-first) / float64(len(sums)-1)
	r.Notes = append(r.Notes, fmt.Sprintf("%-26s %9.2f KB on disk a save, %8.2f MB after %d saves",
		k.name(), each/1e3, float64(total)/1e6, len(sums)))
	return s.restore(ctx, k, sums, r)
}

// thin leaves n samples, evenly spread in time, of those that are more.
func thin(samples []time.Duration, n int) []time.Duration {
	if len(samples) <= n {
		return samples
	}
	few := make([]time.Duration, n)
	for i := range few {
		few[i] = samples[i*len(samples)/n]
	}
	return few
}

// restore gets the newest and the oldest version back and compares them.
func (s series) restore(ctx context.Context, k keeper, sums [][sha256.Size]byte, r *result.Result) error {
	var took [2]time.Duration
	for i, n := range []int{len(sums), 1} {
		start := time.Now()
		doc, err := k.restore(ctx, n)
		took[i] = time.Since(start)
		if err != nil {
			return fmt.Errorf("restore %d: %w", n, err)
		}
		if sha256.Sum256(doc) != sums[n-1] {
			return fmt.Errorf("restore %d: other bytes than were saved", n)
		}
	}
	r.Notes = append(r.Notes, fmt.Sprintf("%-26s restores the newest in %v, the oldest in %v",
		"", took[0].Round(time.Millisecond/10), took[1].Round(time.Millisecond/10)))
	return nil
}

// growing returns documents of size bytes and grow more each time, in which
// edits records change somewhere.
func growing(size, grow, edits int) func() []byte {
	rng := rand.New(rand.NewSource(1))
	var records [][]byte
	add := func(n int) {
		for total := 0; total < n; {
			records = append(records, entry(rng, len(records)))
			total += len(records[len(records)-1])
		}
	}
	add(size)
	return func() []byte {
		if grow > 0 {
			add(grow)
		}
		for range edits {
			i := rng.Intn(len(records))
			records[i] = entry(rng, i)
		}
		var doc bytes.Buffer
		fmt.Fprintf(&doc, "{\n  \"saved\": %d,\n  \"records\": [", rng.Uint32())
		for i, r := range records {
			if i > 0 {
				doc.WriteByte(',')
			}
			doc.Write(r)
		}
		doc.WriteString("\n  ]\n}\n")
		return doc.Bytes()
	}
}

// entry is a record of about 250 bytes.
func entry(rng *rand.Rand, id int) []byte {
	states := []string{"pending", "shipped", "refunded", "late"}
	return fmt.Appendf(nil, `
    {
      "id": %d,
      "mail": "user-%08x@example.org",
      "token": "%016x",
      "state": %q,
      "balance": %.2f,
      "created": "2026-%02d-%02dT%02d:%02d:%02dZ",
      "address": "%d North Street, House of the Customer"
    }`, id, rng.Uint32(), rng.Uint64(), states[rng.Intn(len(states))], rng.Float64()*1e4,
		1+rng.Intn(12), 1+rng.Intn(28), rng.Intn(24), rng.Intn(60), rng.Intn(60), rng.Intn(900))
}

// cpuTime is what this process and its children, those that ended, have
// computed.
func cpuTime() (time.Duration, error) {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum, nil
}
