package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"intactfs/integration/crashlab/blocklog"
)

func TestContentsAreDocuments(t *testing.T) {
	sizes := map[string][2]int{
		"small-0.json": {150, 7 << 10},
		"mid-0.json":   {16 << 10, 256 << 10},
		"large-0.json": {256<<10 + 1, 1 << 20},
	}
	for name, size := range sizes {
		for n := 1; n < 20; n++ {
			c := Content(name, n)
			if !json.Valid(c) {
				t.Fatalf("%s %d is no JSON", name, n)
			}
			if len(c) < size[0] || len(c) > size[1] {
				t.Errorf("%s %d has %d bytes, want %d to %d", name, n, len(c), size[0], size[1])
			}
			if bytes.Equal(c, Content(name, n+1)) {
				t.Errorf("%s: versions %d and %d are the same", name, n, n+1)
			}
			if got, err := Identify(name, c); got != n || err != nil {
				t.Errorf("Identify(%s %d) = %d, %v", name, n, got, err)
			}
		}
	}
}

func TestLinesGrow(t *testing.T) {
	const name = "lines.jsonl"
	for n := 1; n < 10; n++ {
		c := Content(name, n)
		if got := bytes.Count(c, []byte("\n")); got != n {
			t.Errorf("version %d has %d lines", n, got)
		}
		if n > 1 && !bytes.Equal(c, append(bytes.Clone(Content(name, n-1)), Line(name, n)...)) {
			t.Errorf("version %d is not version %d and a line", n, n-1)
		}
		if got, err := Identify(name, c); got != n || err != nil {
			t.Errorf("Identify(%d lines) = %d, %v", n, got, err)
		}
	}
}

func TestIdentifyFindsDamage(t *testing.T) {
	const name = "small.json"
	five := Content(name, 5)
	flipped := bytes.Clone(five)
	flipped[len(flipped)/2] ^= 1
	lines := Content("a.jsonl", 4)
	first := bytes.IndexByte(lines, '\n') + 1
	for _, tc := range []struct {
		title, name string
		content     []byte
		want        error
	}{
		{"nothing", name, nil, ErrEmpty},
		{"zeros", name, make([]byte, 100), ErrTorn},
		{"cut at the end", name, five[:len(five)-1], ErrTorn},
		{"cut in its first word", name, five[:3], ErrAlien},
		{"cut in the number", name, []byte(`{"file":"small.json","version":`), ErrTorn},
		{"a byte too many", name, append(bytes.Clone(five), ' '), ErrTorn},
		{"a bit flipped", name, flipped, ErrTorn},
		{"the tail of another version", name, append(bytes.Clone(five[:100]), Content(name, 6)[100:]...), ErrTorn},
		{"another file", name, Content("other.json", 5), ErrAlien},
		{"something else", name, []byte("{}"), ErrAlien},
		{"no whole last line", "a.jsonl", lines[:len(lines)-1], ErrTorn},
		{"a line lost at the start", "a.jsonl", lines[first:], ErrTorn},
		{"a line twice", "a.jsonl", append(bytes.Clone(lines), Line("a.jsonl", 4)...), ErrTorn},
		{"half a line", "a.jsonl", append(bytes.Clone(lines), Line("a.jsonl", 5)[:10]...), ErrAlien},
	} {
		t.Run(tc.title, func(t *testing.T) {
			if n, err := Identify(tc.name, tc.content); !errors.Is(err, tc.want) {
				t.Errorf("got %d, %v, want %v", n, err, tc.want)
			}
		})
	}
}

func TestProtected(t *testing.T) {
	for name, want := range map[string]bool{"a.json": true, "a.jsonl": true, "a.json.tmp": false, "a": false} {
		if got := Protected(name); got != want {
			t.Errorf("Protected(%s) = %v, want %v", name, got, want)
		}
	}
}

// logOf makes a log of marks; "flush" and "write" stand for themselves.
func logOf(labels ...string) []blocklog.Op {
	var ops []blocklog.Op
	for _, l := range labels {
		switch l {
		case "flush":
			ops = append(ops, blocklog.Op{Kind: blocklog.Flush})
		case "write":
			ops = append(ops, blocklog.Op{Kind: blocklog.Write, Len: 1})
		default:
			ops = append(ops, blocklog.Op{Kind: blocklog.Mark, Label: l})
		}
	}
	return ops
}

