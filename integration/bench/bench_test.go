package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intactfs/integration/bench/result"
)

func TestDocumentIsJSONOfTheSizeAsked(t *testing.T) {
	for _, size := range []int{64, 1 << 10, 64<<10 + 3, 1_000_000} {
		a, b := document(1, size), document(2, size)
		if len(a) != size || !json.Valid(a) {
			t.Errorf("size %d: got %d bytes, valid %v", size, len(a), json.Valid(a))
		}
		if string(a) == string(b) {
			t.Errorf("size %d: two documents are alike", size)
		}
	}
}

func TestSaversReplaceTheFile(t *testing.T) {
	for name, save := range map[string]saver{
		"in place": saveInPlace, "chunked": saveChunked(100), "synced": saveInPlaceSynced(100), "careful": saveCarefully,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f.json")
			for n, size := range []int{5000, 300} {
				if err := save(path, document(n, size)); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(path)
				if err != nil || string(got) != string(document(n, size)) {
					t.Errorf("after save %d: %d bytes, %v", n, len(got), err)
				}
			}
		})
	}
}

func TestInterleaveRotatesAndCountsEachRoundOnce(t *testing.T) {
	var order []string
	note := func(name string, d time.Duration) variant {
		return variant{name, func(round int) (time.Duration, error) {
			order = append(order, name)
			return d * time.Duration(1+round%2), nil
		}}
	}
	rows, err := interleave(context.Background(), 3, []variant{note("a", 2), note("b", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(order, ""), "ab"+"ba"+"ab"+"ba"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	r := result.Result{Rows: rows}
	r.Compare("a", "b", 2.5)
	if got := r.Bars[0]; got.Ratio != 2 || !got.Met() {
		t.Errorf("ratio %v met %v, want 2 and met", got.Ratio, got.Met())
	}
	if len(rows[0].Samples) != 3 {
		t.Errorf("%d samples, want 3: the warm-up must not count", len(rows[0].Samples))
	}
}

func TestInterleaveStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := interleave(context.Background(), 2, []variant{{"a", func(round int) (time.Duration, error) {
		if round == 2 {
			return 0, broken
		}
		return 1, nil
	}}})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the variant's error", err)
	}
}

func TestPrintJudgesTheBars(t *testing.T) {
	var out strings.Builder
	result.Result{Name: "n", Rows: []result.Row{{Variant: "v", Median: time.Millisecond}}, Bars: []result.Bar{
		{Variant: "v", Base: "met", Ratio: 1, Limit: 2}, {Variant: "v", Base: "missed", Ratio: 3, Limit: 2}, {Variant: "v", Base: "shown", Ratio: 9},
	}}.Print(&out)
	for _, want := range []string{"1ms", "bar 2.00: met", "bar 2.00: not met", "9.00\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}} {
		if got := result.Median(c.values); got != c.want {
			t.Errorf("result.Median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestWriterProcessSavesWhenTold(t *testing.T) {
	dir := t.TempDir()
	arg, err := json.Marshal(job{Dir: dir, How: "in-place", Writer: 3, Size: 500, Saves: 5})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := serveWriter(string(arg), strings.NewReader("go\n"), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "ready\ndone\n" {
		t.Errorf("said %q", out.String())
	}
	got, err := os.ReadFile(filepath.Join(dir, "save-500-3.json"))
	if err != nil || !json.Valid(got) {
		t.Errorf("saved %q, %v", got, err)
	}
}

func TestWriterProcessRefusesNonsense(t *testing.T) {
	for name, arg := range map[string]string{"not JSON": "{", "no saver": `{"How": "by hand"}`} {
		if err := serveWriter(arg, strings.NewReader("go\n"), &strings.Builder{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReportIsWritten(t *testing.T) {
	want := result.Report{FileSystem: "ext4", Rounds: 3, Results: []result.Result{{Name: "a"}}}
	if err := write("", want); err != nil {
		t.Errorf("to nowhere: %v", err)
	}
	file := filepath.Join(t.TempDir(), "r.json")
	if err := write(file, want); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got result.Report
	if err := json.Unmarshal(text, &got); err != nil || got.Rounds != 3 || len(got.Results) != 1 || got.Results[0].Name != "a" {
		t.Errorf("got %+v, %v", got, err)
	}
}
