package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"intactfs/integration/bench/result"
)

//go:embed save.py
var pythonSaver string

// pythonSaves is the save that began it: json.dump(indent=2) of a 19 MB
// document. One Python process holds the document and saves it each way in
// turn, so that only the saves are timed.
func pythonSaves(ctx context.Context, p *place) ([]result.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "-c", pythonSaver, strconv.Itoa(p.rounds), p.native, p.data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("python3: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	r := result.Result{Name: "python: json.dump(indent=2) of 19 MB", Rows: []result.Row{{Variant: inPlace}, {Variant: pythonRecipe}, {Variant: mounted}}}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var seconds [3]float64
		if _, err := fmt.Sscan(lines.Text(), &seconds[0], &seconds[1], &seconds[2]); err != nil {
			return nil, fmt.Errorf("read python's times: %w", err)
		}
		for i := range r.Rows {
			r.Rows[i].Samples = append(r.Rows[i].Samples, time.Duration(seconds[i]*float64(time.Second)))
		}
	}
	for i := range r.Rows {
		r.Rows[i].Median = result.Median(r.Rows[i].Samples)
	}
	r.Compare(mounted, inPlace, 1.10)
	r.Compare(mounted, pythonRecipe, 0.70)
	return []result.Result{r}, nil
}

// pythonRecipe is what a careful Python program does: temporary file, dump,
// fsync, load it again to validate, replace.
const pythonRecipe = "native, recipe that validates"
