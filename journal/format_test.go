package journal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"intactfs/journal/disk/disktest"
)

var update = flag.Bool("update", false, "rewrite the golden files and the dump in FORMAT.md")

const golden = "testdata/segment.golden"

// goldenSegment is the segment that the page shows, as the code makes it.
func goldenSegment(t *testing.T) []byte {
	t.Helper()
	d := disktest.New()
	o := small(nil)
	o.SegmentSize, o.Rand = minSegmentSize, bytes.NewReader(bytes.Repeat([]byte("intact."), 100))
	j := mustOpen(t, d, o)
	name := j.segs[0].name
	mustCommit(t, j, "a.json", "{}\n")
	mustCheckpoint(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return []byte(d.Tree(segmentDir)[name])
}

// field is a row of a table, or a line of the dump.
type field struct {
	size int
	name string
}

var (
	headerFields = []field{{8, "magic"}, {4, "checksum"}, {4, "format version"}, {8, "size"}, {8, "sequence"}, {8, "salt"},
		{8, "segment before"}, {8, "its end"}, {8, "TxID floor"}, {8, "oldest needed"}, {8, "reserved"}}
	recordFields = []field{{4, "checksum"}, {4, "payload length"}, {8, "sequence"}, {8, "synced below"}, {8, "TxID"}, {1, "type"}, {7, "zero"}}
	commitFields = []field{{12, "time"}, {8, "size"}, {32, "SHA-256"}, {8, "base"}, {8, "size before the append"}, {4, "pid"}, {4, "uid"},
		{4, "mode"}, {4, "owner"}, {4, "group"}, {12, "access time"}, {12, "modification time"}}
)

// dump writes the page's annotated dump of the golden segment.
func dump(image []byte) string {
	var b strings.Builder
	off := 0
	line := func(n int, name string) {
		for ; n > 0; n -= 16 {
			k := min(n, 16)
			fmt.Fprintf(&b, "%06x  %-48s  %s\n", off, hex.EncodeToString(image[off : off+k])[:2*k], name)
			off += k
			name = ""
		}
	}
	all := func(fields []field) {
		for _, f := range fields {
			line(f.size, f.name)
		}
	}
	le16 := func() int { return int(image[off]) | int(image[off+1])<<8 }
	str := func(name string) { line(2+le16(), name) }
	all(headerFields)
	b.WriteString("\n")
	off = segmentHeaderSize
	for typ := byte(0); typ != byte(recordEnd); {
		n := int(image[off+4]) | int(image[off+5])<<8
		typ = image[off+32]
		next := off + int(recordSize(n))
		all(recordFields)
		switch recordType(typ) {
		case recordCommit:
			all(commitFields)
			str("path")
			str("program")
			str("note")
			str("stage")
			count := le16()
			line(2, "attributes")
			for range count {
				str("name")
				line(4+le16(), "value")
			}
			line(4+le16(), "content")
		case recordMark:
			line(8, "oldest needed")
			line(8, "TxID published")
		}
		line(next-off, "padding")
		b.WriteString("\n")
	}
	return "```\n" + strings.TrimSuffix(b.String(), "\n") + "```\n"
}

func TestFormatPage(t *testing.T) {
	image := goldenSegment(t)
	page, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(`(?s)(<!-- dump -->\n)(.*)(<!-- end of dump -->)`)
	if *update {
		page = re.ReplaceAll(page, []byte("${1}"+dump(image)+"${3}"))
		if err := os.WriteFile("FORMAT.md", page, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, image, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(want, image) {
		t.Fatalf("the code no longer writes %s (%v): that is a new format version", golden, err)
	}
	if m := re.FindSubmatch(page); m == nil || string(m[2]) != dump(image) {
		t.Error("the dump in FORMAT.md is not that of the golden segment")
	}
	checkTable(t, string(page), "## Segment header", headerFields, headerUsed)
	checkTable(t, string(page), "## Record", recordFields, recordHeaderSize)
	checkTable(t, string(page), "## Payload of a commit and an append", commitFields, 112)
}

// checkTable compares the first table of a section with the fields.
func checkTable(t *testing.T, page, section string, fields []field, total int) {
	t.Helper()
	_, rest, ok := strings.Cut(page, section+"\n")
	if !ok {
		t.Fatalf("no section %q", section)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| .+ \|$`).FindAllStringSubmatch(rest, len(fields))
	off := 0
	for i, f := range fields {
		if i >= len(rows) || rows[i][1] != strconv.Itoa(off) || rows[i][2] != strconv.Itoa(f.size) {
			t.Fatalf("%s, %s: want offset %d and size %d in row %d", section, f.name, off, f.size, i)
		}
		off += f.size
	}
	if off != total {
		t.Errorf("%s: %d bytes in the table, %d in the code", section, off, total)
	}
}

// TestGoldenOpens reads the golden segment with today's code.
func TestGoldenOpens(t *testing.T) {
	image, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Clone(image) // before the mark and the end were written
	mark := segmentHeaderSize + int(recordSize(int(image[segmentHeaderSize+4])))
	clear(cut[mark:])
	for name, c := range map[string]struct {
		image   []byte
		pending int
	}{"published": {image, 0}, "committed": {cut, 1}} {
		t.Run(name, func(t *testing.T) {
			d := disktest.New()
			d.Put(segmentName(1), string(c.image))
			o := small(nil)
			o.SegmentSize = minSegmentSize
			j := mustOpen(t, d, o)
			if got := j.Stats().Pending; got != c.pending {
				t.Errorf("%d pending, want %d", got, c.pending)
			}
			if c.pending == 0 {
				return
			}
			if got, _ := current(t, j, d, "a.json"); got != "{}\n" {
				t.Errorf("got %q", got)
			}
			v, _ := j.Pending("a.json")
			want := put("a.json", "{}\n")
			if v.Tx != 1 || v.Who != want.Who || v.Note != want.Note || string(v.Attr.Xattrs["user.a"]) != "b" || v.Attr.Mode != want.Attr.Mode {
				t.Errorf("got %+v", v)
			}
		})
	}
}
