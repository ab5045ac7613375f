package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// tools skips the test where the programs of FORMAT.md are missing, or fails
// it where they must not be.
func tools(t *testing.T) {
	t.Helper()
	for _, name := range []string{"zstd", "sh", "grep", "sed", "head", "tail"} {
		if _, err := exec.LookPath(name); err == nil {
			continue
		} else if os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" {
			t.Fatalf("%s is needed: %v", name, err)
		}
		t.Skipf("%s is not here", name)
	}
}

func run1(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// packsOnDisk writes the packs of a memory disk to files, by name.
func packsOnDisk(t *testing.T, d *disktest.Disk) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range d.Tree(historyRoot) {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRecipeGetsEveryVersion(t *testing.T) {
	tools(t)
	recipe, err := filepath.Abs("recipe.sh")
	if err != nil {
		t.Fatal(err)
	}
	small, large := smallDocument(), newBigSeries(400<<10)
	for _, tt := range []struct {
		name string
		docs int
		doc  func(i int) []byte
	}{
		{"small", 12, small},
		{"large", 13, func(int) []byte { return large.next(1000) }},
		{"empty and odd", 6, func(i int) []byte { return [][]byte{nil, []byte("x"), nil, []byte("{}\n"), {0}, nil}[i] }},
		{"random", 4, func(i int) []byte {
			p := make([]byte, 5000)
			_, _ = rand.New(rand.NewSource(int64(i))).Read(p)
			return p
		}},
		{"small then large", 4, func(i int) []byte {
			return [][]byte{small(1), large.next(10), small(2), large.next(10)}[i]
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := disktest.New()
			s := openStore(t, d)
			var docs [][]byte
			for i := range tt.docs {
				docs = append(docs, tt.doc(i))
				it := bytesItem(uint64(i+1), docs[i])
				it.Note = `a note with "quotes", {"tx":3,"crc":"00000000"} and ünïcode`
				mustAdd(t, s, "f", it)
			}
			dir := packsOnDisk(t, d)
			out := filepath.Join(t.TempDir(), "out")
			for _, e := range mustList(t, s, "f") {
				run1(t, recipe, filepath.Join(dir, filepath.Base(e.Pack)), strconv.FormatUint(e.Tx, 10), out)
				got, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, docs[e.Tx-1]) {
					t.Errorf("version %d: got %d bytes, want %d others", e.Tx, len(got), len(docs[e.Tx-1]))
				}
			}
		})
	}
}

func TestZstdReadsPackOfWholeVersions(t *testing.T) {
	tools(t)
	d := disktest.New()
	s := openStore(t, d)
	want := ""
	for i := range 5 {
		p := make([]byte, 300)
		_, _ = rand.New(rand.NewSource(int64(i))).Read(p)
		want += string(p)
		mustAdd(t, s, "f", bytesItem(uint64(i+1), p))
	}
	for _, e := range mustList(t, s, "f") {
		if e.DeltaBase != 0 {
			t.Fatalf("version %d is a delta", e.Tx)
		}
	}
	pack := filepath.Join(packsOnDisk(t, d), "0001.zst")
	if got, err := exec.Command("zstd", "-dc", pack).Output(); err != nil || string(got) != want {
		t.Errorf("zstd -dc: %d bytes, %v; want %d", len(got), err, len(want))
	}
	run1(t, "zstd", "-q", "-t", pack)
}

// TestFormatDocument holds FORMAT.md to the code: the members of lines and
// notes, in their order.
func TestFormatDocument(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	members := func(v any) []string {
		var names []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
				names = append(names, tag)
			}
		}
		return names
	}
	inTable := func(heading string) []string {
		_, text, ok := strings.Cut(string(doc), "\n"+heading+"\n")
		if !ok {
			t.Fatalf("no %q", heading)
		}
		var names []string
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "## ") {
				break
			}
			cell, ok := strings.CutPrefix(line, "| `")
			if !ok {
				continue
			}
			cell, _, _ = strings.Cut(cell, " |")
			for _, n := range strings.Split(cell, ",") {
				names = append(names, strings.Trim(n, " `"))
			}
		}
		return names
	}
	var lines []string
	for _, n := range inTable("## A pack") {
		if n[0] >= 'a' && n[0] <= 'z' {
			lines = append(lines, n)
		}
	}
	if diff := cmp.Diff(append(members(header{}), "crc"), lines); diff != "" {
		t.Errorf("members of a line (-code +document):\n%s", diff)
	}
	got, want := map[string]bool{}, map[string]bool{}
	for _, n := range members(note{}) {
		want[n] = true
	}
	for _, n := range inTable("## A refused content") {
		got[n] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members of a note (-code +document):\n%s", diff)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	full := record{
		Entry: Entry{
			Tx: 1<<64 - 1, Time: t0.Add(123456789), Size: 77, SHA256: digest{1, 2, 3}, Base: 9, PID: 4, UID: 5,
			Program: "a \"b\"\n\x01ü", Note: "n", Invalid: true, DeltaBase: 8,
			Attr: disk.Attr{Mode: 0o7777, UID: 1 << 31, GID: 6, Mtime: t0, Atime: t0,
				Xattrs: map[string][]byte{"user.x": {0, 255}, "security.y": {}}},
		},
		frameLen: 1234, frameCRC: 0xdeadbeef, batch: 17,
	}
	for _, tt := range []struct {
		name string
		rec  record
		pad  int
	}{
		{"full", full, 0},
		{"padded", full, 2000},
		{"least", record{Entry: Entry{Tx: 1, Time: t0}}, 0},
		{"tombstone", record{Entry: Entry{Tx: 3, Time: t0, Removed: true}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frame, err := encodeHeader(&tt.rec, tt.pad)
			if err != nil {
				t.Fatal(err)
			}
			if len(frame) < tt.pad {
				t.Errorf("got %d bytes, want at least %d", len(frame), tt.pad)
			}
			got, err := decodeHeader(frame[skipHead:], "pack", 50)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.rec
			want.Pack, want.Offset = "pack", 50
			want.frameOff = 50 + int64(len(frame))
			want.Stored = int64(len(frame)) + want.frameLen
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeaderRefuses(t *testing.T) {
	seal := func(object string) []byte { return sealLine([]byte(object), 0) }
	for name, line := range map[string][]byte{
		"nothing":          nil,
		"no checksum":      []byte(`{"tx":1}` + "\n"),
		"not JSON":         seal(`{"tx":oops}`),
		"no number":        seal(`{"framecrc":"0","mode":"0644"}`),
		"negative frame":   seal(`{"tx":1,"frame":-1,"framecrc":"0","removed":true}`),
		"negative size":    seal(`{"tx":1,"size":-1,"framecrc":"0","removed":true}`),
		"bad frame sum":    seal(`{"tx":1,"framecrc":"xyz","removed":true}`),
		"bad mode":         seal(`{"tx":1,"framecrc":"0","mode":"rwx"}`),
		"bad digest":       seal(`{"tx":1,"framecrc":"0","mode":"0644","sha256":"12"}`),
		"long number":      seal(`{"tx":99999999999999999999999,"framecrc":"0"}`),
		"checksum changed": bytes.Replace(seal(`{"tx":1,"framecrc":"0","removed":true}`), []byte("tx"), []byte("ty"), 1),
	} {
		if _, err := decodeHeader(line, "p", 0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTimesBeyondRFC3339(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	for i, at := range []time.Time{time.Unix(1<<40, 0), time.Unix(-1<<40, 0), {}} {
		it := item(uint64(i+1), fmt.Sprint(i))
		it.Attr.Mtime = at
		mustAdd(t, s, "f", it)
	}
	years := []int{}
	for _, e := range mustList(t, openStore(t, d), "f") {
		years = append(years, e.Attr.Mtime.Year())
	}
	if diff := cmp.Diff([]int{9999, 1, 1}, years); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLineIsJSON(t *testing.T) {
	frame, err := encodeHeader(&record{Entry: Entry{Tx: 5, Time: t0}}, 500)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(frame[skipHead:], &v); err != nil || v["tx"] != 5.0 || v["crc"] == "" {
		t.Errorf("got %v, %v", v, err)
	}
}
