package stage

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"math"
)

const (
	// pieceSize is how much is digested at a time, and the least backlog
	// that is worth a follower: less is digested by Judge faster than a
	// goroutine starts.
	pieceSize = 256 << 10
	// maxLag bounds what is left for Judge after sequential writes: a
	// writer that is further ahead of the follower waits for it. What lags
	// behind is digested while the file is synced.
	maxLag = 32 << 20
	// syncBeside is the backlog from which Judge syncs the file meanwhile.
	syncBeside = 1 << 20
	// markGap is the least distance of checkpoints; it doubles whenever
	// there are maxMarks of them.
	markGap  = 64 << 10
	maxMarks = 64

	// sumLimit is the size above which no SHA-256 is computed: it takes
	// longer than all the rest of a save, and whoever files the content
	// behind the commit reads it anyway.
	sumLimit = 1 << 20

	noCut = int64(math.MaxInt64)
)

// castagnoli costs next to nothing where processors know it, at any size.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// point is a digest of the content's first pos bytes.
type point struct {
	pos int64
	crc uint32
	sum hash.Cloner // nil beyond sumLimit
	val Validator   // nil without a validator
}

func (p point) clone() point {
	c := point{pos: p.pos, crc: p.crc}
	if p.sum != nil {
		sum, err := p.sum.Clone()
		if err != nil { // crypto/sha256 documents that it can't fail
			panic(fmt.Sprintf("clone sha256: %v", err))
		}
		c.sum = sum
	}
	if p.val != nil {
		c.val = p.val.Clone()
	}
	return c
}

// invalid tells that no further byte can change the verdict.
func (p point) invalid() bool { return p.val != nil && !p.atEnd() && p.val.Verdict() == Invalid }

// atEnd tells that the validator keeps the whole content, and reads all of it
// to answer: it is asked at the end, and not kept in a checkpoint.
func (p point) atEnd() bool {
	d, ok := p.val.(Deferred)
	return ok && d.AtEnd()
}

// Resume is the digest of a sealed content with its checkpoints. It is
// immutable and may be shared by any number of stages.
type Resume struct {
	marks []point // never empty; the last one is at the content's end
}

// digest is how far the content has been digested. All of it is guarded by
// Stage.mu but the sum and val of cur: while busy is set they belong to
// whoever set it.
type digest struct {
	cur   *point  // nil: at the last mark
	marks []point // ascending; immutable, as stages may share them
	gap   int64
	busy  bool
	front int64 // while busy: the end of the piece being digested
	cutAt int64 // while busy: the lowest offset that changed below front
}

// pos is the end of what is digested.
func (d *digest) pos() int64 {
	switch {
	case d.cur != nil:
		return d.cur.pos
	case len(d.marks) > 0:
		return d.marks[len(d.marks)-1].pos
	}
	return 0
}

// cut tells that the content changed from off on.
func (d *digest) cut(off int64) {
	switch {
	case d.busy:
		if off < d.front {
			d.cutAt = min(d.cutAt, off)
		}
	case off < d.pos():
		d.rollback(off)
	}
}

// rollback returns to the last mark that is not beyond off.
func (d *digest) rollback(off int64) {
	n := len(d.marks)
	for n > 0 && d.marks[n-1].pos > off {
		n--
	}
	// Clipped, so that a new mark does not overwrite a shared one.
	d.cur, d.marks = nil, d.marks[:n:n]
}

// begin makes cur a digest that may be continued, and sets busy for a piece
// that ends at front.
func (d *digest) begin(o *Options, front int64) {
	if d.cur == nil {
		var p point
		if n := len(d.marks); n > 0 {
			p = d.marks[n-1].clone()
		} else {
			p.sum = sha256.New().(hash.Cloner)
			if o.NewValidator != nil {
				p.val = o.NewValidator()
			}
		}
		d.cur = &p
	}
	d.busy, d.front, d.cutAt = true, front, noCut
}

// end clears busy and applies what was cut meanwhile.
func (d *digest) end() {
	d.busy = false
	if d.cutAt < d.cur.pos {
		d.rollback(d.cutAt)
		return
	}
	d.mark()
}

// mark keeps a checkpoint if the last one is far enough behind. Marks thin
// out as the content grows: what a rewritten tail costs stays in proportion.
func (d *digest) mark() {
	last := int64(0)
	if n := len(d.marks); n > 0 {
		last = d.marks[n-1].pos
	}
	if d.cur.pos-last < d.gap || d.cur.atEnd() {
		return
	}
	if len(d.marks) >= maxMarks {
		var thin []point
		for i := 1; i < len(d.marks); i += 2 {
			thin = append(thin, d.marks[i])
		}
		d.marks, d.gap = thin, 2*d.gap
	}
	d.marks = append(d.marks, d.cur.clone())
}

// resume is the digest as it stands, for a stage that starts from the same
// content.
func (d *digest) resume() *Resume {
	if d.cur != nil && d.cur.atEnd() {
		return nil
	}
	marks := d.marks[:len(d.marks):len(d.marks)]
	if d.cur != nil && (len(marks) == 0 || marks[len(marks)-1].pos < d.cur.pos) {
		marks = append(marks, d.cur.clone())
	}
	if len(marks) == 0 {
		return nil // an empty content
	}
	return &Resume{marks: marks}
}

// write digests the next bytes; pos is for the caller to advance.
func (p *point) write(b []byte) {
	p.crc = crc32.Update(p.crc, castagnoli, b)
	if p.pos+int64(len(b)) > sumLimit {
		p.sum = nil
	}
	if p.sum != nil {
		_, _ = p.sum.Write(b) // never fails
	}
	if p.val != nil {
		p.val.Write(b)
	}
}
