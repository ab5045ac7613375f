package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"intactfs/integration/bench/result"
)

// tree is a directory of many files: how long the mount takes, and what
// walking and searching it costs.
func tree(ctx context.Context, p *place) ([]result.Result, error) {
	files := 100_000
	if p.quick {
		files = 10_000
	}
	if err := p.unmount(); err != nil {
		return nil, err
	}
	for _, dir := range []string{p.native, p.data, p.source} {
		if err := plant(filepath.Join(dir, "tree"), files); err != nil {
			return nil, fmt.Errorf("plant tree: %w", err)
		}
	}
	start := time.Now()
	if err := p.mount(ctx, p.data); err != nil {
		return nil, err
	}
	up := time.Since(start)
	if err := p.quiet(ctx); err != nil {
		return nil, err
	}

	var out []result.Result
	for _, w := range []struct {
		name string
		args []string
	}{{"find, every file stated", []string{"find", ".", "-newermt", "2100-01-01"}}, {"grep -r", []string{"grep", "-r", "no such text", "."}}} {
		var variants []variant
		for _, v := range []struct{ name, dir string }{{inPlace, p.native}, {mounted, p.data}, {loopBack, p.mirror}, {directly, p.direct}} {
			variants = append(variants, variant{v.name, func(int) (time.Duration, error) {
				return timed(1, func() error { return walk(ctx, filepath.Join(v.dir, "tree"), w.args) })
			}})
		}
		rows, err := interleave(ctx, max(3, p.rounds/3), variants)
		if err != nil {
			return nil, err
		}
		r := result.Result{Name: fmt.Sprintf("%s over %d files", w.name, files), Rows: rows}
		r.Compare(mounted, loopBack, 1.2)
		r.Compare(mounted, directly, 0)
		r.Compare(mounted, inPlace, 0)
		out = append(out, r)
	}
	out[0].Notes = append(out[0].Notes, fmt.Sprintf("mount served after %s", up.Round(time.Millisecond)))
	return out, nil
}

func walk(ctx context.Context, dir string, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && len(out) == 0 {
		return nil // grep found nothing
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// plant makes a tree of small JSON files, 100 to a directory.
func plant(dir string, files int) error {
	for i := range files {
		sub := filepath.Join(dir, strconv.Itoa(i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		name := filepath.Join(sub, fmt.Sprintf("file-%d.json", i))
		if err := os.WriteFile(name, document(i, 200), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// recovery is how long a mount takes with 10,000 commits still to publish.
func recovery(ctx context.Context, p *place) ([]result.Result, error) {
	const commits = 10_000
	r := result.Result{Name: "mount with 10,000 commits to replay", Rows: []result.Row{{Variant: mounted}}}
	for range max(3, p.rounds/3) {
		if err := p.unmount(); err != nil {
			return nil, err
		}
		if err := p.mount(ctx, p.data, "--publish-delay", "1h"); err != nil {
			return nil, err
		}
		for i := range commits {
			path := filepath.Join(p.data, fmt.Sprintf("pending-%d.json", i%1000))
			if err := saveInPlace(path, document(i, 1<<10)); err != nil {
				return nil, err
			}
		}
		if err := p.daemon.Process.Signal(syscall.SIGKILL); err != nil {
			return nil, fmt.Errorf("kill daemon: %w", err)
		}
		_ = p.daemon.Wait() // it was killed: its status says only that
		if err := syscall.Unmount(p.data, syscall.MNT_DETACH); err != nil {
			return nil, fmt.Errorf("detach dead mount: %w", err)
		}
		start := time.Now()
		if err := p.mount(ctx, p.data); err != nil {
			return nil, err
		}
		r.Rows[0].Samples = append(r.Rows[0].Samples, time.Since(start))
	}
	r.Rows[0].Median = result.Median(r.Rows[0].Samples)
	r.Bars = append(r.Bars, result.Bar{Variant: mounted, Base: "one second", Ratio: r.Rows[0].Median.Seconds(), Limit: 1})
	return []result.Result{r}, nil
}

// memory is what the daemon keeps resident when idle over 10,000 files, all
// of which were listed and a hundred read.
func memory(ctx context.Context, p *place) ([]result.Result, error) {
	if err := p.unmount(); err != nil {
		return nil, err
	}
	// Of its own, so that nothing of the other scenarios is looked at.
	p.data = filepath.Join(p.root, "idle")
	dir := filepath.Join(p.data, "files")
	if err := plant(dir, 10_000); err != nil {
		return nil, fmt.Errorf("plant tree: %w", err)
	}
	if err := p.mount(ctx, p.data); err != nil {
		return nil, err
	}
	if err := walk(ctx, dir, []string{"find", ".", "-newermt", "2100-01-01"}); err != nil {
		return nil, err
	}
	for i := range 100 {
		if _, err := os.ReadFile(filepath.Join(dir, "0", fmt.Sprintf("file-%d.json", i))); err != nil {
			return nil, err
		}
	}
	time.Sleep(5 * time.Second) // idle is what is measured
	resident, err := residentBytes(p.daemon.Process.Pid)
	if err != nil {
		return nil, err
	}
	r := result.Result{Name: "resident memory, idle over 10,000 files"}
	r.Bars = append(r.Bars, result.Bar{Variant: mounted, Base: "MiB", Ratio: float64(resident) / (1 << 20), Limit: 32})
	return []result.Result{r}, nil
}

func residentBytes(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read daemon's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmRSS in the daemon's status")
}
