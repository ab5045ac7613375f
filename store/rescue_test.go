package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intactfs/backup"
	"intactfs/journal"
)

// tearLast flips a bit of the newest record of the journal
// that names program (of 6 letters in a file of 6), as if the process had been killed and the disk were bad.
func tearLast(t *testing.T, dir, program string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, ".intact/journal/*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.LastIndex(string(b), program)
		if at < 0 {
			continue
		}
		b[at-118] ^= 1 // in the time, which comes first
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no segment names %s", program)
}

// TestTornCommitIsInQuarantine loses the last record of a journal whose
// process was killed: verify names it, and who opens keeps its content.
func TestTornCommitIsInQuarantine(t *testing.T) {
	for name, content := range map[string]string{
		"in the record": `{"n":2}`,
		"in a stage":    `{"n":"` + strings.Repeat("x", 300<<10) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			p.commit("a.json", `{"n":1}`)
			if err := p.store.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
			p.commit("a.json", content)
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
				t.Fatal(err)
			}
			p.close()
			tearLast(t, dir, "tester")
			p.dir = dir

			p.open(Options{ReadOnly: true})
			r := p.verify()
			if len(r.Damage)+len(r.Problems) > 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].What, "torn end") {
				t.Errorf("verify before recovery: %+v", r)
			}
			p.close()

			p.open(Options{})
			list, err := p.store.Rejected("a.json")
			if err != nil || len(list) != 1 || list[0].Reason != tornReason || list[0].Kept == 0 {
				t.Fatalf("quarantine holds %+v, %v", list, err)
			}
			_, c, err := p.store.OpenRejected(list[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, c); got != content {
				t.Errorf("kept %d bytes, want %d", len(got), len(content))
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if torn := p.store.Recovered().Torn; len(torn) != 1 || !torn[0].Kept {
				t.Errorf("recovered %+v", torn)
			}
			if got := p.read("a.json"); got != `{"n":1}` {
				t.Errorf("the file is %.20q", got)
			}
			p.wantSound()
			p.close()
		})
	}
}

func TestTornEndsAreNamed(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  Problem
		want string
	}{
		{"a pack", tornEnd(backup.Damage{File: "0001.zst", Offset: 7}), "0001.zst: an interrupted append at 7 is ignored"},
		{"a pack with the only copy", tornEnd(backup.Damage{File: "0001.zst", Offset: 7, Lost: []uint64{2 * stride, 3 * stride}}),
			"0001.zst: an interrupted append at 7 is ignored; nothing else has version " + FormatTx(2*stride) + " " + FormatTx(3*stride)},
		{"a segment", tornRecord(journal.Torn{Segment: "1.seg", Offset: 8, Bytes: 9}), "torn end: 1.seg at offset 8: 9 bytes of a record can't be read"},
	} {
		if tt.got.What != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got.What, tt.want)
		}
	}
}
