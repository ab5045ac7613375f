package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A gap is a stretch of a pack that holds no entry that can be read.
type gap struct {
	off, end int64
	torn     bool  // looks like an append that a crash cut short
	err      error // an I/O error, or wraps ErrDamaged
}

// packScan is what the lines of a pack say. Frames are not read.
type packScan struct {
	recs []record
	gaps []gap
	size int64
}

// ioErr returns the first error of the disk, as opposed to of the bytes.
func (p *packScan) ioErr() error {
	for _, g := range p.gaps {
		if !errors.Is(g.err, ErrDamaged) {
			return g.err
		}
	}
	return nil
}

// scanPack reads the lines of a pack of size bytes. Where one is damaged it
// goes on at the next that is not: entries behind the damage are as good as
// ever, unless they are deltas against something in it.
func scanPack(r io.ReaderAt, size int64, pack string) packScan {
	w := &window{r: r, size: size}
	scan := packScan{size: size}
	for off := int64(0); off < size; {
		rec, err := w.record(pack, off)
		if err == nil {
			scan.recs = append(scan.recs, rec)
			off = rec.end()
			continue
		}
		next := w.resync(pack, off+1)
		g := gap{off: off, end: next, err: fmt.Errorf("%s at %d: %w", pack, off, err)}
		g.torn = w.tornAt(off, next, err)
		scan.gaps = append(scan.gaps, g)
		off = next
	}
	scan.judge()
	return scan
}

// judge takes back that gaps look torn where something was appended behind
// them: nothing ever is behind what a crash cut short.
func (p *packScan) judge() {
	for i := range p.gaps {
		p.gaps[i].torn = p.gaps[i].torn && p.unconfirmed(p.gaps[i].off)
	}
}

// unconfirmed reports whether what lies at off was part of the last append
// to the pack, of which nobody can know that it was synced.
func (p *packScan) unconfirmed(off int64) bool {
	if len(p.recs) == 0 {
		return true
	}
	last := &p.recs[len(p.recs)-1]
	return off >= last.Offset-last.batch
}

// cutAt drops the records that reach beyond off.
func (p *packScan) cutAt(off int64) {
	for len(p.recs) > 0 && p.recs[len(p.recs)-1].end() > off {
		p.recs = p.recs[:len(p.recs)-1]
	}
}

// errShort: the pack ends before the entry does.
var errShort = fmt.Errorf("%w: entry is cut short", ErrDamaged)

// window reads a pack through a buffer that moves forward.
type window struct {
	r    io.ReaderAt
	size int64
	off  int64
	buf  []byte
}

const windowSize = 64 << 10

// at returns n bytes at off. They are valid until the next call.
func (w *window) at(off, n int64) ([]byte, error) {
	if off+n > w.size {
		return nil, errShort
	}
	if off < w.off || off+n > w.off+int64(len(w.buf)) {
		w.off = off
		w.buf = make([]byte, min(max(n, windowSize), w.size-off))
		if _, err := w.r.ReadAt(w.buf, off); err != nil && !errors.Is(err, io.EOF) {
			w.buf = nil
			return nil, err
		}
	}
	return w.buf[off-w.off:][:n], nil
}

// record decodes the entry at off, whose frame must lie within the pack.
func (w *window) record(pack string, off int64) (record, error) {
	head, err := w.at(off, skipHead)
	if err != nil {
		return record{}, err
	}
	n := int64(binary.LittleEndian.Uint32(head[4:]))
	if binary.LittleEndian.Uint32(head) != skipMagic || n > maxLine {
		return record{}, fmt.Errorf("%w: no entry begins here", ErrDamaged)
	}
	line, err := w.at(off+skipHead, n)
	if errors.Is(err, errShort) && w.wholeLine(off+skipHead) {
		err = fmt.Errorf("%w: length of the line", ErrDamaged)
	}
	if err != nil {
		return record{}, err
	}
	rec, err := decodeHeader(line, pack, off)
	if err != nil {
		return record{}, err
	}
	if rec.frameLen > w.size-rec.frameOff {
		return record{}, errShort
	}
	return rec, nil
}

// wholeLine reports whether a sealed line lies at off, whatever length it is
// said to have: an entry that only its length makes longer than the pack was
// not cut short.
func (w *window) wholeLine(off int64) bool {
	p, err := w.at(off, min(maxLine, w.size-off))
	if err != nil {
		return false
	}
	end := bytes.IndexByte(p, '\n') // JSON has none before the last byte
	var h header
	return end >= 0 && openLine(p[:end+1], &h) == nil
}

// resync returns the offset, from off on, at which the next good entry
// begins; the size of the pack if there is none.
func (w *window) resync(pack string, off int64) int64 {
	magic := binary.LittleEndian.AppendUint32(nil, skipMagic)
	for off+skipHead <= w.size {
		p, err := w.at(off, min(windowSize, w.size-off))
		if err != nil {
			off += windowSize // a bad sector: what it hides is lost anyway
			continue
		}
		i := bytes.Index(p, magic)
		if i < 0 {
			off += int64(len(p)) - int64(len(magic)) + 1
			continue
		}
		off += int64(i)
		if _, err := w.record(pack, off); err == nil {
			return off
		}
		off++
	}
	return w.size
}

// tornAt reports whether a stretch of the pack that begins at off and failed
// with err is what an interrupted append leaves: an entry cut short, or one of
// which something never reached the disk and reads as zeros. What reaches it
// does so in whole sectors, and the line of a large content comes after the
// frame. A sector counts from off on, as entries before may share it, and up
// to its end, as nothing but the same append lies behind. No entry has such
// zeros: it begins with a magic number and ends with a checksum, and what is
// between is compressed.
func (w *window) tornAt(off, end int64, err error) bool {
	if errors.Is(err, errShort) || w.zeros(off, min(off+skipHead, w.size)) {
		return true
	}
	for off < end {
		next := min(off-off%sectorSize+sectorSize, w.size)
		if w.zeros(off, next) {
			return true
		}
		off = next
	}
	return false
}

// sectorSize is the least that a disk writes at once, in bytes.
const sectorSize = 512

// zeros reports whether the bytes from off up to end, at most a sector, are
// there, and all zero.
func (w *window) zeros(off, end int64) bool {
	var zeros [sectorSize]byte
	p, err := w.at(off, end-off)
	return err == nil && len(p) > 0 && bytes.Equal(p, zeros[:len(p)])
}
