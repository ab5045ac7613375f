package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intactfs/integration/bench/result"
)

func TestChartIsWellFormedAndNamesEveryContender(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "r.json"), filepath.Join(dir, "c.svg")
	report := result.Report{FileSystem: "ext4 <loop>", Rounds: 3, Results: []result.Result{
		{Name: "save & close", Rows: []result.Row{{Variant: "native, in place", Median: time.Millisecond}, {Variant: "intact", Median: 3 * time.Millisecond}}},
		{Name: "one row is no comparison", Rows: []result.Row{{Variant: "only"}}},
		{Name: "nothing native", Rows: []result.Row{{Variant: "intact"}, {Variant: "git"}}, Notes: []string{"first note", "second note"}},
	}}
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in, data, 0o644); err != nil {
		t.Fatal(err)
	}
	tables := filepath.Join(dir, "t.md")
	if err := run(out, tables, []string{in}); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(tables)
	if err != nil || !strings.Contains(string(table), "| save & close | native, in place: 1ms<br>intact: 3ms |") {
		t.Errorf("the table: %v\n%s", err, table)
	}
	if !strings.Contains(string(table), "nothing native:\n\n```\nfirst note\nsecond note\n```\n") {
		t.Errorf("no notes below the table:\n%s", table)
	}
	svg, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"native, in place", ">intact<", "3.00×", "ext4 &lt;loop&gt;", "save &amp; close"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q in the drawing", want)
		}
	}
	if strings.Contains(string(svg), "one row") || strings.Contains(string(svg), "nothing native") {
		t.Error("a measurement without a comparison was drawn")
	}
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

func TestBarLengthStaysInThePlot(t *testing.T) {
	for _, c := range []float64{0, 0.01, 0.5, 1, 10, 5000} {
		if got := barLength(c); got < 0 || got > plotWidth {
			t.Errorf("barLength(%v) = %v", c, got)
		}
	}
	if barLength(2) <= barLength(1) {
		t.Error("longer times must have longer bars")
	}
}

func TestChartRefusesWhatIsNotAReport(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(bad+".svg", bad+".md", []string{bad}); err == nil {
		t.Error("no error for a torn report")
	}
}

func TestWhatWasLeftOutSaysWhyInItsLine(t *testing.T) {
	var out strings.Builder
	tabulate(&out, []result.Report{{Results: []result.Result{{Name: "too much", Notes: []string{"left out: the time was up"}}}}})
	if got := out.String(); !strings.HasSuffix(got, "| too much | left out: the time was up |  |\n") {
		t.Errorf("got %s", got)
	}
}
