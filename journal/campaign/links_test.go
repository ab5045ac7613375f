package main

import (
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

const (
	twoNames   = oldPath + " " + linkPath
	otherFirst = linkPath + " " + oldPath
)

// careless is a disk on which the other names of a file meet a bug. The journal
// renames over them what it linked before.
type careless struct {
	disk.Disk
	rename func(d disk.Disk, step disk.Step, temp, name string) error // of a link
	sync   func(d disk.Disk, step disk.Step, dir string) error

	mu    *sync.Mutex
	temps map[string]bool // guarded by mu
}

func newCareless(c careless) func(disk.Disk) disk.Disk {
	return func(d disk.Disk) disk.Disk {
		c := c
		c.Disk, c.mu, c.temps = d, &sync.Mutex{}, map[string]bool{}
		return c
	}
}

// Link implements disk.Disk.
func (c careless) Link(step disk.Step, oldName, newName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.temps[newName] = step == "publish:link"
	return c.Disk.Link(step, oldName, newName)
}

// Rename implements disk.Disk.
func (c careless) Rename(step disk.Step, oldName, newName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rename != nil && c.temps[oldName] {
		return c.rename(c.Disk, step, oldName, newName)
	}
	return c.Disk.Rename(step, oldName, newName)
}

// SyncDir implements disk.Disk.
func (c careless) SyncDir(step disk.Step, name string) error {
	if c.sync != nil {
		return c.sync(c.Disk, step, name)
	}
	return c.Disk.SyncDir(step, name)
}

// TestNoticesForgottenNames plants bugs in what publishing does with the other
// names of a file.
func TestNoticesForgottenNames(t *testing.T) {
	t.Parallel()
	w := workload{seed: 5, segment: 16 << 10, linked: true, ops: []op{{big, twoNames}, {small, twoNames}, {settle, oldPath}, {small, otherFirst}, {checkpoint, ""}}}
	cases := []struct {
		name string
		bug  careless
		want string
	}{
		{"left out", careless{rename: func(d disk.Disk, step disk.Step, temp, _ string) error { return d.Remove(step, temp) }}, "the older 0"},
		{"a copy", careless{rename: copyTo}, "are two files"},
		{"in place", careless{rename: inPlace}, "is no version"},
		{"its directory is not synced", careless{sync: func(d disk.Disk, step disk.Step, dir string) error {
			if step == "publish:sync-dir" && dir == "link" {
				return nil
			}
			return d.SyncDir(step, dir)
		}}, "link/a.json is "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, wrong := config{bug: newCareless(c.bug)}.crashEverywhere(w)
			if len(wrong) == 0 || !strings.Contains(wrong[0].err.Error(), c.want) {
				t.Errorf("got %v, want %q", wrong, c.want)
			}
		})
	}
	if _, wrong := (config{}).crashEverywhere(w); len(wrong) > 0 {
		t.Errorf("without a bug: %v", wrong[0])
	}
}

// copyTo gives a name a file of its own.
func copyTo(d disk.Disk, step disk.Step, temp, name string) error {
	content, err := readFile(d, temp)
	if err != nil {
		return err
	}
	info, err := d.Stat(temp)
	if err != nil {
		return err
	}
	if err := d.Remove(step, temp); err != nil {
		return err
	}
	f, err := d.Create(step, temp, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // synced or failed
	if _, err := f.WriteAt(step, content, 0); err != nil {
		return err
	}
	if err := f.SetAttr(step, disk.Attr{Mode: uint32(info.Mode.Perm())}); err != nil {
		return err
	}
	if err := f.Sync(step); err != nil {
		return err
	}
	return d.Rename(step, temp, name)
}

// inPlace writes over what has the name.
func inPlace(d disk.Disk, step disk.Step, temp, name string) error {
	content, err := readFile(d, temp)
	if err != nil {
		return err
	}
	f, err := d.OpenWrite(step, name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // a bug anyway
	if _, err := f.WriteAt(step, content, 0); err != nil {
		return err
	}
	return d.Remove(step, temp)
}

// TestChooseNames: the random workloads commit to a file by all of its names, by
// one, by fewer, and in another order.
func TestChooseNames(t *testing.T) {
	seen := map[string]int{}
	for number := linkedFrom + sequences; number < linkedFrom+sequences+200; number++ {
		w := newWorkload(1, number)
		if !w.linked || exhaustive(number) {
			t.Fatalf("workload %d: %v", number, w)
		}
		for _, o := range w.ops {
			if names := strings.Fields(o.names); o.kind <= grow && (len(names) == 0 || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names)) ||
				o.kind == settle && len(names) != 1 || o.kind > settle && len(names) > 0 {
				t.Errorf("workload %d: %s", number, o)
			}
			seen[o.names]++
		}
	}
	if len(seen) != 16 { // none, and the 15 ordered choices of three
		t.Errorf("names: %v", seen)
	}
}

func TestNumbers(t *testing.T) {
	cases := []struct {
		name string
		c    config
		want []int
	}{
		{"all", config{}, []int{0, linkedFrom, 1, linkedFrom + 1, 2}},
		{"every third", config{every: 3}, []int{0, linkedFrom, 3, linkedFrom + 3, 6}},
		{"links", config{links: true}, []int{linkedFrom, linkedFrom + 1, linkedFrom + 2}},
		{"every second of links", config{links: true, every: 2}, []int{linkedFrom, linkedFrom + 2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for i, want := range c.want {
				if got := c.c.number(i); got != want {
					t.Errorf("workload %d: got %d, want %d", i, got, want)
				}
			}
		})
	}
}

// TestBookKnowsNames spoils what belongs to one name of a file and not to another.
func TestBookKnowsNames(t *testing.T) {
	both := op{small, twoNames}
	cases := []struct {
		name  string
		spoil func(t *testing.T, d *disktest.Disk, b *book)
		want  string // "": nothing wrong
	}{
		{"the first version", func(*testing.T, *disktest.Disk, *book) {}, ""},
		{"one name has another inode", func(_ *testing.T, d *disktest.Disk, _ *book) { d.Put(linkPath, firstContent) }, "are two files"},
		{"one name alone has a newer version", func(_ *testing.T, d *disktest.Disk, b *book) {
			b.start(op{small, oldPath}, []byte("new"))
			b.files[oldPath].newest().mode = 0o644
			d.Put(oldPath, "new")
		}, ""},
		{"one name has a newer version of both", func(_ *testing.T, d *disktest.Disk, b *book) {
			b.start(both, []byte("new"))
			b.files[oldPath].newest().mode = 0o644
			d.Put(oldPath, "new")
		}, "and its other name link/a.json the older 0"},
		{"settled by the other name", func(_ *testing.T, _ *disktest.Disk, b *book) {
			b.start(both, []byte("new"))
			b.acknowledged(both, 1, spacing, false)
			b.settle(linkPath)
		}, "is version 0, and 1 was promised"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, b := workload{linked: true}.newDisk(), newBook(true)
			c.spoil(t, d, b)
			h := &perfect{d: d, sums: map[string]map[uint64][32]byte{oldPath: {16: b.files[oldPath].newest().sum}, linkPath: {}}}
			s, err := workload{perfect: h, segment: 16 << 10}.open(d, rand.New(rand.NewSource(1)))
			if err != nil {
				t.Fatal(err)
			}
			err = b.whole(d)
			if err == nil {
				err = b.read(s.j, d)
			}
			if err == nil {
				err = b.published(d, h)
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err := s.j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
