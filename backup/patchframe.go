package backup

import (
	"encoding/binary"

	"github.com/klauspost/compress/huff0"
)

// What of RFC 8878 a frame of sequences needs.
const (
	frameMagic = 0xFD2FB528
	// frameFlags: content size in four bytes, one segment, no checksum (the
	// pack has two).
	frameFlags      = 2<<6 | 1<<5
	maxBlock        = 128 << 10 // bytes of a block
	fullBlock       = 127 << 10 // bytes that one of this package describes at most
	blockRaw        = 0
	leastMatch      = 3
	blockCompressed = 2
	literalsRaw     = 0
	literalsHuffman = 2
	// huffmanFrom is how many literals may be worth a Huffman table.
	huffmanFrom = 64
)

// frameBuilder makes a zstd frame of sequences, block by block. All blocks use
// the predefined tables: sequences are few.
type frameBuilder struct {
	out    []byte
	repeat [3]uint32 // the distances used last
	huff   huff0.Scratch
	// tooLong: a block of out is longer than a decoder takes.
	tooLong bool

	// Of the block that is being filled:
	size  int // bytes that it describes
	lits  []byte
	free  int // of lits, those behind the last sequence
	codes []seqCode
}

// seqCode is a sequence as a block has it.
type seqCode struct{ lits, length, offset uint32 }

func newFrameBuilder(size int) *frameBuilder {
	w := &frameBuilder{repeat: [3]uint32{1, 4, 8}}
	w.huff.Reuse = huff0.ReusePolicyNone
	w.out = binary.LittleEndian.AppendUint32(w.out, frameMagic)
	w.out = append(w.out, frameFlags)
	w.out = binary.LittleEndian.AppendUint32(w.out, uint32(size))
	return w
}

// add appends a sequence, cut where a block is full.
func (w *frameBuilder) add(content []byte, s sequence) {
	w.literals(content[s.at : s.at+s.lits])
	for s.length > 0 {
		length := min(s.length, fullBlock-w.size)
		if rest := s.length - length; rest > 0 && rest < leastMatch {
			length -= leastMatch
		}
		if length < leastMatch {
			w.block(false)
			continue
		}
		offset := w.offset(s.distance, w.free == 0)
		w.codes = append(w.codes, seqCode{uint32(w.free), uint32(length), offset})
		w.size += length
		w.free = 0
		s.length -= length
	}
}

// literals appends bytes as they are.
func (w *frameBuilder) literals(p []byte) {
	for len(p) > 0 {
		n := min(len(p), fullBlock-w.size)
		if n == 0 {
			w.block(false)
			continue
		}
		w.lits = append(w.lits, p[:n]...)
		w.size += n
		w.free += n
		p = p[n:]
	}
}

// offset returns the value that stands for a distance, and remembers it. Of a
// sequence without literals the newest distance can't be meant, so that the
// others have smaller values.
func (w *frameBuilder) offset(distance uint32, noLits bool) uint32 {
	r := &w.repeat
	at := 0
	for at < len(r) && r[at] != distance {
		at++
	}
	value := uint32(at) + 1
	if noLits {
		value--
	}
	if at == len(r) || value == 0 {
		value = distance + 3
		at = len(r) - 1
	}
	copy(r[1:at+1], r[:at])
	r[0] = distance
	return value
}

// finish ends the frame behind the literals that are left. It returns nil if a
// block became longer than a block may be: sequences that save next to nothing
// can cost more than they save.
func (w *frameBuilder) finish(literals []byte) []byte {
	w.literals(literals)
	w.block(true)
	if w.tooLong {
		return nil
	}
	return w.out
}

// block ends a block: as it is where there is nothing but literals, and no
// table makes them shorter.
func (w *frameBuilder) block(last bool) {
	head := len(w.out)
	w.out = append(w.out, 0, 0, 0)
	w.literalsSection()
	w.sequencesSection()
	kind := uint32(blockCompressed)
	if len(w.codes) == 0 && len(w.out)-head-3 >= len(w.lits) {
		kind = blockRaw
		w.out = append(w.out[:head+3], w.lits...)
	}
	size := len(w.out) - head - 3
	w.tooLong = w.tooLong || size > maxBlock
	h := uint32(size)<<3 | kind<<1
	if last {
		h |= 1
	}
	putUint24(w.out[head:], h)
	w.size, w.lits, w.free, w.codes = 0, w.lits[:0], 0, w.codes[:0]
}

// literalsSection appends the literals of the block, with a Huffman table if
// that is shorter.
func (w *frameBuilder) literalsSection() {
	n := uint64(len(w.lits))
	if n >= huffmanFrom {
		encode, streams := huff0.Compress4X, uint64(1)
		if n < 1<<10 {
			encode, streams = huff0.Compress1X, 0
		}
		p, _, err := encode(w.lits, &w.huff)
		if err == nil && uint64(len(p))+5 < n {
			w.huffman(p, streams)
			return
		}
	}
	switch {
	case n < 1<<5:
		w.out = append(w.out, byte(n)<<3|literalsRaw)
	case n < 1<<12:
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(n)<<4|1<<2|literalsRaw)
	default:
		w.out = append(w.out, byte(n)<<4|3<<2|literalsRaw, byte(n>>4), byte(n>>12))
	}
	w.out = append(w.out, w.lits...)
}

// huffman appends compressed literals p with their header: the type, the
// format of the sizes, and both sizes.
func (w *frameBuilder) huffman(p []byte, format uint64) {
	n, length := uint64(len(w.lits)), 3
	width := 10
	switch {
	case n >= 1<<14:
		format, width, length = 3, 18, 5
	case n >= 1<<10:
		format, width, length = 2, 14, 4
	}
	h := literalsHuffman | format<<2 | n<<4 | uint64(len(p))<<(4+width)
	w.out = append(w.out, binary.LittleEndian.AppendUint64(nil, h)[:length]...)
	w.out = append(w.out, p...)
}

// sequencesSection appends the sequences of the block: the number, one byte
// that names the predefined tables, and the bits, the last sequence first.
func (w *frameBuilder) sequencesSection() {
	switch n := len(w.codes); {
	case n == 0:
		w.out = append(w.out, 0)
		return
	case n < 128:
		w.out = append(w.out, byte(n))
	case n < 0x7F00:
		w.out = append(w.out, byte(n>>8)+128, byte(n))
	default:
		w.out = append(append(w.out, 255), byte(n-0x7F00), byte((n-0x7F00)>>8))
	}
	w.out = append(w.out, 0)
	b := bitWriter{out: w.out}
	var lits, offsets, lengths fseState
	for i := len(w.codes) - 1; i >= 0; i-- {
		l, o, m := w.codes[i].codes()
		if i == len(w.codes)-1 {
			lengths.begin(&lengthTable, m.code)
			offsets.begin(&offsetTable, o.code)
			lits.begin(&litsTable, l.code)
		} else {
			offsets.encode(&b, o.code)
			lengths.encode(&b, m.code)
			lits.encode(&b, l.code)
		}
		b.add(l.extra, l.bits)
		b.add(m.extra, m.bits)
		b.add(o.extra, o.bits)
	}
	lengths.end(&b)
	offsets.end(&b)
	lits.end(&b)
	b.add(1, 1) // where a decoder begins
	w.out = b.finish()
}

func putUint24(p []byte, v uint32) { p[0], p[1], p[2] = byte(v), byte(v>>8), byte(v>>16) }