func mustRead(t *testing.T, labels ...string) Ledger {
	t.Helper()
	l, err := Read(logOf(labels...))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRead(t *testing.T) {
	got := mustRead(t, "start save a 1", "ack save a 1", "flush", Begin, "serving",
		"start save a 2", "start remove b 7", "write", "ack remove b 7")
	want := Ledger{Begin: 3, Events: []Event{
		{File: "a", Number: 1, Started: 0, Acked: 1},
		{File: "a", Number: 2, Started: 5},
		{File: "b", Number: 7, Removal: true, Started: 6, Acked: 8},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"ack save a 3", "start save a x", "stop save a 2"} {
		if _, err := Read(logOf("start save a 2", bad)); err == nil {
			t.Errorf("mark %q: got no error", bad)
		}
	}
}

// run is the history that the bounds are tested on; the comments are the
// indices of its marks.
var run = []string{
	"start save a 1", "ack save a 1", Begin, // 0 1 2
	"start save a 2", "ack save a 2", // 3 4
	"start save a 3", "start save b 1", // 5 6
	"ack save b 1", "ack save a 3", // 7 8
	"start remove a 4", "ack remove a 4", // 9 10
	"start save a 5", "ack save a 5", // 11 12
}

func versions(a Allowed) string {
	var out []string
	for n := 1; n < 10; n++ {
		if a.Versions[n] {
			out = append(out, string(rune('0'+n)))
		}
	}
	if a.Absent {
		out = append(out, "none")
	}
	return strings.Join(out, " ")
}

func TestBounds(t *testing.T) {
	l := mustRead(t, run...)
	for _, tc := range []struct {
		title               string
		end                 int
		afterA, bareA       string
		afterB, bareB, kept string
	}{
		{"at the start", 3, "1", "1", "", "", ""},
		{"a save began", 4, "1 2", "1 2", "", "", ""},
		{"a save was acknowledged", 5, "2", "1 2", "", "", "a:1,2"},
		{"two files at once", 7, "2 3", "1 2 3", "1 none", "1 none", "a:1,2"},
		{"a new file", 8, "2 3", "1 2 3", "1", "1 none", "a:1,2 b:1"},
		{"both acknowledged", 9, "3", "1 2 3", "1", "1 none", "a:1,2,3 b:1"},
		{"a removal began", 10, "3 none", "1 2 3 none", "1", "1 none", "a:1,2,3 b:1"},
		{"a removal is not durable", 11, "3 none", "1 2 3 none", "1", "1 none", "a:1,2,3 b:1"},
		{"saved again", 12, "3 5 none", "1 2 3 5 none", "1", "1 none", "a:1,2,3 b:1"},
		{"acknowledged again", 13, "5", "1 2 3 5 none", "1", "1 none", "a:1,2,3,5 b:1"},
	} {
		t.Run(tc.title, func(t *testing.T) {
			after, bare, kept := l.After(tc.end), l.Bare(tc.end), l.Kept(tc.end)
			for _, c := range []struct{ what, got, want string }{
				{"after recovery, a", versions(after["a"]), tc.afterA},
				{"before recovery, a", versions(bare["a"]), tc.bareA},
				{"after recovery, b", versions(after["b"]), tc.afterB},
				{"before recovery, b", versions(bare["b"]), tc.bareB},
				{"kept", keptText(kept), tc.kept},
			} {
				if c.got != c.want {
					t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
				}
			}
		})
	}
}

func keptText(kept map[string][]int) string {
	var files []string
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		var text []string
		for _, n := range kept[name] {
			text = append(text, string(rune('0'+n)))
		}
		if len(text) > 0 {
			files = append(files, name+":"+strings.Join(text, ","))
		}
	}
	return strings.Join(files, " ")
}

func TestAllowedCheck(t *testing.T) {
	const name = "small.json"
	a := Allowed{Versions: map[int]bool{4: true, 5: true}, Newest: 4}
	if err := a.Check(name, Content(name, 5), true); err != nil {
		t.Errorf("an allowed version: %v", err)
	}
	if err := a.Check(name, Content(name, 3), true); !errors.Is(err, ErrLost) {
		t.Errorf("an older version: got %v, want %v", err, ErrLost)
	}
	if err := a.Check(name, Content(name, 4)[:9], true); !errors.Is(err, ErrAlien) {
		t.Errorf("a torn version: got %v, want %v", err, ErrAlien)
	}
	if err := a.Check(name, nil, false); err == nil {
		t.Error("a missing file: got no error")
	}
	a.Absent = true
	if err := a.Check(name, nil, false); err != nil {
		t.Errorf("a file that may be missing: %v", err)
	}
	if err := a.Check(name, nil, true); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty file where none may be: got %v, want %v", err, ErrEmpty)
	}
}

