package disktest

import (
	"io"
	"math/rand"
)

// pageSize is what a real page cache writes at once; a sector is what a
// drive does.
const (
	pageSize   = 4096
	sectorSize = 512
)

// pages is the content of a file: as programs see it, and as the drive has
// it. Cells of dirty are true for pages that the next sync writes. A page
// that differs without being dirty was lost by a sync that failed.
type pages struct {
	cur, dur []byte
	dirty    map[int]bool
	sizeLost bool // the size differs, and no sync will write it
}

func (p *pages) size() int64 { return int64(len(p.cur)) }

func (p *pages) readAt(b []byte, off int64) (int, error) {
	if off >= p.size() {
		return 0, io.EOF
	}
	n := copy(b, p.cur[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// write stores b, whose end lies within the size or extends it.
func (p *pages) write(b []byte, off int64) {
	if end := off + int64(len(b)); end > p.size() {
		p.resize(end)
	}
	copy(p.cur[off:], b)
	p.mark(off, off+int64(len(b)))
}

// mark makes the pages of [from, to) dirty.
func (p *pages) mark(from, to int64) {
	if p.dirty == nil {
		p.dirty = map[int]bool{}
	}
	for i := from / pageSize; i*pageSize < to; i++ {
		p.dirty[int(i)] = true
	}
}

func (p *pages) resize(size int64) {
	if size <= p.size() {
		p.cur = p.cur[:size:size]
	} else {
		p.cur = append(p.cur, make([]byte, size-p.size())...)
	}
	p.sizeLost = false
}

// sync makes the drive's state that of the cache, except for pages lost.
func (p *pages) sync() {
	size := len(p.cur)
	if p.sizeLost {
		size = len(p.dur)
	}
	p.dur = resized(p.dur, size)
	for i := range p.dirty {
		copyPage(p.dur, p.cur, i)
	}
	p.dirty = nil
}

// lose is what a failed sync does: nothing was written, and nobody will try
// again.
func (p *pages) lose() {
	p.dirty = nil
	p.sizeLost = len(p.cur) != len(p.dur)
}

// survive is the content after a crash: a random part of what was unsynced
// reached the drive. percent is the chance of each page.
func (p *pages) survive(rng *rand.Rand, percent int) []byte {
	out := append([]byte(nil), p.dur...)
	if !p.sizeLost && len(p.cur) != len(p.dur) && chance(rng, percent) {
		out = resized(out, len(p.cur))
	}
	for i := 0; i*pageSize < len(p.cur); i++ {
		if !p.dirty[i] || !chance(rng, percent) {
			continue
		}
		if chance(rng, 75) {
			copyPage(out, p.cur, i)
			continue
		}
		for s := i * pageSize; s < (i+1)*pageSize; s += sectorSize { // torn
			if s < len(p.cur) && s < len(out) && chance(rng, 50) {
				copy(out[s:min(s+sectorSize, len(out))], p.cur[s:])
			}
		}
	}
	return out
}

// resized returns b with another size, filled up with zeros, in memory of
// its own beyond the old length.
func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size:size]
	}
	return append(b[:len(b):len(b)], make([]byte, size-len(b))...)
}

// copyPage copies page i as far as both reach.
func copyPage(dst, src []byte, i int) {
	from := i * pageSize
	if from < len(dst) && from < len(src) {
		copy(dst[from:min(from+pageSize, len(dst))], src[from:])
	}
}

func chance(rng *rand.Rand, percent int) bool {
	return percent > 0 && rng.Intn(100) < percent
}
