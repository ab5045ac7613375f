package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"intactfs/integration/bench/result"
)

// reads measures open, read and close of a small and a large file.
func reads(ctx context.Context, p *place) ([]result.Result, error) {
	small, err := readScenario(ctx, p, 1<<10, 500)
	if err != nil {
		return nil, err
	}
	small.Compare(mounted, inPlace, 5)
	small.Compare(mounted, loopBack, 0)
	small.Compare(mounted, directly, 0)
	small.Compare(directly, inPlace, 0)
	large, err := readScenario(ctx, p, 19_000_000, 3)
	if err != nil {
		return nil, err
	}
	large.Compare(mounted, inPlace, 1/0.85)
	large.Compare(mounted, loopBack, 0)
	large.Compare(mounted, directly, 0)
	large.Compare(directly, inPlace, 0)
	return []result.Result{small, large}, nil
}

func readScenario(ctx context.Context, p *place, size, times int) (result.Result, error) {
	var variants []variant
	for _, v := range []struct{ name, dir, writeTo string }{
		{inPlace, p.native, p.native}, {mounted, p.data, p.data}, {loopBack, p.mirror, p.source}, {directly, p.direct, p.source},
	} {
		name := fmt.Sprintf("read-%d.json", size)
		if err := saveCarefully(filepath.Join(v.writeTo, name), document(1, size)); err != nil {
			return result.Result{}, err
		}
		path, buffer := filepath.Join(v.dir, name), make([]byte, min(size+1, 1<<20))
		variants = append(variants, variant{v.name, func(int) (time.Duration, error) {
			return timed(times, func() error {
				for range times {
					if err := readWhole(path, buffer, size); err != nil {
						return err
					}
				}
				return nil
			})
		}})
	}
	if err := p.quiet(ctx); err != nil {
		return result.Result{}, err
	}
	rows, err := interleave(ctx, p.rounds, variants)
	return result.Result{Name: "open and read " + bytesName(size), Rows: rows}, err
}

func readWhole(path string, buffer []byte, size int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	total := 0
	for {
		n, err := f.Read(buffer)
		total += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if total != size {
		return errors.Join(fmt.Errorf("read %d bytes of %d", total, size), f.Close())
	}
	return f.Close()
}

// mixed is eight workers on eight files, four reads to one save.
func mixed(ctx context.Context, p *place) ([]result.Result, error) {
	const workers, turns, size = 8, 50, 16 << 10
	work := func(dir string, save saver) func(int) (time.Duration, error) {
		return func(round int) (time.Duration, error) {
			content := document(round, size)
			for i := range workers {
				if err := save(mixPath(dir, i), content); err != nil {
					return 0, err
				}
			}
			var failed atomic.Pointer[error]
			took, _ := timed(workers*turns, func() error {
				var all sync.WaitGroup
				for w := range workers {
					all.Go(func() {
						if err := mixedWorker(dir, w, turns, content, save); err != nil {
							failed.Store(&err)
						}
					})
				}
				all.Wait()
				return nil
			})
			if err := failed.Load(); err != nil {
				return 0, *err
			}
			return took, nil
		}
	}
	rows, err := interleave(ctx, p.rounds, []variant{
		{careful, work(p.native, saveCarefully)},
		{mounted, work(p.data, saveInPlace)},
	})
	r := result.Result{Name: "8 workers, four reads to one save of 16 KiB", Rows: rows}
	r.Compare(mounted, careful, 0)
	return []result.Result{r}, err
}

func mixPath(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("mix-%d.json", i)) }

func mixedWorker(dir string, w, turns int, content []byte, save saver) error {
	buffer := make([]byte, len(content)+1)
	for i := range turns {
		var err error
		if i%5 == 0 {
			err = save(mixPath(dir, w), content)
		} else {
			err = readWhole(mixPath(dir, (w+i)%8), buffer, len(content))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// appends is one 200-byte record added to a short and to a long JSON Lines
// file: what it costs must not follow the length.
func appends(ctx context.Context, p *place) ([]result.Result, error) {
	long := 1 << 30
	if p.quick {
		long = 64 << 20
	}
	record := append(document(7, 199), '\n')
	for i := range record[:len(record)-1] {
		if record[i] == '\n' {
			record[i] = ' '
		}
	}
	grow := func(dir string, size int) (func(int) (time.Duration, error), error) {
		path := filepath.Join(dir, fmt.Sprintf("append-%d.jsonl", size))
		if err := writeLines(path, record, size); err != nil {
			return nil, err
		}
		return func(int) (time.Duration, error) {
			return timed(20, func() error {
				for range 20 {
					if err := appendRecord(path, record); err != nil {
						return err
					}
				}
				return nil
			})
		}, nil
	}
	var variants []variant
	for _, v := range []struct {
		name, dir string
		size      int
	}{
		{"native, to " + bytesName(long), p.native, long},
		{"intact, to 1 KiB", p.data, 1 << 10},
		{"intact, to " + bytesName(long), p.data, long},
	} {
		once, err := grow(v.dir, v.size)
		if err != nil {
			return nil, err
		}
		variants = append(variants, variant{v.name, once})
	}
	rows, err := interleave(ctx, p.rounds, variants)
	r := result.Result{Name: "append a 200-byte record to a JSON Lines file", Rows: rows}
	r.Compare(variants[2].name, variants[1].name, 1.5)
	r.Compare(variants[2].name, variants[0].name, 0)
	return []result.Result{r}, err
}

func writeLines(path string, record []byte, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 0, 1<<20)
	for len(block)+len(record) <= cap(block) {
		block = append(block, record...)
	}
	for written := 0; written < size; written += len(block) {
		if size-written < len(block) {
			block = block[:(size-written+len(record)-1)/len(record)*len(record)]
		}
		if _, err := f.Write(block); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

func appendRecord(path string, record []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(record)
	return errors.Join(err, f.Close())
}
