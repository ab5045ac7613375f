package journal

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// plainIndex is what an index must be, found out the slow way.
type plainIndex struct{ versions []*version }

func (p *plainIndex) of(path string) (vs []*version) {
	for _, v := range p.versions {
		if v.Path == path {
			vs = append(vs, v)
		}
	}
	sort.Slice(vs, func(i, k int) bool { return vs[i].Tx < vs[k].Tx })
	return vs
}

func (p *plainIndex) paths() []string {
	seen := map[string]bool{}
	for _, v := range p.versions {
		seen[v.Path] = true
	}
	return sortedKeys(seen)
}

func (p *plainIndex) forget(path string, tx TxID) {
	p.versions = slices.DeleteFunc(p.versions, func(v *version) bool { return v.Path == path && v.Tx <= tx })
}

// check compares everything that can be asked of an index.
func (p *plainIndex) check(t *rapid.T, x *index, segs []*segment) {
	bytes, held := int64(0), int64(0)
	pending := map[*segment]int{}
	for _, v := range p.versions {
		bytes += v.weight()
		pending[v.seg]++
		if v.held {
			held += int64(len(v.inline))
		}
	}
	if x.count != len(p.versions) || x.bytes != bytes || x.held != held || held > x.maxHeld {
		t.Fatalf("count %d, bytes %d, held %d; want %d, %d, %d", x.count, x.bytes, x.held, len(p.versions), bytes, held)
	}
	for _, s := range segs {
		if s.pending != pending[s] {
			t.Fatalf("segment %d has %d pending, want %d", s.seq, s.pending, pending[s])
		}
	}
	for _, dir := range []string{"", "a", "a/b", "a/b/c", "d", "none"} {
		var names, below []string
		for _, path := range p.paths() {
			if parentOf(path) == dir {
				names = append(names, strings.TrimPrefix(strings.TrimPrefix(path, dir), "/"))
			}
			all := []string{path}
			for _, v := range p.of(path) {
				all = append(all, v.Links...)
			}
			if slices.ContainsFunc(all, func(name string) bool {
				return dir == "" || name == dir || strings.HasPrefix(name, dir+"/")
			}) {
				below = append(below, path)
			}
		}
		got := x.names(dir)
		sort.Strings(got)
		if diff := cmp.Diff(names, got); diff != "" {
			t.Fatalf("names in %q (-want +got):\n%s", dir, diff)
		}
		got = x.below(dir, nil)
		sort.Strings(got)
		got = slices.Compact(got)
		if diff := cmp.Diff(below, got); diff != "" {
			t.Fatalf("paths below %q (-want +got):\n%s", dir, diff)
		}
	}
	for _, path := range []string{"a", "a/b", "a/b/c", "d", "none"} {
		var want *version
		if vs := p.of(path); len(vs) > 0 {
			want = vs[len(vs)-1]
		}
		if got := x.newest(path); got != want {
			t.Fatalf("newest of %s is %v, want %v", path, got, want)
		}
		for _, link := range linksOf(path) {
			linked := want != nil && slices.ContainsFunc(p.of(path), func(v *version) bool { return slices.Contains(v.Links, link) })
			if got := x.find(link); linked && got != want || !linked && got != nil {
				t.Fatalf("version of %s, a link of %s, is %v, want %v", link, path, got, want)
			}
		}
	}
}

// linksOf are the other names that a path may have here.
func linksOf(path string) []string {
	name := "of-" + strings.ReplaceAll(path, "/", "-")
	return []string{"a/b/" + name, name}
}

