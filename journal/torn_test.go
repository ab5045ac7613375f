package journal

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

// rescued is what Options.Rescue got, by path.
type rescued map[string]string

func (r rescued) take(v Version, content io.ReaderAt) error {
	b, err := io.ReadAll(io.NewSectionReader(content, 0, v.Size))
	if err != nil {
		return err
	}
	r[v.Path] = string(b)
	return nil
}

// lastRecord makes a journal whose process died after one acknowledged
// commit, and tells where its record lies.
func lastRecord(t *testing.T, content string, staged bool) (d *disktest.Disk, segment string, from, end int64) {
	t.Helper()
	d = disktest.New()
	j := mustOpen(t, d, small(nil))
	if staged {
		stagedCommit(t, j, "a.json", content, nil)
	} else if _, err := j.Commit(background0, put("a.json", content)); err != nil {
		t.Fatal(err)
	}
	v := j.index.newest("a.json")
	return d.AfterCrash(nil, 0), v.seg.name, v.off, v.off + v.size
}

// TestFlipInTheLastRecord flips a byte at every offset of the last record:
// the commit is not replayed, and is never dropped in silence. What still has
// its checksum is kept.
func TestFlipInTheLastRecord(t *testing.T) {
	for name, staged := range map[string]bool{"in the record": false, "in a stage": true} {
		t.Run(name, func(t *testing.T) {
			content := text("content", 700)
			base, segment, from, end := lastRecord(t, content, staged)
			kept := 0
			for off := from; off < end; off += 3 {
				d := base.Clone()
				d.Corrupt(segment, off, 1<<(off%8))
				check, err := Check(background0, d)
				if err != nil || len(check.Damage) > 0 || len(check.Torn) != 1 || check.Torn[0].Kept {
					t.Fatalf("byte %d: check: %+v, %v", off-from, check, err)
				}
				got := rescued{}
				o := small(nil)
				o.Rescue = got.take
				j, report, err := Open(d, o)
				if err != nil {
					t.Fatalf("byte %d: %v", off-from, err)
				}
				if len(report.Torn) != 1 || report.Torn[0].Segment != segment || report.Torn[0].Offset != from || report.Torn[0].Bytes == 0 {
					t.Fatalf("byte %d: torn %+v", off-from, report.Torn)
				}
				for path, b := range got {
					if b != content || !report.Torn[0].Kept || !strings.Contains(report.Torn[0].String(), path) {
						t.Fatalf("byte %d: kept %s of %q, %v", off-from, brief(b), path, report.Torn[0])
					}
					kept++
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				if left := d.Tree(stagingDir); len(left) > 0 {
					t.Fatalf("byte %d: %d files are left in staging", off-from, len(left))
				}
			}
			// A flip in the content itself, in its digest or in a length is
			// beyond help.
			if all := int(end-from) / 3; staged && kept < all/2 || !staged && kept < 30 {
				t.Errorf("the content was kept after %d of %d flips", kept, all)
			}
		})
	}
}

// TestTornBatch loses the first record of a write with several: the others
// can be read, and are not replayed either.
func TestTornBatch(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	want := rescued{}
	var buf []byte
	for _, path := range []string{"a.json", "b.json", "c.json"} {
		want[path] = text(path, 300)
		p := commitPayload{Version: Version{Path: path, Time: time.Unix(1_700_000_000, 0), Size: 300, SHA256: put(path, want[path]).SHA256}, content: []byte(want[path])}
		buf = appendRecord(buf, j.w.active.salt, record{seq: j.w.active.seq, stable: j.w.stable, tx: TxID(len(want)), typ: recordCommit,
			payload: appendCommit(nil, &p), tail: p.content})
	}
	tail := commitPayload{Version: Version{Path: "l.jsonl", Size: 9}, baseSize: 6, content: []byte("abc")}
	buf = appendRecord(buf, j.w.active.salt, record{seq: j.w.active.seq, stable: j.w.stable, tx: 9, typ: recordAppend,
		payload: appendCommit(nil, &tail), tail: tail.content})
	if _, err := j.w.active.file.WriteAt("test:batch", buf, j.w.off); err != nil {
		t.Fatal(err)
	}
	d.Corrupt(j.w.active.name, j.w.off+recordHeaderSize+10, 4) // the time of the first
	got := rescued{}
	o := small(nil)
	o.Rescue = got.take
	_, report, err := Open(d.Clone(), o)
	if err != nil || len(report.Torn) != 4 || report.Pending != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("kept %v", sortedKeys(got))
	}
	if last := report.Torn[3]; last.Kept || last.Version.Path != "l.jsonl" {
		t.Errorf("the append is %v", last)
	}
}

// TestRescueFails keeps the stage that nobody could keep elsewhere.
func TestRescueFails(t *testing.T) {
	d, segment, from, _ := lastRecord(t, text("content", 700), true)
	d.Corrupt(segment, from, 1)
	o := small(nil)
	o.Rescue = func(Version, io.ReaderAt) error { return syscall.ENOSPC }
	j, report, err := Open(d, o)
	if err != nil || len(report.Torn) != 1 || report.Torn[0].Kept || report.Orphans != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if len(d.Tree(stagingDir)) != 1 {
		t.Error("the stage is gone")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRescueReadError is a stage that can't be read for now.
func TestRescueReadError(t *testing.T) {
	base, segment, from, _ := lastRecord(t, text("content", 700), true)
	base.Corrupt(segment, from, 1)
	for n := 1; ; n++ {
		d := base.Clone(disktest.FailReadAt(n, syscall.EIO, false))
		o := small(nil)
		got := rescued{}
		o.Rescue = got.take
		j, report, err := Open(d, o)
		switch {
		case err != nil && !errors.Is(err, syscall.EIO):
			t.Fatalf("read %d: %v", n, err)
		case err == nil && len(got) == 0 && len(d.Tree(stagingDir)) == 0:
			t.Fatalf("read %d: the content is gone: %+v", n, report)
		}
		if j != nil {
			_ = j.Close()
		}
		if !d.Failed() {
			return
		}
	}
}

// TestTornByACrash crashes in the middle of writes: what is kept then was
// asked for, whole, and is not what recovery found anyway.
func TestTornByACrash(t *testing.T) {
	contents := map[string]string{}
	work := func(d *disktest.Disk) {
		j, _, err := Open(d, small(nil))
		if err != nil {
			return
		}
		for i := range 8 {
			path := fmt.Sprintf("%d.json", i)
			contents[path] = text(path, 300+i*500)
			if _, err := j.Commit(background0, put(path, contents[path])); err != nil {
				return
			}
		}
	}
	seen := 0
	rng := rand.New(rand.NewSource(5))
	for n := 1; ; n++ {
		d := disktest.New(disktest.CrashAt(n))
		work(d)
		for range 4 {
			got := rescued{}
			o := small(nil)
			o.Rescue = got.take
			j, report, err := Open(d.AfterCrash(rng, 60), o)
			if err != nil {
				t.Fatalf("step %d: %v", n, err)
			}
			for path, b := range got {
				if _, pending := j.Pending(path); pending || b != contents[path] {
					t.Errorf("step %d: kept %s of %s", n, brief(b), path)
				}
			}
			seen += len(report.Torn)
		}
		if !d.Crashed() {
			break
		}
	}
	if seen == 0 {
		t.Error("nothing was ever torn")
	}
}
