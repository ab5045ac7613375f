package blocklog

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// sketch makes a log: w a write of one page, W one of four, z zeros, f a
// flush, m a mark. The n-th operation writes the byte n+1 to page n%8.
func sketch(t rapid.TB, text string) *Disk {
	t.Helper()
	d := NewDisk(12*PageSize, nil)
	for i, c := range text {
		off, b := int64(i%8)*PageSize, byte(i+1)
		switch c {
		case 'w':
			write(t, d, filled(b, PageSize), off)
		case 'W':
			write(t, d, filled(b, 4*PageSize), off)
		case 'z':
			d.ZeroAt(off, PageSize)
		case 'f':
			d.Flush()
		case 'm':
			d.Mark(fmt.Sprint(i))
		default:
			t.Fatalf("sketch %q: what is %c?", text, c)
		}
	}
	return d
}

func TestStatesOfSmallLogs(t *testing.T) {
	for _, tc := range []struct {
		name, log string
		plan      Plan
		want      []string // kind base-end:picks
	}{
		{"nothing", "", Plan{}, []string{"none 0-0:[]"}},
		{"one write never flushed", "w", Plan{}, []string{"none 0-1:[]", "prefix 0-1:[0]"}},
		{"one write flushed", "wf", Plan{}, []string{"none 0-1:[]", "prefix 0-1:[0]", "none 2-2:[]"}},
		{"marks change nothing", "mwmfm", Plan{}, []string{"none 0-3:[]", "prefix 0-3:[1]", "none 4-5:[]"}},
		{"two writes", "wz", Plan{}, []string{
			"none 0-2:[]", "prefix 0-2:[0]", "prefix 0-2:[0 1]", "all-but 0-2:[1]", "all-but 0-2:[0]", "only 0-2:[1]",
		}},
		{"epochs before From are left out", "wfwfw", Plan{From: 4}, []string{"none 4-5:[]", "prefix 4-5:[4]"}},
		{"From within an epoch", "wfwmm", Plan{From: 4}, []string{"none 2-5:[]", "prefix 2-5:[2]"}},
		{"From at the start of an epoch", "wfw", Plan{From: 2}, []string{"none 2-3:[]", "prefix 2-3:[2]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for i, s := range States(sketch(t, tc.log).Headers(), tc.plan) {
				if s.Number != i {
					t.Errorf("state %d has the number %d", i, s.Number)
				}
				if s.Torn != -1 {
					t.Errorf("state %d is torn at %d without Tears", i, s.Torn)
				}
				got = append(got, fmt.Sprintf("%s %d-%d:%v", s.Kind, s.Base, s.End, s.Picks))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatesCountAndRepeat(t *testing.T) {
	ops := sketch(t, "wwwwwwfWWwwwzf").Headers()
	plan := Plan{Seed: 7, Subsets: 5, Tears: 4, Unit: 512}
	all := States(ops, plan)
	// Per epoch of n writes: none, n prefixes, n all-but, n-1 only, 5
	// subsets, 4 torn; the last epoch is empty.
	if got, want := len(all), (1+6+6+5+5+4)+(1+6+6+5+5+4)+1; got != want {
		t.Errorf("got %d states, want %d", got, want)
	}
	if diff := cmp.Diff(all, States(ops, plan)); diff != "" {
		t.Errorf("the same plan gave other states:\n%s", diff)
	}
	plan.Seed = 8
	if cmp.Equal(all, States(ops, plan)) {
		t.Error("another seed gave the same states")
	}
	plan.PerKind = 2
	if got, want := len(States(ops, plan)), 2*(1+2+2+2+5+4)+1; got != want {
		t.Errorf("PerKind 2: got %d states, want %d", got, want)
	}
}

func TestSolidWritesAreNotTorn(t *testing.T) {
	ops := sketch(t, "WwWww").Headers()
	torn := map[int]bool{}
	for _, s := range States(ops, Plan{Tears: 50, Unit: 512, Solid: 2 * PageSize}) {
		torn[s.Torn] = true
	}
	if want := map[int]bool{-1: true, 2: true, 3: true, 4: true}; !cmp.Equal(torn, want) {
		t.Errorf("torn operations: got %v, want %v", torn, want)
	}
}

// TestStatesRespectFlushes: whatever is picked, all earlier epochs are there
// and nothing of a later one is.
func TestStatesRespectFlushes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("wWzfm")), 0, 30, -1).Draw(t, "log")
		d := sketch(t, text)
		ops := d.Headers()
		plan := Plan{Seed: rapid.Uint64().Draw(t, "seed"), Subsets: 3, Tears: 3, Unit: 512}
		for _, s := range States(ops, plan) {
			if !slices.IsSorted(s.Picks) {
				t.Fatalf("%v: picks out of order: %v", s, s.Picks)
			}
			for _, i := range s.Picks {
				if i < s.Base || i >= s.End || !ops[i].Changes() {
					t.Fatalf("%v: picks %d", s, i)
				}
			}
			if s.Base > 0 && ops[s.Base-1].Kind != Flush || s.End < len(ops) && ops[s.End].Kind != Flush {
				t.Fatalf("%v does not lie between flushes", s)
			}
			if s.Torn >= 0 {
				checkTorn(t, s, ops[s.Torn])
			}
			if _, err := d.At(s); err != nil {
				t.Fatalf("At: %v", err)
			}
		}
	})
}