func TestHas(t *testing.T) {
	for _, tc := range []struct {
		name     string
		versions []int
		n        int
		want     bool
	}{
		{"a.json", []int{1, 3}, 3, true},
		{"a.json", []int{1, 3}, 2, false},
		{"a.jsonl", []int{1, 3}, 2, true},
		{"a.jsonl", []int{1, 3}, 4, false},
		{"a.jsonl", nil, 1, false},
	} {
		if got := Has(tc.name, tc.versions, tc.n); got != tc.want {
			t.Errorf("Has(%s, %v, %d) = %v, want %v", tc.name, tc.versions, tc.n, got, tc.want)
		}
	}
}

// relaxed is a history with a second of grace; each mark comes with its time
// in milliseconds.
var relaxed = []struct {
	at    int
	label string
}{
	{0, "start save a 1"}, {1, "ack save a 1"}, {2, Begin}, // 0 1 2
	{100, "start save a 2"}, {200, "ack save a 2"}, // 3 4
	{300, "start sync b 1"}, {400, "ack sync b 1"}, // 5 6
	{900, "start save b 2"}, {1000, "ack save b 2"}, // 7 8
	{1200, "flush"}, {1201, "flush"}, {2500, "flush"}, // 9 10 11
}

func relaxedLedger(t *testing.T) Ledger {
	t.Helper()
	var labels []string
	for _, m := range relaxed {
		labels = append(labels, m.label)
	}
	ops := logOf(labels...)
	for i, m := range relaxed {
		ops[i].Time = time.Duration(m.at+1) * time.Millisecond
	}
	l, err := Read(ops)
	if err != nil {
		t.Fatal(err)
	}
	l.Grace = time.Second
	return l
}

func TestGrace(t *testing.T) {
	l := relaxedLedger(t)
	for _, tc := range []struct {
		title string
		end   int
		a, b  string
		kept  string
		found map[string]int
		loss  int // milliseconds
	}{
		{"what was there from the start", 3, "1", "", "", map[string]int{"a": 1}, 0},
		{"acknowledged just now", 5, "1 2", "", "", map[string]int{"a": 1}, 100},
		{"synced just now", 7, "1 2", "1", "b:1", map[string]int{"a": 1, "b": 1}, 700},
		{"acknowledged a second before", 9, "1 2", "1 2", "b:1", map[string]int{"a": 1, "b": 1}, 1000},
		{"longer than a second before", 10, "2", "1 2", "a:1,2 b:1", map[string]int{"a": 2, "b": 1}, 201},
		{"at the end", 11, "2", "2", "a:1,2 b:1,2", map[string]int{"a": 2, "b": 2}, 0},
		{"past the end", 99, "2", "2", "a:1,2 b:1,2", map[string]int{"a": 2}, 2100},
	} {
		t.Run(tc.title, func(t *testing.T) {
			after := l.After(tc.end)
			if got := versions(after["a"]); got != tc.a {
				t.Errorf("a: got %q, want %q", got, tc.a)
			}
			if got := versions(after["b"]); tc.b != "" && got != tc.b {
				t.Errorf("b: got %q, want %q", got, tc.b)
			}
			if got := keptText(l.Kept(tc.end)); got != tc.kept {
				t.Errorf("kept: got %q, want %q", got, tc.kept)
			}
			if got := l.Loss(tc.end, tc.found); got != time.Duration(tc.loss)*time.Millisecond {
				t.Errorf("loss: got %v, want %d ms", got, tc.loss)
			}
		})
	}
}

func TestLossLeavesRemovedFilesOut(t *testing.T) {
	l := relaxedLedger(t)
	l.Events = append(l.Events, Event{File: "a", Number: 3, Removal: true, Started: 9, Acked: 10})
	if got := l.Loss(11, map[string]int{"b": 2}); got != 0 {
		t.Errorf("a file that was removed: got a loss of %v", got)
	}
}

// TestEverySectorTells: a sector of one version is none of any other at the
// same place, or a torn write would go unseen.
func TestEverySectorTells(t *testing.T) {
	for _, name := range []string{"small.json", "mid.json", "large.json"} {
		for n := 1; n < 6; n++ {
			for other := n + 1; other < 7; other++ {
				a, b := Content(name, n), Content(name, other)
				for off := 0; off+512 <= min(len(a), len(b)); off += 512 {
					if bytes.Equal(a[off:off+512], b[off:off+512]) {
						t.Fatalf("%s: versions %d and %d have the same bytes from %d on", name, n, other, off)
					}
				}
			}
		}
	}
}
