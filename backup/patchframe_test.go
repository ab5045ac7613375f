package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestBitWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bitWriter
		var want []bool
		for range rapid.IntRange(0, 50).Draw(t, "n") {
			v, n := rapid.Uint32().Draw(t, "value"), uint(rapid.IntRange(0, 32).Draw(t, "bits"))
			b.add(v, n)
			for i := range n {
				want = append(want, v>>i&1 == 1)
			}
		}
		out := b.finish()
		if len(out) != (len(want)+7)/8 {
			t.Fatalf("%d bits take %d bytes", len(want), len(out))
		}
		for i, w := range want {
			if got := out[i/8]>>(i%8)&1 == 1; got != w {
				t.Fatalf("bit %d is %v, want %v", i, got, w)
			}
		}
	})
}

// The codes of RFC 8878, section 3.1.1.3.2.1.1, at the ends of their ranges.
func TestCodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  coded
		want coded
	}{
		{"no literals", code(0, 16, litsSteps), coded{0, 0, 0}},
		{"15 literals", code(15, 16, litsSteps), coded{15, 0, 0}},
		{"16 literals", code(16, 16, litsSteps), coded{16, 0, 1}},
		{"63 literals", code(63, 16, litsSteps), coded{24, 15, 4}},
		{"64 literals", code(64, 16, litsSteps), coded{25, 0, 6}},
		{"65536 literals", code(65536, 16, litsSteps), coded{35, 0, 16}},
		{"131071 literals", code(131071, 16, litsSteps), coded{35, 65535, 16}},
		{"length 3", code(0, 32, lengthSteps), coded{0, 0, 0}},
		{"length 34", code(31, 32, lengthSteps), coded{31, 0, 0}},
		{"length 35", code(32, 32, lengthSteps), coded{32, 0, 1}},
		{"length 67", code(64, 32, lengthSteps), coded{40, 0, 4}},
		{"length 131", code(128, 32, lengthSteps), coded{43, 0, 7}},
		{"length 65539", code(65536, 32, lengthSteps), coded{52, 0, 16}},
		{"length 131074", code(131071, 32, lengthSteps), coded{52, 65535, 16}},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, tt.got, tt.want)
		}
	}
}

// offsetOf is what a decoder makes of an offset value, as RFC 8878 says.
func offsetOf(repeat *[3]uint32, value uint32, noLits bool) uint32 {
	at := value - 1
	if noLits && value <= 3 {
		at++
	}
	var d uint32
	switch {
	case value > 3:
		d, at = value-3, 2
	case at == 3:
		d, at = repeat[0]-1, 2
	default:
		d = repeat[at]
	}
	copy(repeat[1:at+1], repeat[:at])
	repeat[0] = d
	return d
}

func TestOffsetsMeanWhatTheyShould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, decoder := newFrameBuilder(0), [3]uint32{1, 4, 8}
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			distance := rapid.SampledFrom([]uint32{1, 2, 4, 8, 9, 1000, 20_000_000, 128 << 20}).Draw(t, "distance")
			noLits := rapid.Bool().Draw(t, "no literals")
			value := w.offset(distance, noLits)
			if got := offsetOf(&decoder, value, noLits); got != distance || decoder != w.repeat {
				t.Fatalf("value %d means %d, want %d; %v instead of %v", value, got, distance, w.repeat, decoder)
			}
		}
	})
}

func TestTablesHaveAStateForEverySymbol(t *testing.T) {
	for name, table := range map[string]*fseTable{"literals": &litsTable, "offsets": &offsetTable, "lengths": &lengthTable} {
		if len(table.states) != 1<<table.log {
			t.Errorf("%s: %d states, want %d", name, len(table.states), 1<<table.log)
		}
		seen := map[uint16]bool{}
		for _, s := range table.states {
			if seen[s] || int(s) < len(table.states) || int(s) >= 2*len(table.states) {
				t.Errorf("%s: state %d twice, or out of range", name, s)
			}
			seen[s] = true
		}
		for first := range table.shifts {
			for next := range table.shifts { // no pair leads out of the table
				var f fseState
				var b bitWriter
				f.begin(table, uint8(first))
				f.encode(&b, uint8(next))
				if f.state < 1<<table.log || f.state >= 2<<table.log {
					t.Fatalf("%s: %d after %d leads to state %d", name, next, first, f.state)
				}
			}
		}
	}
}

func TestCommonPrefixAndSuffix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5000).Draw(t, "alike")
		same := bytes.Repeat([]byte("abc"), n/3+1)[:n]
		a, b := []byte("x"), []byte("y")
		if rapid.Bool().Draw(t, "ends") {
			a = nil
		}
		if got := commonPrefix(append(bytes.Clone(same), a...), append(bytes.Clone(same), b...)); got != n {
			t.Fatalf("prefix: got %d, want %d", got, n)
		}
		if got := commonSuffix(append(bytes.Clone(a), same...), append(bytes.Clone(b), same...)); got != n {
			t.Fatalf("suffix: got %d, want %d", got, n)
		}
	})
}

// No block is longer than a decoder takes, whatever the literals are.
func TestBlocksStayWithinTheirBound(t *testing.T) {
	content := []byte(noise(3, 5*maxBlock))
	frame := newFrameBuilder(len(content)).finish(content)
	if got, err := undo(nil, frame); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	for at := 9; at < len(frame); {
		h := uint32(frame[at]) | uint32(frame[at+1])<<8 | uint32(frame[at+2])<<16
		if size := h >> 3; size > maxBlock {
			t.Errorf("a block of %d bytes", size)
		}
		at += 3 + int(h>>3)
	}
}

func TestTooLongABlockMakesNoFrame(t *testing.T) {
	w := newFrameBuilder(100)
	w.lits = []byte(noise(1, maxBlock+10)) // more than literals would let in
	w.codes = []seqCode{{10, 10, 10}}
	w.block(false)
	if p := w.finish(nil); p != nil {
		t.Errorf("got %d bytes", len(p))
	}
}

// What a frame claims of its size costs memory before anything is checked.
func TestFrameOfAnotherSizeIsNotDecoded(t *testing.T) {
	c, err := newCodec(0)
	if err != nil {
		t.Fatal(err)
	}
	frame := binary.LittleEndian.AppendUint32(nil, frameMagic)
	frame = append(frame, 3<<6|1<<5)
	for _, size := range []uint64{0, 11, largeContent, 1 << 40, math.MaxUint64} {
		huge := binary.LittleEndian.AppendUint64(bytes.Clone(frame), size)
		huge = append(huge, 1, 0, 0) // an empty raw block, the last
		if _, err := c.decode(huge, nil, nil, 10); !errors.Is(err, ErrDamaged) {
			t.Errorf("a frame that claims %d bytes: got %v, want ErrDamaged", size, err)
		}
	}
	for _, junk := range []string{"", "x", "not a frame at all"} {
		if _, err := c.decode([]byte(junk), nil, nil, 10); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: got %v, want ErrDamaged", junk, err)
		}
	}
}
