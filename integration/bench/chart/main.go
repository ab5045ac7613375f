// Command chart draws the result files of bench runs as one SVG: for every
// measurement a bar for each contender, as a multiple of the native in-place
// save, on a logarithmic scale. The same numbers go into tables.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"intactfs/integration/bench/result"
)

func main() {
	out := flag.String("o", "docs/benchmarks.svg", "where the drawing goes")
	tables := flag.String("tables", "docs/benchmarks/README.md", "where the tables go")
	flag.Parse()
	if err := run(*out, *tables, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run reads the reports, and writes the drawing and the tables.
func run(out, tables string, inputs []string) error {
	var reports []result.Report
	for _, name := range inputs {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		var r result.Report
		if err := json.Unmarshal(data, &r); err != nil {
			return fmt.Errorf("parse report %s: %w", name, err)
		}
		reports = append(reports, r)
	}
	var drawing, text bytes.Buffer
	draw(&drawing, reports)
	tabulate(&text, reports)
	if err := os.WriteFile(out, drawing.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write drawing: %w", err)
	}
	if err := os.WriteFile(tables, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	return nil
}

// The measures of the drawing, in pixels.
const (
	width      = 960
	labelWidth = 330
	plotWidth  = width - labelWidth - 90
	barHeight  = 13
	groupGap   = 26
)

// colours by contender; others are grey.
var colours = map[string]string{
	"intact": "#0b6e4f", "native, atomic recipe": "#c1666b", "native, recipe that validates": "#c1666b",
	"native, in place": "#8d99ae", "native, in place + fsync": "#5c6784", "plain loopback": "#e9c46a",
}

// drawn tells whether a measurement is a multiple of the native file system.
func drawn(res result.Result) bool {
	return len(res.Rows) > 1 && strings.HasPrefix(res.Rows[0].Variant, "native")
}

// draw writes the SVG. The first row of each result is its base.
func draw(w io.Writer, reports []result.Report) {
	height := 40
	for _, r := range reports {
		if slices.ContainsFunc(r.Results, drawn) {
			height += 30
		}
		for _, res := range r.Results {
			if drawn(res) {
				height += groupGap + barHeight*len(res.Rows)
			}
		}
	}
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, width, height)
	p(`<rect width="%d" height="%d" fill="#ffffff"/>`, width, height)
	p(`<text x="12" y="22" font-size="15" font-weight="bold">Time of one operation, as a multiple of the native file system (log scale; shorter is faster)</text>`)
	y := 40
	for _, r := range reports {
		if !slices.ContainsFunc(r.Results, drawn) {
			continue
		}
		p(`<text x="12" y="%d" font-size="13" font-weight="bold">%s, medians of %d interleaved rounds</text>`, y+14, html.EscapeString(r.FileSystem), r.Rounds)
		y += 30
		for _, res := range r.Results {
			if drawn(res) {
				y = drawGroup(p, res, y)
			}
		}
	}
	p(`</svg>`)
}

// drawGroup draws one measurement at y and returns where the next begins.
func drawGroup(p func(string, ...any), res result.Result, y int) int {
	p(`<text x="12" y="%d" font-weight="bold">%s</text>`, y+10, html.EscapeString(res.Name))
	y += 14
	base := float64(res.Rows[0].Median)
	for _, row := range res.Rows {
		multiple := 1.0
		if base > 0 {
			multiple = float64(row.Median) / base
		}
		colour, known := colours[row.Variant]
		if !known {
			colour = "#adb5bd"
		}
		p(`<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+10, html.EscapeString(row.Variant))
		p(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y+1, barLength(multiple), barHeight-2, colour)
		p(`<text x="%.1f" y="%d">%.2f× (%s)</text>`, float64(labelWidth)+barLength(multiple)+4, y+10, multiple, row.Median.Round(100))
		y += barHeight
	}
	return y + groupGap - 14
}

// barLength puts 0.1 at a tenth of the width and 1,000 at its end.
func barLength(multiple float64) float64 {
	const low, high = 0.05, 1000
	at := math.Log(max(low, min(high, multiple))/low) / math.Log(high/low)
	return at * plotWidth
}
