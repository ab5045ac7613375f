package backup

import (
	"context"
	"slices"
	"strings"
	"testing"

	"intactfs/journal/disk/disktest"
)

// sectorsOf lists where the sectors begin that an append from old bytes to
// full ones wrote.
func sectorsOf(old, full int) (starts []int) {
	for at := old - old%sectorSize; at < full; at += sectorSize {
		starts = append(starts, at)
	}
	return starts
}

// without is full, of which the sectors that mask names never reached the
// disk: there they hold what was in old, and zeros.
func without(old, full string, mask int) string {
	p := []byte(full)
	for i, at := range sectorsOf(len(old), len(full)) {
		if mask&(1<<i) != 0 {
			lost := p[at:min(at+sectorSize, len(p))]
			clear(lost)
			if at < len(old) {
				copy(lost, old[at:])
			}
		}
	}
	return string(p)
}

// TestTornAppendIsNoDamage leaves out every choice of the sectors that an
// append wrote, for entries that begin and end at every place in a sector: it
// was never acknowledged, and is no damage. What was there before stays, and
// adding it again makes good.
func TestTornAppendIsNoDamage(t *testing.T) {
	for shift := 0; shift < sectorSize; shift += 5 {
		v := docs(5)
		v[1] = noise(int64(shift), 100+shift) // moves all that follows
		base := disktest.New()
		mustAdd(t, openStore(t, base), "f", v.items(1, 2)...)
		name, old := onePack(t, base, "f")
		mustAdd(t, openStore(t, base), "f", v.items(3, 4)...)
		_, full := onePack(t, base, "f")
		for mask := 1; mask < 1<<len(sectorsOf(len(old), len(full))); mask++ {
			d := disktest.New()
			d.Put(name, without(old, full, mask))
			s := openStore(t, d)
			rep, err := s.Verify(context.Background(), nil)
			if err != nil || len(rep.Damage) > 0 || len(rep.Torn) == 0 {
				t.Fatalf("shift %d, sectors %b: got %+v, %v, want it torn", shift, mask, rep, err)
			}
			for _, tx := range []uint64{1, 2} {
				wantVersion(t, s, "f", tx, v[tx])
			}
			mustAdd(t, s, "f", v.items(3, 4, 5)...)
			fresh := openStore(t, d)
			checkVersions(t, fresh, "f", v, nil)
			rep, err = fresh.Verify(context.Background(), nil)
			if err != nil || len(rep.Damage) > 0 || slices.ContainsFunc(rep.Torn, func(d Damage) bool { return len(d.Lost) > 0 }) {
				t.Fatalf("shift %d, sectors %b: added again: %+v, %v", shift, mask, rep, err)
			}
			if t.Failed() {
				t.Fatalf("shift %d, sectors %b", shift, mask)
			}
		}
	}
}

// TestZerosInAnAcknowledgedAppendAreDamage takes the same sectors away from
// an append behind which there is another.
func TestZerosInAnAcknowledgedAppendAreDamage(t *testing.T) {
	v := docs(6)
	base := disktest.New()
	s := openStore(t, base)
	mustAdd(t, s, "f", v.items(1, 2)...)
	name, old := onePack(t, base, "f")
	mustAdd(t, s, "f", v.items(3, 4)...)
	_, full := onePack(t, base, "f")
	mustAdd(t, s, "f", v.items(5)...)
	_, last := onePack(t, base, "f")
	for mask := 1; mask < 1<<len(sectorsOf(len(old), len(full))); mask++ {
		pack := without(old, full, mask) + last[len(full):]
		d := disktest.New()
		d.Put(name, pack)
		rep, err := openStore(t, d).Verify(context.Background(), nil)
		if err != nil || len(rep.Torn) > 0 || len(rep.Damage) == 0 {
			t.Errorf("sectors %b: got %+v, %v, want it damaged", mask, rep, err)
		}
	}
}

// TestWhatATornEndLooksLike tries the stretches one by one.
func TestWhatATornEndLooksLike(t *testing.T) {
	base := disktest.New()
	v := docs(2)
	mustAdd(t, openStore(t, base), "f", v.items(1)...)
	_, first := onePack(t, base, "f")
	mustAdd(t, openStore(t, base), "f", v.items(2)...)
	_, pack := onePack(t, base, "f")
	second := pack[len(first):]
	frame := strings.IndexByte(second, '\n') + 1
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	filler := strings.Repeat("\xa5", 2*sectorSize)
	for _, tt := range []struct {
		name string
		tail string
		torn bool
	}{
		{"cut in the length", second[:6], true},
		{"cut in the line", second[:frame-3], true},
		{"cut in front of the frame", second[:frame], true},
		{"cut in the frame", second[:len(second)-1], true},
		{"a large content without its line", zeros(frame) + second[frame:], true},
		{"nothing but zeros", zeros(len(second)), true},
		{"seven zeros", zeros(7), true},
		{"a sector of zeros", filler + zeros(2*sectorSize) + filler, true},
		{"zeros that fill no sector", filler + zeros(sectorSize-1) + "x" + filler, false},
		{"a longer length", second[:6] + "\x01" + second[7:], false},
		{"a length beyond all bounds", second[:7] + "\x7f" + second[8:], false},
		{"a shorter length", second[:4] + "\x01" + second[5:], false},
		{"another magic number", "Q" + second[1:], false},
		{"a bit of the line", second[:20] + string(second[20]^1) + second[21:], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := first + tt.tail
			scan := scanPack(strings.NewReader(p), int64(len(p)), "p")
			if len(scan.recs) != 1 || len(scan.gaps) != 1 {
				t.Fatalf("%d entries and gaps %+v", len(scan.recs), scan.gaps)
			}
			if g := scan.gaps[0]; g.off != int64(len(first)) || g.torn != tt.torn {
				t.Errorf("got %+v, want torn %v at %d", g, tt.torn, len(first))
			}
		})
	}
}
