package ledger

import (
	"bytes"
	"testing"
)

// linked is a log in which a file gets another name at operation 4.
var linked = []string{"start save small.json 1", "ack save small.json 1", Begin, // 0 1 2
	"flush", Linked("dir/small.json"), // 3 4
	"start save small.json 2", "ack save small.json 2", "flush"} // 5 6 7

func TestOtherNames(t *testing.T) {
	l, err := Read(logOf(linked...))
	if err != nil {
		t.Fatal(err)
	}
	const other = "dir/small.json"
	for _, tc := range []struct {
		title string
		end   int
		after string // versions of the other name
		bare  string
		kept  string
	}{
		{"before the link", 3, "1 none", "1 none", ""},
		{"as it is made", 4, "1 none", "1 none", ""},
		{"when it was made", 5, "1", "1", ""},
		{"in the first save", 6, "1 2", "1 2", ""},
		{"after the save", 7, "2", "1 2", "dir/small.json:1,2 small.json:1,2"},
	} {
		t.Run(tc.title, func(t *testing.T) {
			after, bare := l.After(tc.end), l.Bare(tc.end)
			if got := versions(after[other]); got != tc.after {
				t.Errorf("after recovery: got %q, want %q", got, tc.after)
			}
			if got := versions(bare[other]); got != tc.bare {
				t.Errorf("before recovery: got %q, want %q", got, tc.bare)
			}
			if after["small.json"].Absent || bare["small.json"].Absent {
				t.Error("the file itself may be missing")
			}
			if got := keptText(l.Kept(tc.end)); got != tc.kept {
				t.Errorf("kept: got %q, want %q", got, tc.kept)
			}
		})
	}
}

// TestContentsOfOtherNames: the checker must know a version by each name.
func TestContentsOfOtherNames(t *testing.T) {
	for _, name := range []string{"small.json", "lines.jsonl"} {
		other := "some/dir/" + name
		c := Content(other, 3)
		if !bytes.Equal(c, Content(name, 3)) {
			t.Errorf("%s has another content by its other name", name)
		}
		if n, err := Identify(other, c); n != 3 || err != nil {
			t.Errorf("Identify(%s 3) = %d, %v", other, n, err)
		}
	}
	if !bytes.Equal(Line("dir/lines.jsonl", 2), Line("lines.jsonl", 2)) {
		t.Error("another line by the other name")
	}
}
