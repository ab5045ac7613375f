package main

import (
	"context"
	"fmt"
	"time"

	"intactfs/integration/bench/result"
)

// A variant is one way to do the measured operation. It returns how long one
// operation took, on average over as many as it saw fit to do.
type variant struct {
	name string
	once func(round int) (time.Duration, error)
}

// interleave runs every variant once a round, in rotating order, after one
// round that is not counted.
func interleave(ctx context.Context, rounds int, variants []variant) ([]result.Row, error) {
	rows := make([]result.Row, len(variants))
	for i, v := range variants {
		rows[i].Variant = v.name
		if _, err := v.once(0); err != nil {
			return nil, fmt.Errorf("warm up %s: %w", v.name, err)
		}
	}
	for round := 1; round <= rounds; round++ {
		for i := range variants {
			k := (i + round) % len(variants)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			took, err := variants[k].once(round)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", variants[k].name, round, err)
			}
			rows[k].Samples = append(rows[k].Samples, took)
		}
	}
	for i := range rows {
		rows[i].Median = result.Median(rows[i].Samples)
	}
	return rows, nil
}

// timed is the average duration of n operations that f does.
func timed(n int, f func() error) (time.Duration, error) {
	start := time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	return time.Since(start) / time.Duration(n), nil
}
