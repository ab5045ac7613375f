package disktest

import (
	"bytes"
	"math/rand"
	"sort"

	"intactfs/journal/disk"
)

// AfterCrash is what a machine finds when it starts again: everything that
// was synced, and each unsynced page, size, attribute and directory entry
// with a chance of percent. Zero keeps what is synced alone, 100 everything.
// With ReuseFreed, a file that had been freed and whose old name comes back
// has foreign bytes in it. rng may be nil for these two; d is not changed.
func (d *Disk) AfterCrash(rng *rand.Rand, percent int, opts ...Option) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if rng == nil {
		rng = rand.New(rand.NewSource(1))
	}
	c := &Disk{nextIno: d.nextIno, clock: d.clock, capacity: d.capacity, reuse: d.reuse}
	c.root = survivor(d.root, d.reuse, rng, percent, map[*node]*node{})
	c.used = used(c.root, map[*node]bool{})
	for _, o := range opts {
		o(c)
	}
	return c
}

// Clone copies the disk as it is, unsynced state included, without faults.
func (d *Disk) Clone(opts ...Option) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Disk{nextIno: d.nextIno, clock: d.clock, capacity: d.capacity, reuse: d.reuse, used: d.used}
	c.root = clone(d.root, map[*node]*node{})
	for _, o := range opts {
		o(c)
	}
	return c
}

// survivor copies n as the crash leaves it. Names of one file find the same
// copy through seen.
func survivor(n *node, reuse bool, rng *rand.Rand, percent int, seen map[*node]*node) *node {
	if c, ok := seen[n]; ok {
		c.nlink++
		return c
	}
	c := &node{ino: n.ino, nlink: 1, attr: cloneAttr(n.durAttr), changed: n.changed}
	seen[n] = c
	if chance(rng, percent) {
		c.attr = cloneAttr(n.attr)
	}
	c.durAttr = c.attr
	if !n.isDir() {
		c.cur = n.survive(rng, percent)
		if reuse && n.freed {
			scribble(c.cur, rng)
		}
		c.dur = bytes.Clone(c.cur)
		return c
	}
	c.entries, c.durable = map[string]*node{}, map[string]*node{}
	for _, name := range allNames(n) {
		child, was := n.entries[name], n.durable[name]
		if child != was && !chance(rng, percent) {
			child = was
		}
		if child == nil {
			continue
		}
		kept := survivor(child, reuse, rng, percent, seen)
		c.entries[name], c.durable[name] = kept, kept
	}
	return c
}

// scribble puts foreign bytes into the first page, and into half of the
// others.
func scribble(b []byte, rng *rand.Rand) {
	for at := 0; at < len(b); at += pageSize {
		if at == 0 || chance(rng, 50) {
			page := b[at:min(at+pageSize, len(b))]
			for i := range page {
				page[i] = "foreign "[i%8]
			}
		}
	}
}

func clone(n *node, seen map[*node]*node) *node {
	if c, ok := seen[n]; ok || n == nil {
		return c
	}
	c := &node{ino: n.ino, nlink: n.nlink, attr: cloneAttr(n.attr), durAttr: cloneAttr(n.durAttr), changed: n.changed, freed: n.freed}
	seen[n] = c
	c.cur, c.dur, c.sizeLost = bytes.Clone(n.cur), bytes.Clone(n.dur), n.sizeLost
	for i := range n.dirty {
		if c.dirty == nil {
			c.dirty = map[int]bool{}
		}
		c.dirty[i] = true
	}
	if n.isDir() {
		c.entries, c.durable = map[string]*node{}, map[string]*node{}
		for k, v := range n.entries {
			c.entries[k] = clone(v, seen)
		}
		for k, v := range n.durable {
			c.durable[k] = clone(v, seen)
		}
	}
	return c
}

// allNames lists the names of a directory, synced or not, in a stable order
// so that one seed gives one result.
func allNames(n *node) []string {
	var names []string
	for k := range n.entries {
		names = append(names, k)
	}
	for k := range n.durable {
		if _, ok := n.entries[k]; !ok {
			names = append(names, k)
		}
	}
	sort.Strings(names)
	return names
}

func used(n *node, seen map[*node]bool) int64 {
	if seen[n] {
		return 0
	}
	seen[n] = true
	sum := n.size()
	for _, c := range n.entries {
		sum += used(c, seen)
	}
	return sum
}

// Tree reads all files below dir, by name relative to the root. It counts as
// no operation and works on a crashed disk.
func (d *Disk) Tree(dir string) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]string{}
	if n, err := d.lookup(dir); err == nil {
		collect(n, dir, out)
	}
	return out
}

func collect(n *node, name string, out map[string]string) {
	if !n.isDir() {
		out[name] = string(n.cur)
		return
	}
	for k, c := range n.entries {
		child := k
		if name != "" {
			child = name + "/" + k
		}
		collect(c, child, out)
	}
}

// Put places a file, with its parents, durably and without counting.
func (d *Disk) Put(name, content string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.root
	for i := 0; i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		base := lastElem(name[:i])
		if n.entries[base] == nil {
			d.nextIno++
			n.entries[base] = newDir(d.nextIno, 0o755)
		}
		n.durable[base] = n.entries[base]
		n = n.entries[base]
	}
	d.nextIno++
	attr := disk.Attr{Mode: 0o644}
	f := &node{ino: d.nextIno, nlink: 1, attr: attr, durAttr: attr}
	f.cur, f.dur = []byte(content), []byte(content)
	d.used += f.size()
	base := lastElem(name)
	if old := n.entries[base]; old != nil {
		d.unlink(old)
	}
	n.entries[base], n.durable[base] = f, f
	d.touch(f)
}

// Corrupt flips bits of one byte of a file, durably and without counting.
func (d *Disk) Corrupt(name string, off int64, mask byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.lookup(name)
	if err != nil || off >= n.size() {
		return
	}
	n.cur[off] ^= mask
	if off < int64(len(n.dur)) {
		n.dur[off] ^= mask
	}
}

func lastElem(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}
