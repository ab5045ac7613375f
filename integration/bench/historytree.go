package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"intactfs/integration/bench/result"
)

// treeAt is how long it takes to write out a tree of many files as it was
// before all of them were saved once more.
func treeAt(ctx context.Context, p *place, files int) (result.Result, error) {
	r := result.Result{Name: fmt.Sprintf("%d files at a time in the past, written to a new directory", files)}
	for _, make := range []func(context.Context, *place, string) (*pastTree, error){intactTree, zstdTree, gitTree, resticTree} {
		dir := filepath.Join(p.root, "past")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return r, err
		}
		t, err := make(ctx, p, dir)
		if errors.Is(err, errMissing) {
			r.Notes = append(r.Notes, err.Error())
			continue
		}
		if err == nil {
			err = t.measure(ctx, files, &r)
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			return r, err
		}
	}
	return r, nil
}

// pastTree is one way to keep a tree.
type pastTree struct {
	name string
	live string                                    // where the files are written
	keep func(ctx context.Context, run int) error  // called after all of a run were
	back func(ctx context.Context) (string, error) // writes the first run out and says where
}

// measure writes two runs, restores the first and looks at some of the files.
func (t *pastTree) measure(ctx context.Context, files int, r *result.Result) error {
	for run := 1; run <= 2; run++ {
		for i := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			path := treePath(t.live, i)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := saveInPlace(path, treeDocument(run, i)); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if err := t.keep(ctx, run); err != nil {
			return fmt.Errorf("%s, run %d: %w", t.name, run, err)
		}
	}
	var out string
	took, err := timed(1, func() (err error) {
		out, err = t.back(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	for i := range files {
		got, err := os.ReadFile(treePath(out, i))
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if !bytes.Equal(got, treeDocument(1, i)) {
			return fmt.Errorf("%s: file %d is not what it was", t.name, i)
		}
	}
	r.Rows = append(r.Rows, result.Row{Variant: t.name, Median: took, Samples: []time.Duration{took}})
	return nil
}

func treePath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("d%02d", i/100), fmt.Sprintf("file-%d.json", i))
}

func treeDocument(run, i int) []byte { return document(10*i+run, 1<<10) }

// intactTree is saved through the mount and exported by the program.
func intactTree(_ context.Context, p *place, dir string) (*pastTree, error) {
	t := tool{p.intact, dir, nil}
	live, out := filepath.Join(p.data, "past"), filepath.Join(dir, "out")
	var at time.Time
	return &pastTree{
		name: "intact export", live: live,
		keep: func(_ context.Context, run int) error {
			if run == 1 {
				at = time.Now()
			}
			return nil
		},
		back: func(ctx context.Context) (string, error) {
			_, err := t.run(ctx, "export", "--at", at.Format(time.RFC3339Nano), live, "--dir", out)
			return filepath.Join(out, filepath.Base(live)), err
		},
	}, nil
}

// zstdTree is a directory of compressed copies for each run.
func zstdTree(_ context.Context, _ *place, dir string) (*pastTree, error) {
	live := filepath.Join(dir, "live")
	t, err := newTool("zstd", live)
	return &pastTree{
		name: "zstd of each version", live: live,
		keep: func(ctx context.Context, run int) error {
			_, err := t.run(ctx, "-q", "-r", ".", "--output-dir-mirror", fmt.Sprint("../copies", run))
			return err
		},
		back: func(ctx context.Context) (string, error) {
			t.dir = filepath.Join(dir, "copies1")
			_, err := t.run(ctx, "-d", "-q", "-r", ".", "--output-dir-mirror", "../out")
			return filepath.Join(dir, "out"), err
		},
	}, err
}

func gitTree(ctx context.Context, _ *place, dir string) (*pastTree, error) {
	live := filepath.Join(dir, "live")
	t, err := newTool("git", live, gitEnvironment...)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(live, 0o755); err != nil {
		return nil, err
	}
	_, err = t.run(ctx, "init", "-q")
	return &pastTree{
		name: "git worktree", live: live,
		keep: func(ctx context.Context, _ int) error {
			if _, err := t.run(ctx, "add", "."); err != nil {
				return err
			}
			_, err := t.run(ctx, "-c", "gc.auto=0", "commit", "-q", "-m", "run")
			return err
		},
		back: func(ctx context.Context) (string, error) {
			_, err := t.run(ctx, "worktree", "add", "-q", "--detach", "../out", "HEAD~1")
			return filepath.Join(dir, "out"), err
		},
	}, err
}

func resticTree(ctx context.Context, _ *place, dir string) (*pastTree, error) {
	live := filepath.Join(dir, "live")
	t, err := newTool("restic", live, resticEnvironment(dir)...)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(live, 0o755); err != nil {
		return nil, err
	}
	_, err = t.run(ctx, "init", "-q")
	return &pastTree{
		name: "restic restore", live: live,
		keep: func(ctx context.Context, run int) error {
			_, err := t.run(ctx, "backup", "-q", "--tag", fmt.Sprint("v", run), ".")
			return err
		},
		back: func(ctx context.Context) (string, error) {
			out := filepath.Join(dir, "out")
			_, err := t.run(ctx, "restore", "-q", "--tag", "v1", "latest", "--target", out)
			return out, err
		},
	}, err
}
