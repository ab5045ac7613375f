package blocklog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// State is one content that a crash may leave: everything before Base, and
// of the epoch that starts there the operations in Picks.
type State struct {
	Number int    // position in the enumeration of its log and plan
	Kind   string // how the picks were made: none, prefix, all-but, only, subset, torn
	Epoch  int    // counted from the first flush of the log
	Base   int    // operations before this index are all on the disk
	End    int    // index of the flush that ends the epoch, or the length of the log
	Picks  []int  // operations of the epoch that reached the disk, in log order
	Torn   int    // the pick that reached it in part; -1: none
	Unit   int64  // size of the pieces a torn write falls into
	Kept   []int64
}

// String describes the state in one line.
func (s State) String() string {
	text := fmt.Sprintf("state %d: epoch %d, operations before %d and %d of %d..%d (%s)",
		s.Number, s.Epoch, s.Base, len(s.Picks), s.Base, s.End, s.Kind)
	if s.Torn >= 0 {
		text += fmt.Sprintf(", operation %d torn to pieces %s of %d bytes", s.Torn, ranges(s.Kept), s.Unit)
	}
	return text
}

// ranges writes numbers that rise as 0..4 6 8..9.
func ranges(all []int64) string {
	var out []string
	for i := 0; i < len(all); {
		k := i
		for k+1 < len(all) && all[k+1] == all[k]+1 {
			k++
		}
		if k > i {
			out = append(out, fmt.Sprintf("%d..%d", all[i], all[k]))
		} else {
			out = append(out, strconv.FormatInt(all[i], 10))
		}
		i = k + 1
	}
	return strings.Join(out, " ")
}

// Plan says which states of a log to enumerate.
type Plan struct {
	Seed    uint64
	From    int   // epochs that end before this operation are left out
	Subsets int   // random subsets of each epoch
	Tears   int   // torn writes of each epoch
	Unit    int64 // pieces of a torn write, in bytes; a shorter write is never torn
	// Solid is a size at the start of the disk, in bytes: no write that
	// starts there is torn, because the file system relies on its super
	// block being written whole.
	Solid int64
	// PerKind bounds the prefixes, the all-but-ones and the only-ones of an
	// epoch; beyond it a seeded sample is taken. 0: all of them.
	PerKind int
}

// epoch is a run of the log between two flushes.
type epoch struct {
	number, base, end int
	writes            []int // indices of the operations that change the disk
}

func epochs(ops []Op) []epoch {
	var all []epoch
	now := epoch{}
	for i, o := range ops {
		switch {
		case o.Kind == Flush:
			now.end = i
			all = append(all, now)
			now = epoch{number: now.number + 1, base: i + 1}
		case o.Changes():
			now.writes = append(now.writes, i)
		}
	}
	now.end = len(ops)
	return append(all, now)
}

// States enumerates the states of a log; only its headers are read. The same
// log and plan give the same states with the same numbers.
func States(ops []Op, p Plan) []State {
	var all []State
	for _, e := range epochs(ops) {
		if e.end < p.From {
			continue
		}
		for _, s := range e.states(ops, p) {
			s.Number = len(all)
			s.Epoch, s.Base, s.End = e.number, e.base, e.end
			all = append(all, s)
		}
	}
	return all
}

func (e epoch) states(ops []Op, p Plan) []State {
	rng := rand.New(rand.NewPCG(p.Seed, uint64(e.number)))
	out := []State{{Kind: "none", Torn: -1}}
	add := func(kind string, picks []int) {
		out = append(out, State{Kind: kind, Picks: picks, Torn: -1})
	}
	n := len(e.writes)
	for _, i := range sample(rng, n, p.PerKind) {
		add("prefix", e.writes[:i+1])
	}
	if n > 1 {
		for _, i := range sample(rng, n, p.PerKind) {
			add("all-but", slices.Delete(slices.Clone(e.writes), i, i+1))
		}
		for _, i := range sample(rng, n-1, p.PerKind) {
			add("only", e.writes[i+1:i+2]) // the first alone is the prefix of one
		}
	}
	if n > 2 {
		for range p.Subsets {
			add("subset", subset(rng, e.writes))
		}
	}
	return append(out, e.tears(rng, ops, p)...)
}

// sample returns limit of the indices below n in order; all when limit is 0.
func sample(rng *rand.Rand, n, limit int) []int {
	all := rng.Perm(n)
	if limit > 0 && limit < n {
		all = all[:limit]
	}
	slices.Sort(all)
	return all
}

// subset picks each write with a chance that is itself random, so that both
// nearly empty and nearly full subsets come up.
func subset(rng *rand.Rand, writes []int) []int {
	chance := rng.Float64()
	var picks []int
	for _, w := range writes {
		if rng.Float64() < chance {
			picks = append(picks, w)
		}
	}
	return picks
}

// tears tears the last write of a prefix, or any write with all others there.
func (e epoch) tears(rng *rand.Rand, ops []Op, p Plan) []State {
	var large []int
	for i, w := range e.writes {
		if ops[w].Kind == Write && p.Unit > 0 && ops[w].Len > p.Unit && ops[w].Off >= p.Solid {
			large = append(large, i)
		}
	}
	if len(large) == 0 {
		return nil
	}
	var out []State
	for range p.Tears {
		i := large[rng.IntN(len(large))]
		s := State{Kind: "torn", Torn: e.writes[i], Unit: p.Unit, Picks: e.writes}
		if rng.IntN(2) == 0 {
			s.Picks = e.writes[:i+1]
		}
		s.Kept = pieces(rng, (ops[s.Torn].Len+p.Unit-1)/p.Unit)
		out = append(out, s)
	}
	return out
}

// pieces keeps a prefix, a suffix or a random part of n pieces; never none
// and never all.
func pieces(rng *rand.Rand, n int64) []int64 {
	cut := 1 + rng.Int64N(n-1)
	var kept []int64
	shape := rng.IntN(3)
	for i := range n {
		switch shape {
		case 0:
			if i < cut {
				kept = append(kept, i)
			}
		case 1:
			if i >= cut {
				kept = append(kept, i)
			}
		default:
			if i == cut || i != 0 && rng.IntN(2) == 0 {
				kept = append(kept, i)
			}
		}
	}
	return kept
}
