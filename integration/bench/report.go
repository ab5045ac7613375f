package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Report is everything one run measured.
type Report struct {
	Time       time.Time
	FileSystem string
	Rounds     int
	Results    []Result
}

// Result is one question: how long each variant took for one operation.
type Result struct {
	Name  string
	Rows  []Row
	Bars  []Bar
	Notes []string
}

// Row is one variant: its median time for one operation.
type Row struct {
	Variant string
	Median  time.Duration
	// samples holds one time a round, in the order of the rounds.
	samples []time.Duration
}

// Bar is what a ratio should stay below (or a value, if Base is empty).
type Bar struct {
	Variant string
	Base    string
	Ratio   float64
	Limit   float64 // 0: shown, not judged
}

// Met tells whether the measured ratio is within the limit.
func (b Bar) Met() bool { return b.Limit == 0 || b.Ratio <= b.Limit }

// Print writes the result as a few aligned lines.
func (r Result) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.Name)
	for _, row := range r.Rows {
		fmt.Fprintf(w, "  %-34s %12s\n", row.Variant, row.Median.Round(time.Microsecond/10))
	}
	for _, b := range r.Bars {
		verdict := ""
		if b.Limit > 0 {
			verdict = fmt.Sprintf("  bar %.2f: met", b.Limit)
			if !b.Met() {
				verdict = fmt.Sprintf("  bar %.2f: not met", b.Limit)
			}
		}
		fmt.Fprintf(w, "  %-34s %12.2f%s\n", b.Variant+" / "+b.Base, b.Ratio, verdict)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
}

// compare adds the median of the per-round ratios of two variants.
func (r *Result) compare(variant, base string, limit float64) {
	v, b := r.row(variant), r.row(base)
	if v == nil || b == nil {
		return
	}
	ratios := make([]float64, 0, len(v.samples))
	for i := range v.samples {
		if b.samples[i] > 0 {
			ratios = append(ratios, float64(v.samples[i])/float64(b.samples[i]))
		}
	}
	r.Bars = append(r.Bars, Bar{Variant: variant, Base: base, Ratio: median(ratios), Limit: limit})
}

func (r *Result) row(variant string) *Row {
	for i := range r.Rows {
		if r.Rows[i].Variant == variant {
			return &r.Rows[i]
		}
	}
	return nil
}

// median is the middle of the sorted values; 0 for none.
func median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
