package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// TestShortCampaign is a taste of what the command does for hours.
func TestShortCampaign(t *testing.T) {
	t.Parallel()
	for _, v := range campaign(config{seed: 1, states: 1500, every: 97}).wrong {
		t.Error(v)
	}
}

// TestRandomWorkloads takes up where the sequences end.
func TestRandomWorkloads(t *testing.T) {
	t.Parallel()
	for _, number := range []int{sequences, sequences + 1, linkedFrom + sequences, linkedFrom + sequences + 1} {
		n, wrong := config{}.crashEverywhere(newWorkload(7, number))
		if n == 0 {
			t.Errorf("workload %d: no states", number)
		}
		for _, v := range wrong {
			t.Error(v)
		}
	}
}

// TestFaults lets every operation of two workloads fail: each with one of the
// faults in turn, the command tries all of them with all.
func TestFaults(t *testing.T) {
	t.Parallel()
	workloads := []workload{
		{number: 0, seed: 3, segment: 16 << 10, ops: []op{{big, newPath}, {small, oldPath}, {grow, oldPath}, {settle, oldPath}, {grow, newPath}}},
		{number: 2, seed: 6, segment: 16 << 10, linked: true, ops: []op{{big, twoNames}, {small, oldPath}, {small, otherFirst}, {settle, linkPath}, {grow, otherFirst}}},
		{number: 1, seed: 4, segment: 16 << 10, ops: []op{{grow, newPath}, {small, newPath}, {checkpoint, ""}, {big, oldPath}, {reopen, ""}, {small, oldPath}}},
	}
	for _, w := range workloads {
		tried := int64(0)
		for kind, f := range faults {
			n, wrong := w.failAtEach(f, kind, len(faults), kind, false)
			tried += n
			for _, v := range wrong {
				t.Error(v)
			}
		}
		if tried < 50 {
			t.Errorf("only %d operations were tried", tried)
		}
	}
}

// TestNoticesWhatIsBroken swallows the syncs that matter, one at a time: a
// campaign that finds nothing then would prove nothing.
func TestNoticesWhatIsBroken(t *testing.T) {
	t.Parallel()
	w := workload{seed: 5, segment: 16 << 10, ops: []op{{big, newPath}, {small, oldPath}, {settle, oldPath}, {big, oldPath}, {checkpoint, ""}, {small, newPath}}}
	for _, step := range []disk.Step{
		"commit:sync", "commit:stage-sync", "commit:stage-dir", "publish:sync", "publish:stage-sync", "publish:sync-dir",
		"segment:sync-dir", "history:sync", "history:syncdir", "open:sync-dirs",
	} {
		t.Run(string(step), func(t *testing.T) {
			if _, wrong := (config{broken: step}).crashEverywhere(w); len(wrong) == 0 {
				t.Error("no state shows that this sync does nothing")
			}
		})
	}
	if _, wrong := (config{}).crashEverywhere(w); len(wrong) > 0 {
		t.Errorf("with all syncs: %v", wrong[0])
	}
}

func TestSequencesAreAllDifferent(t *testing.T) {
	seen := map[string]bool{}
	for i := range sequences {
		for _, letters := range [][]op{alphabet, linkedAlphabet} {
			ops := sequence(letters, i)
			if len(ops) < 1 || len(ops) > 3 {
				t.Fatalf("sequence %d has %d operations", i, len(ops))
			}
			seen[fmt.Sprint(len(seen)%2, ops)] = true
		}
	}
	if len(seen) != 2*sequences || sequences != 1110 {
		t.Errorf("twice %d sequences, %d of them different", sequences, len(seen))
	}
}

// TestOneSeedIsOneCampaign runs a workload twice, and compares every state.
func TestOneSeedIsOneCampaign(t *testing.T) {
	t.Parallel()
	trace := func() (all []string) {
		w := newWorkload(11, sequences+1)
		err := w.run(func(d *disktest.Disk, b *book, n int, step disk.Step) {
			after := d.AfterCrash(rand.New(rand.NewSource(int64(n))), 50)
			all = append(all, fmt.Sprint(n, step, b.maxTx, mix(int64(len(fmt.Sprint(after.Tree("")))))))
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if a, b := trace(), trace(); len(a) == 0 || !slices.Equal(a, b) {
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("runs differ at %d: %s", i, a[i])
			}
		}
	}
}

func TestBookFindsWhatIsWrong(t *testing.T) {
	fresh := func() (*disktest.Disk, *book) { return workload{}.newDisk(), newBook(false) }
	cases := []struct {
		name  string
		spoil func(d *disktest.Disk, b *book)
		want  string // "": nothing wrong
	}{
		{"nothing", func(*disktest.Disk, *book) {}, ""},
		{"foreign content", func(d *disktest.Disk, _ *book) { d.Put(oldPath, "foreign") }, "no version"},
		{"a strange file", func(d *disktest.Disk, _ *book) { d.Put("x", "") }, "nobody made that"},
		{"an untouched file changed", func(d *disktest.Disk, _ *book) { d.Put("dir/other.txt", "") }, "nobody made that"},
		{"too old", func(_ *disktest.Disk, b *book) {
			b.start(op{small, oldPath}, []byte("new"))
			b.acknowledged(op{small, oldPath}, 1, spacing, true)
			b.settle("")
		}, "is version 0, and 1 was promised"},
		{"asked for and not there", func(_ *disktest.Disk, b *book) { b.start(op{small, oldPath}, []byte("new")) }, ""},
		{"another mode", func(_ *disktest.Disk, b *book) { b.files[oldPath].versions[0].mode = 0o600 }, "no version"},
		{"a file that nobody asked for", func(d *disktest.Disk, _ *book) { d.Put(newPath, "x") }, "no version"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, b := fresh()
			c.spoil(d, b)
			err := b.whole(d)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	cases := []struct {
		name string
		args string
		code int
		out  string
		err  string
	}{
		{"a few states", "-states 50 -every 500", 0, "0 violations", ""},
		{"replay", "-replay 3.20.1", 0, "workload 3: big dir/b.json", ""},
		{"no state", "-replay 3", 3, "", "is not workload.operation.variant"},
		{"no flag", "-what", 3, "", "flag provided but not defined"},
		{"arguments", "what", 3, "", ""},
		{"links", "-links -states 50 -every 500", 0, "0 violations", ""},
		{"replay of a file with several names", "-replay 1000010.20.1", 0, "workload 1000010: small a.json link/a.json;", ""},
		{"faults", "-faults -states 1 -every 2000", 0, "0 violations", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			code := command(context.Background(), strings.Fields(c.args), &out, &errOut)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) {
				t.Errorf("code %d, want %d\n%s%s", code, c.code, &out, &errOut)
			}
		})
	}
}

// TestCommandEnds tells a command to end that would go on for hours.
func TestCommandEnds(t *testing.T) {
	for _, args := range []string{"-states 1000000000", "-states 1000000000 -faults"} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var out bytes.Buffer
		if code := command(ctx, strings.Fields(args), &out, &out); code != 0 || !strings.Contains(out.String(), " 0 states") {
			t.Errorf("%s: code %d, %s", args, code, &out)
		}
	}
}
