package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"intactfs/integration/bench/result"
)

// tabulate writes one table a report: a line for each measurement with the
// time of one operation by contender, and the ratios; what else is worth
// knowing of one comes behind.
func tabulate(w io.Writer, reports []result.Report) {
	fmt.Fprint(w, "# Results\n\nWritten by `make chart` from the results of `make bench` beside this page.\n"+
		"Ratios are medians over interleaved rounds; the times give them a scale.\n")
	for _, r := range reports {
		fmt.Fprintf(w, "\n## %s, %s, %d rounds\n\n", r.FileSystem, r.Time.Format(time.DateOnly), r.Rounds)
		fmt.Fprint(w, "| Measured | Time of one operation | Ratios |\n|---|---|---|\n")
		for _, res := range r.Results {
			var times, ratios []string
			for _, row := range res.Rows {
				times = append(times, row.Variant+": "+rounded(row.Median))
			}
			for _, b := range res.Bars {
				ratios = append(ratios, fmt.Sprintf("%s / %s: **%.2f**", b.Variant, b.Base, b.Ratio))
			}
			if unmeasured(res) {
				times = res.Notes
			}
			fmt.Fprintf(w, "| %s | %s | %s |\n", res.Name, strings.Join(times, "<br>"), strings.Join(ratios, "<br>"))
		}
		for _, res := range r.Results {
			if len(res.Notes) > 0 && !unmeasured(res) {
				fmt.Fprintf(w, "\n%s:\n\n```\n%s\n```\n", res.Name, strings.Join(res.Notes, "\n"))
			}
		}
	}
}

// unmeasured tells whether there are only words of why.
func unmeasured(res result.Result) bool { return len(res.Rows) == 0 && len(res.Bars) == 0 }

// rounded is a duration with three digits.
func rounded(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}