func checkTorn(t *rapid.T, s State, o Op) {
	if !slices.Contains(s.Picks, s.Torn) || o.Kind != Write || o.Len <= s.Unit {
		t.Fatalf("%v tears %+v", s, o)
	}
	if n := int64(len(s.Kept)); n == 0 || n >= (o.Len+s.Unit-1)/s.Unit {
		t.Fatalf("%v keeps %d pieces of %d bytes", s, n, o.Len)
	}
}

// TestViewAgainstReplay rebuilds every state a second way, by writing the
// picked operations to a fresh disk, and compares content and sum.
func TestViewAgainstReplay(t *testing.T) {
	d := sketch(t, "wWzwwfWWwzmwfwwWzwWwfwww")
	states := States(d.Headers(), Plan{Seed: 3, Subsets: 10, Tears: 10, Unit: 512})
	sums := map[Sum][]byte{}
	for _, s := range states {
		view, err := d.At(s)
		if err != nil {
			t.Fatal(err)
		}
		want := replay(t, d, s)
		if got := content(view, d.Size()); !bytes.Equal(got, want) {
			t.Fatalf("%v: the view differs from a replay", s)
		}
		sum := view.Sum()
		if other, ok := sums[sum]; ok && !bytes.Equal(other, want) {
			t.Fatalf("%v: two contents with the sum %x", s, sum)
		}
		sums[sum] = want
	}
	distinct := map[string]bool{}
	for _, c := range sums {
		distinct[string(c)] = true
	}
	if len(distinct) != len(sums) {
		t.Errorf("%d contents have %d sums", len(distinct), len(sums))
	}
	if len(sums) == len(states) {
		t.Error("no two states were equal: the sketch proves nothing of de-duplication")
	}
}

func replay(t testing.TB, d *Disk, s State) []byte {
	t.Helper()
	out := make([]byte, d.Size())
	lay := func(o Op, from, to int64) {
		if o.Kind == Zero {
			clear(out[o.Off+from : o.Off+to])
		} else {
			copy(out[o.Off+from:o.Off+to], o.Data[from:to])
		}
	}
	for i, o := range d.ops {
		switch {
		case !o.Changes() || i >= s.Base && !slices.Contains(s.Picks, i):
		case i == s.Torn:
			for _, k := range s.Kept {
				lay(o, k*s.Unit, min((k+1)*s.Unit, o.Len))
			}
		default:
			lay(o, 0, o.Len)
		}
	}
	return out
}

func TestAtRefusesForeignStates(t *testing.T) {
	d := sketch(t, "wfw")
	for name, s := range map[string]State{
		"base past the log":   {Base: 4, Torn: -1},
		"negative base":       {Base: -1, Torn: -1},
		"pick before base":    {Base: 2, Picks: []int{0}, Torn: -1},
		"pick past the log":   {Base: 2, Picks: []int{3}, Torn: -1},
		"pick is not a write": {Base: 0, Picks: []int{1}, Torn: -1},
	} {
		if _, err := d.At(s); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestStateString(t *testing.T) {
	s := State{Number: 4, Kind: "torn", Epoch: 2, Base: 10, End: 20, Picks: []int{11, 12}, Torn: 12, Unit: 512, Kept: []int64{0, 3, 4, 5}}
	want := "state 4: epoch 2, operations before 10 and 2 of 10..20 (torn), operation 12 torn to pieces 0 3..5 of 512 bytes"
	if got := s.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
