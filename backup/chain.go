package backup

const (
	// defaultPackSize is Store.packSize outside of tests.
	defaultPackSize = 1 << 20
	// maxRun is how many large versions are deltas against the one before,
	// until one is a delta against the first of the run: a restore then
	// takes runs + maxRun steps instead of one for each version.
	maxRun = 9
	// maxDepth bounds the steps of a restore.
	maxDepth = 29
	// maxLinks bounds the large versions between two keyframes.
	maxLinks = 200
	// maxAsides is how many small contents in a row it takes until one of
	// them is the next keyframe.
	maxAsides = 8
)

// link is what a chain knows of an entry.
type link struct {
	tx    uint64
	size  int64
	depth int    // deltas to undo before it can be read
	run   int    // of them, those since spine, each against the one before
	spine uint64 // first of its run
}

// chain decides what the next content of a pack is a delta against. It
// follows from the entries of the pack in their order, and from nothing else.
type chain struct {
	links  map[uint64]link
	last   link
	key    link
	keyLen int64   // bytes of the keyframe
	deltas int64   // bytes of all deltas since
	count  int     // number of deltas since
	recent float64 // moving average of their bytes
	asides int     // contents in a row that were too small to matter
}

// add tells the chain of the next entry of the pack. Tombstones are not part
// of it.
func (c *chain) add(tx uint64, size int64, delta uint64, frameLen int64) {
	if c.links == nil {
		c.links = make(map[uint64]link)
	}
	l := link{tx: tx, size: size, spine: tx}
	if delta == 0 && c.aside(size) {
		c.asides++
		c.links[tx] = l
		return
	}
	c.asides = 0
	if delta == 0 {
		c.key, c.keyLen = l, frameLen
		c.deltas, c.count, c.recent = 0, 0, 0
	} else {
		base := c.links[delta]
		l.depth = base.depth + 1
		if delta == c.last.tx {
			l.run, l.spine = base.run+1, base.spine
		}
		c.deltas += frameLen
		c.count++
		c.recent += (float64(frameLen) - c.recent) / float64(min(c.count, 8))
	}
	c.links[tx] = l
	c.last = l
}

// aside reports whether a content is so much smaller than the keyframe that
// it is kept whole and the chain goes on without it: a file that is emptied
// and filled again must not cost a keyframe each time.
func (c *chain) aside(size int64) bool {
	return c.key.tx != 0 && size < c.key.size/8 && c.asides < maxAsides
}

// base returns the entry that a content of size bytes should be a delta
// against; 0 asks for a keyframe. A pack that is full wants one soon, as with
// it the next pack begins.
func (c *chain) base(size int64, full bool) uint64 {
	switch {
	case c.key.tx == 0 || size < c.key.size/8 || size > largeContent || c.last.size > largeContent:
		return 0
	case size < smallContent && c.key.size < smallContent:
		if full || c.worn() || outgrown(c.key.size, size) {
			return 0
		}
		return c.key.tx
	case outgrown(c.last.size, size):
		return 0
	}
	base := c.last
	if c.last.run >= maxRun {
		base = c.links[c.last.spine]
	}
	if base.depth >= maxDepth || c.count >= maxLinks || c.deltas >= c.keyLen {
		return 0
	}
	return base.tx
}

// outgrown reports whether most of a content of size bytes can't come from a
// base of old: what begins as {} must not be what the document that it grows
// into is a delta against.
func outgrown(old, size int64) bool { return size > 2*old }

// worn reports whether deltas have moved so far from a small keyframe that
// the next one would cost more than the versions since the keyframe did on
// average, the keyframe included.
func (c *chain) worn() bool {
	return c.count > 0 && c.recent*float64(c.count) > float64(c.keyLen+c.deltas)
}
