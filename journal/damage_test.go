package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// killed makes a journal with n pending commits whose process died: synced,
// not published, not closed. It returns what was committed, in order.
func killed(t testing.TB, n, size int) (*disktest.Disk, []string) {
	t.Helper()
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	var contents []string
	for i := range n {
		contents = append(contents, text(fmt.Sprintf("c%d", i), size))
		if _, err := j.Commit(background0, put(fmt.Sprintf("f%d.json", i), contents[i])); err != nil {
			t.Fatal(err)
		}
	}
	return d.AfterCrash(nil, 0), contents
}

// TestSealedBeforeItsSync kills the process between the write of an end record
// and its sync. The next one finds the segment sealed in the cache, and must not
// begin another that is durable before it.
func TestSealedBeforeItsSync(t *testing.T) {
	t.Parallel()
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	if _, err := j.Commit(background0, put("a.json", "one")); err != nil {
		t.Fatal(err)
	}
	j.w.buf = appendRecord(j.w.buf, j.w.active.salt, record{seq: j.w.active.seq, stable: j.w.stable, tx: j.lastNumber(), typ: recordEnd})
	if err := j.w.flush(j, false); err != nil {
		t.Fatal(err)
	}
	killed := d.Clone()
	j = mustOpen(t, killed, small(nil))
	if _, err := j.Commit(background0, put("b.json", "two")); err != nil {
		t.Fatal(err)
	}
	crashed := killed.AfterCrash(nil, 0)
	j, report, err := Open(crashed, small(nil))
	if err != nil || len(report.Damage) > 0 {
		t.Fatalf("after the crash: %v, damage %v", err, report.Damage)
	}
	for _, path := range []string{"a.json", "b.json"} {
		if _, ok := j.Pending(path); !ok {
			t.Errorf("%s is not there", path)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// TestByteFlippedAtEveryOffset flips bits of each byte of a segment with live
// records, in use for the second time. Each flip is told as damage or as a
// torn end, or makes no difference; invalid content is never served.
func TestByteFlippedAtEveryOffset(t *testing.T) {
	t.Parallel()
	d := disktest.New()
	o := small(nil)
	o.SegmentSize = minSegmentSize
	j := mustOpen(t, d, o)
	for i := range 40 { // fills both segments, so that remains lie behind the end
		if _, err := j.Commit(background0, put("old.json", text(fmt.Sprint(i), 600))); err != nil {
			t.Fatal(err)
		}
		if err := j.Checkpoint(background0); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, d, o)
	want := map[string]string{}
	for _, path := range []string{"a.json", "b.json", "c.json"} {
		want[path] = text(path, 300)
		if _, err := j.Commit(background0, put(path, want[path])); err != nil {
			t.Fatal(err)
		}
	}
	name := j.segs[len(j.segs)-1].name
	crashed := d.AfterCrash(nil, 0)
	rng := rand.New(rand.NewSource(7))
	outcomes := map[string]int{}
	for off := int64(0); off < minSegmentSize; off += stride {
		flipped := crashed.Clone()
		flipped.Corrupt(name, off, byte(1+rng.Intn(255)))
		labelled(t, fmt.Sprintf("byte %d of %s", off, name), func() {
			outcomes[flipOutcome(t, flipped, o, want)]++
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", outcomes)
	if outcomes["damage"] == 0 || outcomes["torn"] == 0 || outcomes["harmless"] == 0 {
		t.Errorf("outcomes %v, want some of each", outcomes)
	}
}

// flipOutcome opens a damaged journal and says what it made of it.
func flipOutcome(t *testing.T, d *disktest.Disk, o Options, want map[string]string) string {
	t.Helper()
	image := fmt.Sprint(sha256.Sum256([]byte(fmt.Sprint(d.Tree("")))))
	_, report, err := Open(d.Clone(), o)
	o.ReadOnly = true
	j, readOnly, roErr := Open(d, o)
	if roErr != nil {
		t.Fatalf("read-only: %v", roErr)
	}
	defer j.closeFiles()
	if after := fmt.Sprint(sha256.Sum256([]byte(fmt.Sprint(d.Tree(""))))); after != image {
		t.Fatal("opening read-only changed the disk")
	}
	served := 0
	for path, content := range want {
		got, ok := current(t, j, d, path)
		if ok && got != content {
			t.Fatalf("%s: invalid content %s", path, brief(got))
		}
		if ok {
			served++
		}
	}
	switch {
	case errors.Is(err, ErrDamaged):
		var damage *Damage
		if !errors.As(err, &damage) || damage.Segment == "" || len(readOnly.Damage) == 0 {
			t.Fatalf("damage without a place: %v", err)
		}
		return "damage"
	case err != nil:
		t.Fatal(err)
	case served == len(want):
		return "harmless"
	case report.TornBytes == 0:
		t.Fatalf("%d of %d versions are gone, and nothing tells", len(want)-served, len(want))
	}
	return "torn"
}

func TestDamageInTheMiddleServesWhatPrecedes(t *testing.T) {
	d, contents := killed(t, 5, 900)
	tree := d.Tree(segmentDir)
	name := segmentName(1)
	at := strings.Index(tree[name], contents[2][:20])
	d.Corrupt(name, int64(at), 0x20)
	_, report, err := Open(d, small(nil))
	var damage *Damage
	if !errors.As(err, &damage) || damage.Segment != name || damage.Offset < segmentHeaderSize || damage.Offset > int64(at) {
		t.Fatalf("got %v, want damage in %s before %d", err, name, at)
	}
	if report.Records != 2 {
		t.Errorf("%d records precede, want 2", report.Records)
	}
	if d.Tree(segmentDir)[name][at] == tree[name][at] || len(d.Tree(segmentDir)) != len(tree) {
		t.Error("Open changed a damaged journal")
	}
	o := small(nil)
	o.ReadOnly = true
	j := mustOpen(t, d, o)
	defer j.Close()
	for i, want := range contents {
		got, ok := current(t, j, d, fmt.Sprintf("f%d.json", i))
		if ok != (i < 2) || (ok && got != want) {
			t.Errorf("version %d: served %v, %s", i, ok, brief(got))
		}
	}
	if _, err := j.Commit(background0, put("x.json", "x")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("commit: got %v, want ErrReadOnly", err)
	}
	if err := j.Settle(background0, ""); !errors.Is(err, ErrReadOnly) {
		t.Errorf("settle: got %v, want ErrReadOnly", err)
	}
	check, err := Check(background0, d)
	if err != nil || len(check.Damage) != 1 || check.Damage[0].Offset != damage.Offset {
		t.Errorf("check: %+v, %v", check, err)
	}
}

func TestMissingPieces(t *testing.T) {
	big := text("big", 6000)
	build := func(t *testing.T) (*disktest.Disk, *Journal) {
		d := disktest.New()
		j := mustOpen(t, d, small(nil))
		if _, err := putStaged(background0, j, put("big.json", big)); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if _, err := j.Commit(background0, put("a.json", text(fmt.Sprint(i), 1900))); err != nil {
				t.Fatal(err)
			}
		}
		return d, j
	}
	stageOf := func(j *Journal) string { return j.index.newest("big.json").stage }
	cases := []struct {
		name string
		harm func(d *disktest.Disk, j *Journal) error
		want string
	}{
		{"stage removed", func(d *disktest.Disk, j *Journal) error { return d.Remove("test:remove", stageOf(j)) }, "missing"},
		{"stage cut", func(d *disktest.Disk, j *Journal) error {
			f, err := d.OpenWrite("test:open", stageOf(j))
			if err != nil {
				return err
			}
			return f.Truncate("test:truncate", 100)
		}, "has 100 bytes"},
		{"first segment removed", func(d *disktest.Disk, j *Journal) error { return d.Remove("test:remove", j.segs[0].name) }, "is missing"},
		{"middle segment removed", func(d *disktest.Disk, j *Journal) error { return d.Remove("test:remove", j.segs[1].name) }, "is missing"},
		{"segment cut", func(d *disktest.Disk, j *Journal) error {
			f, err := d.OpenWrite("test:open", j.segs[1].name)
			if err != nil {
				return err
			}
			return f.Truncate("test:truncate", 5000)
		}, "bytes long"},
		{"segment twice", func(d *disktest.Disk, j *Journal) error {
			d.Put(segmentName(77), d.Tree(segmentDir)[j.segs[0].name])
			return nil
		}, "same sequence number"},
		{"stage changed", func(d *disktest.Disk, j *Journal) error {
			d.Corrupt(stageOf(j), 3000, 1)
			return nil
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, j := build(t)
			if len(j.segs) < 3 {
				t.Fatalf("%d segments, the test needs 3", len(j.segs))
			}
			if err := c.harm(d, j); err != nil {
				t.Fatal(err)
			}
			_, _, err := Open(d.Clone(), small(nil))
			if c.want != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want damage: %s", err, c.want)
			}
			report, err := Check(background0, d)
			if err != nil || len(report.Damage) == 0 {
				t.Errorf("check: %+v, %v; want damage", report, err)
			}
		})
	}
}

func FuzzDecodeRecord(f *testing.F) {
	good := appendRecord(nil, 9, record{seq: 3, stable: 4096, tx: 7, typ: recordCommit, payload: []byte("payload")})
	f.Add(good, uint64(3), uint64(9))
	f.Add(good[:20], uint64(3), uint64(9))
	f.Add([]byte{}, uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, buf []byte, seq, salt uint64) {
		r, size, err := decodeRecord(buf, seq, salt)
		if err != nil {
			return
		}
		if again := appendRecord(nil, salt, r); string(again) != string(buf[:size]) {
			t.Errorf("accepted %x, encodes to %x", buf[:size], again)
		}
	})
}

func FuzzDecodeCommit(f *testing.F) {
	p := put("dir/a.json", "content")
	v := Version{Tx: 3, Path: p.Path, Attr: p.Attr, Size: p.Size, SHA256: p.SHA256, Who: p.Who, Note: p.Note}
	f.Add(append(appendCommit(nil, &commitPayload{Version: v, content: p.Inline}), p.Inline...))
	v.Size = 99
	f.Add(appendCommit(nil, &commitPayload{Version: v, stage: stagePrefix + "1-aa"}))
	f.Fuzz(func(t *testing.T, buf []byte) {
		p, err := decodeCommit(3, buf)
		if err != nil {
			return
		}
		if again := append(appendCommit(nil, p), p.content...); string(again) != string(buf) {
			t.Errorf("accepted %x, encodes to %x", buf, again)
		}
	})
}

// FuzzOpen gives any bytes to recovery as a segment behind a good header.
func FuzzOpen(f *testing.F) {
	d, _ := killed(f, 3, 200)
	image := d.Tree(segmentDir)[segmentName(1)]
	f.Add([]byte(image[segmentHeaderSize:]))
	f.Add([]byte(image[segmentHeaderSize : segmentHeaderSize+500]))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := disktest.New()
		b := []byte(image)
		copy(b[segmentHeaderSize:], body)
		d.Put(segmentName(1), string(b))
		if err := d.MkdirAll("test:mkdir", stagingDir, 0o700); err != nil {
			t.Fatal(err)
		}
		var target disk.Disk = d
		j, _, err := Open(target, small(nil))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
