package backup

import (
	"testing"

	"pgregory.net/rapid"
)

// feed tells a chain of versions of one size, whose keyframes and deltas have
// the lengths given, and returns what each was a delta against.
func feed(c *chain, n int, size, whole, delta int64) []uint64 {
	var bases []uint64
	for tx := uint64(1); tx <= uint64(n); tx++ {
		base := c.base(size, false)
		frame := delta
		if base == 0 {
			frame = whole
		}
		c.add(tx, size, base, frame)
		bases = append(bases, base)
	}
	return bases
}

func TestChainOfSmallVersionsHangsOnItsKeyframe(t *testing.T) {
	var c chain
	for i, base := range feed(&c, 500, 5300, 1000, 60) {
		if want := uint64(1); i > 0 && base != want {
			t.Fatalf("version %d is a delta against %d, want %d", i+1, base, want)
		}
	}
}

func TestChainOfLargeVersionsIsALadder(t *testing.T) {
	var c chain
	bases := feed(&c, 31, 19<<20, 4<<20, 12<<10)
	for i, want := range map[int]uint64{0: 0, 1: 1, 2: 2, 9: 9, 10: 1, 11: 11, 12: 12, 19: 19, 20: 11, 21: 21, 30: 21} {
		if bases[i] != want {
			t.Errorf("version %d is a delta against %d, want %d", i+1, bases[i], want)
		}
	}
}

func TestChainEndsWithAKeyframe(t *testing.T) {
	for _, tt := range []struct {
		name               string
		size, whole, delta int64
		n                  int
		min, max           int // keyframes
	}{
		{"deltas as long as keyframes", 1 << 20, 1000, 1000, 50, 25, 25},
		{"deltas that add up", 1 << 20, 1000, 100, 110, 10, 10},
		{"many tiny deltas", 1 << 20, 1 << 20, 1, 5 * maxLinks, 5, 5},
		{"small, deltas that cost the same", 5300, 1000, 900, 50, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c chain
			got := 0
			for _, base := range feed(&c, tt.n, tt.size, tt.whole, tt.delta) {
				if base == 0 {
					got++
				}
			}
			if got < tt.min || got > tt.max {
				t.Errorf("%d keyframes in %d versions, want %d to %d", got, tt.n, tt.min, tt.max)
			}
		})
	}
}

// A small keyframe is replaced once what was saved has moved away from it.
func TestChainOfSmallVersionsThatDrift(t *testing.T) {
	var c chain
	keyframes, since := 0, int64(0)
	for tx := uint64(1); tx <= 400; tx++ {
		base, frame := c.base(5300, false), 20+10*since
		if since++; base == 0 {
			frame, since = 1000, 0
			keyframes++
		}
		c.add(tx, 5300, base, frame)
	}
	if keyframes < 10 || keyframes > 60 {
		t.Errorf("%d keyframes in 400 versions, want 10 to 60", keyframes)
	}
}

func TestChainGoesOnPastASmallContent(t *testing.T) {
	var c chain
	feed(&c, 3, 1<<20, 1<<20, 100)
	if base := c.base(10, false); base != 0 {
		t.Errorf("a small content is a delta against %d", base)
	}
	c.add(4, 10, 0, 20)
	if base := c.base(1<<20, false); base != 3 {
		t.Errorf("the next is a delta against %d, want 3, the one before the small content", base)
	}
	for tx := uint64(4); tx < 4+maxAsides; tx++ {
		c.add(tx, 10, 0, 20)
	}
	c.add(100, 10, 0, 20)
	if base := c.base(10, false); base != 100 {
		t.Errorf("after many small contents the next is a delta against %d, want 100", base)
	}
}

// What a document grew out of is no base for it.
func TestChainOfADocumentThatGrows(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, later int64
		want         uint64 // what the second is a delta against
	}{
		{"begins as {}", 3, 5300, 0},
		{"begins as nothing", 0, 1, 0},
		{"begins as {}, becomes large", 3, 19 << 20, 0},
		{"more than doubles", 2000, 4001, 0},
		{"doubles", 2000, 4000, 1},
		{"large, more than doubles", 1 << 20, 2<<20 + 1, 0},
		{"large, doubles", 1 << 20, 2 << 20, 1},
		{"small, becomes large", 200 << 10, 300 << 10, 1},
		{"stays empty", 0, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c chain
			c.add(1, tt.first, 0, 20)
			if got := c.base(tt.later, false); got != tt.want {
				t.Fatalf("a delta against %d, want %d", got, tt.want)
			}
			if tt.want != 0 {
				return
			}
			c.add(2, tt.later, 0, tt.later/4)
			if got := c.base(tt.later, false); got != 2 {
				t.Errorf("the next is a delta against %d, want 2", got)
			}
		})
	}
}

func TestChainAsksForAKeyframeWhenThePackIsFull(t *testing.T) {
	var c chain
	feed(&c, 3, 5000, 1000, 50)
	if base := c.base(5000, true); base != 0 {
		t.Errorf("in a full pack: a delta against %d", base)
	}
}

func TestChainRefusesWhatIsTooLargeForADelta(t *testing.T) {
	var c chain
	c.add(1, largeContent, 0, 1000)
	for size, want := range map[int64]uint64{largeContent: 1, largeContent + 1: 0} {
		if got := c.base(size, false); got != want {
			t.Errorf("%d bytes: a delta against %d, want %d", size, got, want)
		}
	}
	c.add(2, largeContent+1, 0, 1000)
	if got := c.base(largeContent, false); got != 0 {
		t.Errorf("a delta against %d, of which the content is too large", got)
	}
}

// Whatever comes, no version takes more steps than FORMAT.md says, a base is
// an earlier version, and the deltas since a keyframe cost no more than it.
func TestChainProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c chain
		depth, sizes := map[uint64]int{}, map[uint64]int64{}
		sinceKey := int64(0)
		for tx := uint64(1); tx <= uint64(rapid.IntRange(1, 300).Draw(t, "n")); tx++ {
			size := rapid.SampledFrom([]int64{0, 100, 5000, 200 << 10, 300 << 10, 19 << 20, largeContent + 1}).Draw(t, "size")
			base := c.base(size, rapid.IntRange(0, 30).Draw(t, "full") == 0)
			frame := rapid.Int64Range(1, max(1, size/3+20)).Draw(t, "frame")
			if base != 0 {
				at, ok := sizes[base]
				if !ok || base >= tx || at > largeContent || size > largeContent {
					t.Fatalf("version %d of %d bytes is a delta against %d of %d", tx, size, base, at)
				}
				depth[tx] = depth[base] + 1
			}
			if depth[tx] > 60 {
				t.Fatalf("version %d takes %d steps", tx, depth[tx])
			}
			wasAside := base == 0 && c.aside(size)
			if base == 0 && !wasAside {
				sinceKey = 0
			}
			sizes[tx] = size
			c.add(tx, size, base, frame)
			if base != 0 {
				sinceKey += frame
			}
			if c.deltas != sinceKey {
				t.Fatalf("deltas since the keyframe are %d bytes, want %d", c.deltas, sinceKey)
			}
		}
	})
}