// TestIndexAgainstModel adds and forgets versions in any order. Names of files
// are names of directories too: a file may have become one.
func TestIndexAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, p := newIndex(rapid.Int64Range(0, 3000).Draw(t, "room")), &plainIndex{}
		segs := []*segment{{segmentHeader: segmentHeader{seq: 1}}, {segmentHeader: segmentHeader{seq: 2}}}
		paths := rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "a/b/d", "d", "e/f"})
		for tx := TxID(1); tx < 30; tx++ {
			path := paths.Draw(t, "path")
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				upTo := TxID(rapid.Uint64Range(0, 30).Draw(t, "tx"))
				want := slices.DeleteFunc(p.of(path), func(v *version) bool { return v.Tx > upTo })
				got := x.forget(path, upTo)
				if !slices.Equal(got, want) {
					t.Fatalf("forgot %d versions, want %d", len(got), len(want))
				}
				p.forget(path, upTo)
			} else {
				content := make([]byte, rapid.IntRange(0, 500).Draw(t, "size"))
				v := &version{Version: Version{Tx: tx, Path: path, Size: int64(len(content))}, seg: segs[tx%2]}
				v.Links = linksOf(path)[:rapid.IntRange(0, 2).Draw(t, "links")]
				if slices.ContainsFunc(p.of(path), func(o *version) bool { return o.Tx > tx }) {
					continue
				}
				x.add(v, content)
				p.versions = append(p.versions, v)
			}
			p.check(t, x, segs)
		}
	})
}

// TestIndexSortsWhatComesLate adds versions as a replay does that meets some
// of them only where they were written again.
func TestIndexSortsWhatComesLate(t *testing.T) {
	for _, order := range [][]TxID{{1, 2, 3}, {3, 1, 2}, {2, 3, 1}, {3, 2, 1}} {
		x := newIndex(0)
		seg := &segment{}
		for _, tx := range order {
			x.add(&version{Version: Version{Tx: tx, Path: "a"}, seg: seg}, nil)
		}
		var got []TxID
		for _, v := range x.paths["a"] {
			got = append(got, v.Tx)
		}
		if !slices.Equal(got, []TxID{1, 2, 3}) {
			t.Errorf("added %v, got %v", order, got)
		}
		if left := x.forget("a", 2); len(left) != 2 || x.newest("a").Tx != 3 {
			t.Errorf("forgot %d versions, newest is %d", len(left), x.newest("a").Tx)
		}
		if x.forget("a", 2) != nil || x.forget("none", 9) != nil {
			t.Error("forgot what is not there")
		}
	}
}

// TestJoinedAppends publishes any number of a run of appends: what is left is
// the bytes behind them, whether they are held in one piece or not.
func TestJoinedAppends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex(rapid.Int64Range(0, 200).Draw(t, "room"))
		seg := &segment{}
		size := rapid.Int64Range(0, 50).Draw(t, "base")
		var content []byte
		from := size
		for tx := TxID(1); tx < 12; tx++ {
			more := fmt.Appendf(nil, "<%d%s>", tx, strings.Repeat(".", rapid.IntRange(0, 30).Draw(t, "more")))
			v := &version{Version: Version{Tx: tx, Path: "l", Size: size + int64(len(more))}, seg: seg, baseSize: size, appended: true}
			v.prior = x.newest("l")
			x.add(v, more)
			join(v)
			content = append(content, more...)
			size = v.Size
			if rapid.IntRange(0, 4).Draw(t, "publish") == 0 {
				upTo := TxID(rapid.Uint64Range(1, uint64(tx)).Draw(t, "tx"))
				for _, gone := range x.forget("l", upTo) {
					content = content[gone.Size-from:]
					from = gone.Size
				}
			}
			for _, v := range x.paths["l"] {
				if want := string(content[v.baseSize-from : v.Size-from]); v.held && string(v.inline) != want {
					t.Fatalf("version %d has %q, want %q", v.Tx, v.inline, want)
				}
				if v.joined == nil {
					continue
				}
				if want := string(content[v.joinedFrom-from : v.Size-from]); string(v.joined) != want || v.root != nil {
					t.Fatalf("version %d is joined to %q, want %q", v.Tx, v.joined, want)
				}
			}
		}
	})
}
