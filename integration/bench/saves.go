package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"intactfs/integration/bench/result"
)

// The names of the contenders in every table.
const (
	inPlace  = "native, in place"
	synced   = "native, in place + fsync"
	careful  = "native, atomic recipe"
	mounted  = "intact"
	loopBack = "plain loopback"
	directly = "direct loopback"
)

// load is a number of writers that save at once.
type load struct {
	size    int
	writers int
	shared  bool // all on one file
	saves   int  // of each writer, in each round
	chunk   int  // bytes per write; 0: one write
	durable bool // only those that leave a file whole and durable
}

func (l load) name() string {
	files := "own files"
	if l.shared {
		files = "one file"
	}
	if l.writers == 1 {
		files = "one writer"
	} else {
		files = fmt.Sprintf("%d writers, %s", l.writers, files)
	}
	if l.chunk > 0 {
		files += fmt.Sprintf(", writes of %s", bytesName(l.chunk))
	}
	if l.durable {
		files += fmt.Sprintf(", %d saves each", l.saves)
	}
	return fmt.Sprintf("save %s, %s", bytesName(l.size), files)
}

// run lets all writers save and returns the time of one save: wall time over
// the number of saves. One writer is this process; several are a process each,
// as programs are, and the time is from when all are ready to when all are
// done.
func (l load) run(dir, how string, round int) (time.Duration, error) {
	if l.writers == 1 {
		return timed(l.saves, func() error { return l.saveAll(dir, how, 0, round) })
	}
	return l.runProcesses(dir, how, round)
}

// saveAll is what one writer does.
func (l load) saveAll(dir, how string, writer, round int) error {
	chunk := l.chunk
	if chunk == 0 {
		chunk = l.size + 1
	}
	save := savers[how](chunk)
	file := writer
	if l.shared {
		file = 0
	}
	path := filepath.Join(dir, fmt.Sprintf("save-%d-%d.json", l.size, file))
	contents := make([][]byte, min(4, l.saves))
	for i := range contents {
		contents[i] = document(round*4+i+writer, l.size)
	}
	for i := range l.saves {
		if err := save(path, contents[i%len(contents)]); err != nil {
			return err
		}
	}
	return nil
}

// saveScenario measures one load with all contenders.
func saveScenario(ctx context.Context, p *place, l load) (result.Result, error) {
	counts := p.accountOf()
	contender := func(name, dir, how string, l load) variant {
		v := variant{name, func(round int) (time.Duration, error) { return l.run(dir, how, round) }}
		return counts.count(ctx, v, l.writers*l.saves, name == mounted)
	}
	// The recipe's temporary name is for one writer: on one file its writers
	// have a file each.
	own := l
	own.shared = false
	variants := []variant{
		contender(inPlace, p.native, "in-place", l),
		contender(synced, p.native, "synced", l),
		contender(careful, p.native, "careful", own),
		contender(mounted, p.data, "in-place", l),
		contender(loopBack, p.mirror, "in-place", l),
	}
	if l.durable {
		variants = variants[2:4]
	}
	rows, err := interleave(ctx, p.rounds, variants)
	r := result.Result{Name: l.name(), Rows: rows}
	counts.enter(&r)
	return r, err
}

// smallSaves are the two loads that most programs are: one writer, and many.
func smallSaves(ctx context.Context, p *place) ([]result.Result, error) {
	one, err := saveScenario(ctx, p, load{size: 1 << 10, writers: 1, saves: 200})
	if err != nil {
		return nil, err
	}
	one.Compare(mounted, careful, 0.5)
	one.Compare(mounted, inPlace, 1.3)
	one.Compare(mounted, loopBack, 0)
	many, err := saveScenario(ctx, p, load{size: 1 << 10, writers: 32, saves: 40})
	if err != nil {
		return nil, err
	}
	many.Compare(mounted, careful, 0.15)
	many.Compare(mounted, inPlace, 0)
	many.Compare(mounted, loopBack, 0)
	out := []result.Result{one, many}
	if p.flush == nil {
		return out, nil
	}
	// So long that on a slow disk what was saved at first is published
	// meanwhile.
	long, err := saveScenario(ctx, p, load{size: 1 << 10, writers: 32, saves: 150, durable: true})
	if err != nil {
		return nil, err
	}
	long.Compare(mounted, careful, 0.15)
	return append(out, long), nil
}

// matrix is every size by every number of writers, as far as the budget of time
// goes.
func matrix(ctx context.Context, p *place) ([]result.Result, error) {
	sizes := []int{1 << 10, 64 << 10, 1 << 20, 19 << 20, 256 << 20}
	if p.quick {
		sizes = sizes[:3]
	}
	end := time.Now().Add(p.budget)
	var out []result.Result
	for _, size := range sizes {
		for _, writers := range []int{1, 8, 32} {
			for _, shared := range []bool{false, true} {
				if shared && writers == 1 || size*writers > 1<<30 {
					continue
				}
				saves := max(1, min(40, (32<<20)/(size*writers)))
				l := load{size: size, writers: writers, shared: shared, saves: saves}
				if time.Now().After(end) {
					out = append(out, result.Result{Name: l.name(), Notes: []string{"left out: the time was up"}})
					continue
				}
				r, err := saveScenario(ctx, p, l)
				if err != nil {
					return nil, err
				}
				r.Compare(mounted, careful, 0)
				r.Compare(mounted, inPlace, 0)
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// largeSaves is the 19 MB document, in one write and in stdio's.
func largeSaves(ctx context.Context, p *place) ([]result.Result, error) {
	whole, err := saveScenario(ctx, p, load{size: 19_000_000, writers: 1, saves: 1})
	if err != nil {
		return nil, err
	}
	whole.Compare(mounted, careful, 1.2)
	whole.Compare(mounted, inPlace, 0)
	chunked, err := saveScenario(ctx, p, load{size: 19_000_000, writers: 1, saves: 1, chunk: 8 << 10})
	if err != nil {
		return nil, err
	}
	chunked.Compare(mounted, synced, 1.5)
	chunked.Compare(mounted, inPlace, 0)
	return []result.Result{whole, chunked}, nil
}

// bytesName is a size as people say it.
func bytesName(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	case n >= 1_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
	return fmt.Sprintf("%d B", n)
}
