// Package result holds what a benchmark run measured: written as JSON by the run, read by the chart.
package result

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
	// Samples holds one time a round, in the order of the rounds.
	Samples []time.Duration
	// Flushes is nil where they were not counted.
	Flushes *Flushes `json:",omitempty"`
}

// Flushes of the disk per 1,000 operations, a number for each round.
type Flushes struct {
	During []float64 // while the operations ran
	Behind []float64 // from then on until there was nothing left to do
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
		fmt.Fprintf(w, "  %-34s %12s%s\n", row.Variant, row.Median.Round(time.Microsecond/10), row.Flushes)
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

// Compare adds the median of the per-round ratios of two variants.
func (r *Result) Compare(variant, base string, limit float64) {
	v, b := r.row(variant), r.row(base)
	if v == nil || b == nil {
		return
	}
	ratios := make([]float64, 0, len(v.Samples))
	for i := range v.Samples {
		if b.Samples[i] > 0 {
			ratios = append(ratios, float64(v.Samples[i])/float64(b.Samples[i]))
		}
	}
	r.Bars = append(r.Bars, Bar{Variant: variant, Base: base, Ratio: Median(ratios), Limit: limit})
}

func (r *Result) row(variant string) *Row {
	for i := range r.Rows {
		if r.Rows[i].Variant == variant {
			return &r.Rows[i]
		}
	}
	return nil
}

// Median is the middle of the sorted values; 0 for none.
func Median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// String is empty for nil.
func (f *Flushes) String() string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("  flushes per 1,000: %.0f, then %.0f", Median(f.During), Median(f.Behind))
}
