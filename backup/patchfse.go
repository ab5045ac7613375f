package backup

import "math/bits"

// bitWriter writes bits, the lowest first.
type bitWriter struct {
	out  []byte
	bits uint64
	n    uint
}

// add appends the n lowest bits of v, of which there are at most 32.
func (b *bitWriter) add(v uint32, n uint) {
	b.bits |= uint64(v) & (1<<n - 1) << b.n
	for b.n += n; b.n >= 8; b.n -= 8 {
		b.out = append(b.out, byte(b.bits))
		b.bits >>= 8
	}
}

// finish fills up the last byte with zeros.
func (b *bitWriter) finish() []byte {
	if b.n > 0 {
		b.out = append(b.out, byte(b.bits))
	}
	return b.out
}

// coded is a number as its code and the bits that tell it from others with the
// same one.
type coded struct {
	code  uint8
	extra uint32
	bits  uint
}

// steps are the numbers of extra bits of the codes behind the direct ones.
var (
	litsSteps   = []uint{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	lengthSteps = []uint{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
)

// code returns v as coded: below direct it is its own code.
func code(v uint32, direct uint32, steps []uint) coded {
	if v < direct {
		return coded{code: uint8(v)}
	}
	first := direct
	for i, n := range steps {
		if v < first+1<<n {
			return coded{uint8(direct) + uint8(i), v - first, n}
		}
		first += 1 << n
	}
	panic("backup: sequence is longer than a block") // add cuts them
}

// codes returns the codes of a sequence: literals, offset, length.
func (s seqCode) codes() (l, o, m coded) {
	n := uint(bits.Len32(s.offset)) - 1
	return code(s.lits, 16, litsSteps), coded{uint8(n), s.offset - 1<<n, n},
		code(s.length-leastMatch, 32, lengthSteps)
}

// fseTable is a table of the finite state entropy coder.
type fseTable struct {
	log    uint
	states []uint16
	shifts []fseShift // by symbol
}

// fseShift says how a symbol moves the state.
type fseShift struct {
	bits  uint32 // 16 times more than the bits to write, less the least state
	first int32
}

// The predefined tables of the format, by their distributions.
var (
	litsTable = newFSETable(6, []int{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1,
		2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1})
	offsetTable = newFSETable(5, []int{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1})
	lengthTable = newFSETable(6, []int{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1})
)

// newFSETable builds the table of a distribution; -1 is a symbol rarer than
// once in the table.
func newFSETable(log uint, norm []int) fseTable {
	size := 1 << log
	t := fseTable{log: log, states: make([]uint16, size), shifts: make([]fseShift, len(norm))}
	next, symbols := make([]int, len(norm)), spread(size, norm)
	total := 0
	for s, n := range norm {
		next[s] = total
		if n == -1 {
			n = 1
		}
		most := uint32(log)
		if n > 1 {
			most -= uint32(bits.Len(uint(n-1))) - 1
		}
		t.shifts[s] = fseShift{most<<16 - uint32(n)<<most, int32(total - n)}
		total += n
	}
	for u, s := range symbols {
		t.states[next[s]] = uint16(size + u)
		next[s]++
	}
	return t
}

// spread puts the symbols into the cells of a table, the rare ones last.
func spread(size int, norm []int) []int {
	symbols, high := make([]int, size), size-1
	for s, n := range norm {
		if n == -1 {
			symbols[high] = s
			high--
		}
	}
	step, at := size>>1+size>>3+3, 0
	for s, n := range norm {
		for range max(n, 0) {
			symbols[at] = s
			for at = (at + step) % size; at > high; {
				at = (at + step) % size
			}
		}
	}
	return symbols
}

// fseState is the state of a coder.
type fseState struct {
	t     *fseTable
	state uint32
}

// begin starts with a symbol, for which nothing is written.
func (f *fseState) begin(t *fseTable, symbol uint8) {
	f.t = t
	s := t.shifts[symbol]
	n := (s.bits + 1<<15) >> 16
	f.state = uint32(t.states[int32((n<<16-s.bits)>>n)+s.first])
}

func (f *fseState) encode(b *bitWriter, symbol uint8) {
	s := f.t.shifts[symbol]
	n := (f.state + s.bits) >> 16
	b.add(f.state, uint(n))
	f.state = uint32(f.t.states[int32(f.state>>n)+s.first])
}

func (f *fseState) end(b *bitWriter) { b.add(f.state, f.t.log) }
