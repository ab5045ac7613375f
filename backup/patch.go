package backup

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// patch returns content as a zstd frame whose raw dictionary is base, for
// contents that mostly are what base was. What the two share is found by
// looking up samples of base, and skipped at the speed of memory; only what is
// new is searched for repetitions. A general encoder would first index every
// byte of base and then walk all of content, which takes ten times as long.
//
// It returns nil where so much is new that a general encoder would do better.
func patch(base, content []byte) []byte {
	if len(content) == 0 {
		return nil
	}
	m := &matcher{base: base, content: content}
	m.sample()
	m.match()
	if m.fresh > len(content)/8 {
		return nil
	}
	w := newFrameBuilder(len(content))
	for _, s := range m.seqs {
		w.add(content, s)
	}
	return w.finish(content[m.done:])
}

const (
	// sampleLen bytes of base are known by a hash, every sampleStep bytes:
	// what is shared over at least both together is always found.
	sampleLen  = 32
	sampleStep = 64
	// shortLen is the least match within what is new.
	shortLen  = 5
	shortBits = 14
	// before is how much of what precedes it is searched for repetitions
	// of something new: records near each other are alike.
	before = 8 << 10
)

// sequence is a step of a decoder: lits bytes as they are, from at on in the
// content, then length bytes from distance bytes back. Before the first byte
// of the content comes the last one of the base.
type sequence struct {
	at, lits, length int
	distance         uint32
}

// matcher finds the sequences that make content.
type matcher struct {
	base, content []byte
	seqs          []sequence
	fresh         int // bytes that no sample matched

	samples []uint32 // offset in base plus 1, by hash
	shift   uint

	done    int                    // content is described up to here by seqs
	short   [1 << shortBits]uint32 // offset in content plus 1, by hash
	shorted int                    // short has all before it
}

// sample fills in samples.
func (m *matcher) sample() {
	size := bits.Len(uint(len(m.base)/sampleStep)) + 1
	m.samples, m.shift = make([]uint32, 1<<size), uint(64-size)
	for i := 0; i+sampleLen <= len(m.base); i += sampleStep {
		m.samples[m.hash(m.base[i:])] = uint32(i) + 1
	}
}

// hash is of the first sampleLen bytes of p.
func (m *matcher) hash(p []byte) uint64 {
	const a, b = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F
	h := (binary.LittleEndian.Uint64(p) ^ binary.LittleEndian.Uint64(p[8:])*b) * a
	h = bits.RotateLeft64(h, 29) ^ binary.LittleEndian.Uint64(p[16:])*b
	return (bits.RotateLeft64(h, 31) ^ binary.LittleEndian.Uint64(p[24:])*a) * b >> m.shift
}

// match describes all of content.
func (m *matcher) match() {
	begin := commonPrefix(m.base, m.content)
	if begin >= sampleLen {
		m.shared(0, 0, begin)
	}
	for i := m.done; i+sampleLen <= len(m.content) && m.fresh <= len(m.content)/8; {
		at := int(m.samples[m.hash(m.content[i:])]) - 1
		if at < 0 || !bytes.Equal(m.base[at:at+sampleLen], m.content[i:i+sampleLen]) {
			if i++; i-m.done > len(m.content)/8 {
				break
			}
			continue
		}
		back := commonSuffix(m.base[:at], m.content[m.done:i])
		length := back + sampleLen + commonPrefix(m.base[at+sampleLen:], m.content[i+sampleLen:])
		m.shared(at-back, i-back, length)
		i = m.done
	}
	m.done = m.news(len(m.content))
}

// shared notes that length bytes of content are in base, after describing
// what comes before them.
func (m *matcher) shared(inBase, inContent, length int) {
	from := m.news(inContent)
	m.seqs = append(m.seqs, sequence{from, inContent - from, length, uint32(len(m.base) + inContent - inBase)})
	m.done = inContent + length
}

// news describes content from done to end as far as it repeats what is near,
// and returns where the literals begin that are left.
func (m *matcher) news(end int) int {
	from := m.done
	m.fresh += end - from
	m.shorted = max(m.shorted, from-before)
	for i := from; i+8 <= end; {
		m.shorten(i)
		h := shortHash(m.content[i:])
		at := int(m.short[h]) - 1
		m.short[h], m.shorted = uint32(i)+1, i+1
		length := 0
		if at >= 0 {
			length = commonPrefix(m.content[at:end], m.content[i:end])
		}
		if length < shortLen {
			i++
			continue
		}
		back := commonSuffix(m.content[:at], m.content[from:i])
		m.seqs = append(m.seqs, sequence{from, i - back - from, back + length, uint32(i - at)})
		i += length
		from = i
	}
	return from
}

// shorten adds to short what comes before end.
func (m *matcher) shorten(end int) {
	for ; m.shorted < end; m.shorted++ {
		m.short[shortHash(m.content[m.shorted:])] = uint32(m.shorted) + 1
	}
}

// shortHash is of the first shortLen of at least 8 bytes.
func shortHash(p []byte) uint64 {
	return binary.LittleEndian.Uint64(p) << (64 - 8*shortLen) * 0x9E3779B185EBCA87 >> (64 - shortBits)
}

// commonPrefix is how many bytes a and b begin with alike.
func commonPrefix(a, b []byte) int {
	const block = 1 << 10
	n, size := 0, min(len(a), len(b))
	for n+block <= size && bytes.Equal(a[n:n+block], b[n:n+block]) {
		n += block
	}
	for ; n+8 <= size; n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < size && a[n] == b[n] {
		n++
	}
	return n
}

// commonSuffix is how many bytes a and b end with alike.
func commonSuffix(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}
