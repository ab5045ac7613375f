package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

// handmade is a segment that a test writes record by record.
type handmade struct {
	header segmentHeader
	buf    []byte
}

func segmentOf(seq, prev uint64) *handmade {
	return &handmade{header: segmentHeader{size: 16 << 10, seq: seq, salt: seq * 7, prev: prev, low: 1}}
}

// at is the offset of the next record.
func (s *handmade) at() int64 { return segmentHeaderSize + int64(len(s.buf)) }

func (s *handmade) record(tx TxID, typ recordType, payload []byte) *handmade {
	s.buf = appendRecord(s.buf, s.header.salt, record{seq: s.header.seq, stable: s.at(), tx: tx, typ: typ, payload: payload})
	return s
}

func (s *handmade) commit(tx TxID, path, content string) *handmade {
	return s.record(tx, recordCommit, payloadOf(path, content, 0))
}

// append is a record of an append to a file of base bytes.
func (s *handmade) append(tx TxID, path, more string, base int64) *handmade {
	return s.record(tx, recordAppend, payloadOf(path, more, base))
}

func (s *handmade) mark(low uint64, txs ...TxID) *handmade {
	return s.record(txs[len(txs)-1], recordMark, appendMark(nil, markPayload{low, txs}))
}

func (s *handmade) end(tx TxID) *handmade { return s.record(tx, recordEnd, nil) }

// spoil flips a bit of the record that begins at off.
func (s *handmade) spoil(off int64) *handmade {
	s.buf[off-segmentHeaderSize+recordHeaderSize] ^= 1
	return s
}

func payloadOf(path, content string, base int64) []byte {
	v := Version{Path: path, Time: time.Unix(1_700_000_000, 0), Size: base + int64(len(content))}
	if base == 0 {
		v.SHA256 = sha256.Sum256([]byte(content))
	}
	return append(appendCommit(nil, &commitPayload{Version: v, baseSize: base, content: []byte(content)}), content...)
}

// journalOf is a disk with these segments and nothing else of a journal.
func journalOf(t *testing.T, segments ...*handmade) *disktest.Disk {
	t.Helper()
	d := disktest.New()
	d.Put(stagingDir+"/x", "")
	if err := d.Remove("test:remove", stagingDir+"/x"); err != nil {
		t.Fatal(err)
	}
	for i, s := range segments {
		image := make([]byte, s.header.size)
		copy(image, s.header.encode())
		copy(image[segmentHeaderSize:], s.buf)
		d.Put(segmentName(uint64(i+1)), string(image))
	}
	return d
}

// TestReplay says what recovery makes of segments, whoever wrote them.
func TestReplay(t *testing.T) {
	first := func() *handmade { return segmentOf(1, 0) }
	second := func() *handmade { return segmentOf(2, 1) }
	cases := []struct {
		name     string
		segments []*handmade
		want     string // pending paths and contents
		damage   string
	}{
		{"nothing", []*handmade{first()}, "", ""},
		{"a commit", []*handmade{first().commit(1, "a", "one")}, "a=one", ""},
		{"two of one path", []*handmade{first().commit(1, "a", "one").commit(2, "a", "two")}, "a=two", ""},
		{"one that is marked", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two").mark(1, 1)}, "b=two", ""},
		{"a mark is for all before it", []*handmade{first().commit(1, "a", "one").commit(2, "a", "two").mark(1, 2)}, "", ""},
		{"a commit after the mark", []*handmade{first().commit(1, "a", "one").mark(1, 1).commit(2, "a", "two")}, "a=two", ""},
		{"a mark of something unknown", []*handmade{first().commit(5, "a", "one").mark(1, 4)}, "a=one", ""},
		{"one written again", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two").end(2), second().commit(1, "a", "one")},
			"a=one b=two", ""},
		{"an older one written again", []*handmade{first().commit(1, "a", "one").commit(2, "a", "two").end(2), second().commit(1, "a", "one")},
			"a=two", ""},
		{"one written again after its mark", []*handmade{first().commit(1, "a", "one").mark(1, 1).end(1), second().commit(1, "a", "one")}, "", ""},
		{"only the copy of an older one is left", []*handmade{segmentOf(4, 3).mark(4, 9).commit(2, "a", "two").commit(1, "a", "one")}, "a=two", ""},
		{"a commit behind the end", []*handmade{first().commit(1, "a", "one").end(1).commit(2, "b", "two")}, "a=one", ""},
		{"two segments", []*handmade{first().commit(1, "a", "one").end(1), second().commit(2, "b", "two")}, "a=one b=two", ""},
		{"in the wrong order of slots", []*handmade{second().commit(2, "a", "two"), first().commit(1, "a", "one").end(1)}, "a=two", ""},
		{"an empty one between", []*handmade{first().commit(1, "a", "one").end(1), second(), segmentOf(3, 2).commit(2, "b", "two")}, "a=one b=two", ""},

		{"an append to nothing", []*handmade{first().append(1, "a", "one", 0)}, "a=one", ""},
		{"an append to a commit", []*handmade{first().commit(1, "a", "one").append(2, "a", "two", 3)}, "a=onetwo", ""},
		{"an append to a file", []*handmade{first().append(1, "file", "two", 4)}, "file=filetwo", ""},
		{"an append that was published in part", []*handmade{first().append(1, "file", "two", 2)}, "file=fitwo", ""},
		{"an append to more than there is", []*handmade{first().append(1, "file", "two", 5)}, "", "goes on from 5 bytes, and there are 4"},
		{"an append to a file that is gone", []*handmade{first().append(1, "a", "two", 5)}, "", "goes on from 5 bytes, and there are 0"},
		{"an append to a shorter commit", []*handmade{first().commit(1, "a", "one").append(2, "a", "two", 4)}, "", "goes on from 4 bytes, and there are 3"},

		{"a type that nobody knows", []*handmade{first().commit(1, "a", "one").record(2, 9, []byte("x"))}, "a=one", "record type 9"},
		{"a commit of nonsense", []*handmade{first().record(1, recordCommit, []byte("nonsense"))}, "", "does not decode"},
		{"a mark of nonsense", []*handmade{first().record(1, recordMark, []byte("nonsense?"))}, "", "does not decode"},
		{"a mark of nothing", []*handmade{first().record(1, recordMark, nil)}, "", "does not decode"},
		{"a commit that goes on", []*handmade{first().record(1, recordCommit, payloadOf("a", "one", 3))}, "", "neither a whole content nor an append"},
		{"a path outside", []*handmade{first().commit(1, "../a", "one")}, "", "does not decode"},
		{"a path of ours", []*handmade{first().commit(1, ".intact/lock", "one")}, "", "does not decode"},

		{"a torn end", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two").spoil(segmentHeaderSize + recordSize(len(payloadOf("a", "one", 0))))}, "a=one", ""},
		{"damage", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two").commit(3, "c", "three").
			spoil(segmentHeaderSize + recordSize(len(payloadOf("a", "one", 0))))}, "a=one", "in front of synced ones"},
		{"damage in front of a mark", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two").mark(1, 1).
			spoil(segmentHeaderSize + recordSize(len(payloadOf("a", "one", 0))))}, "", "in front of synced ones"},
		{"a torn end and a segment behind", []*handmade{first().commit(1, "a", "one").spoil(segmentHeaderSize), second().commit(2, "b", "two")},
			"b=two", "segment 1 before it is missing"},
		{"no end and a segment behind", []*handmade{first().commit(1, "a", "one"), second().commit(2, "b", "two")}, "a=one b=two", "and a segment follows"},
		{"an end that a recovery found", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two"), func() *handmade {
			s := second().commit(3, "c", "three")
			s.header.prevEnd = segmentHeaderSize + recordSize(len(payloadOf("a", "one", 0)))
			return s
		}()}, "a=one c=three", ""},
		{"less than a recovery found", []*handmade{first().commit(1, "a", "one"), func() *handmade {
			s := second().commit(3, "c", "three")
			s.header.prevEnd = segmentHeaderSize + 2*recordSize(len(payloadOf("a", "one", 0)))
			return s
		}()}, "a=one", "in front of synced ones"},
		{"damage in a segment that nobody needs", []*handmade{first().commit(1, "a", "one").commit(2, "b", "two").spoil(segmentHeaderSize).mark(1, 2).end(2),
			second().mark(2, 2)}, "", ""},
		{"a missing segment that nobody needs", []*handmade{segmentOf(4, 3).mark(4, 7).commit(8, "a", "one")}, "a=one", ""},
		{"a missing segment", []*handmade{segmentOf(4, 3).commit(8, "a", "one")}, "a=one", "segment 3 before it is missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := journalOf(t, c.segments...)
			d.Put("file", "file")
			check, err := Check(background0, d)
			if err != nil || (len(check.Damage) > 0) != (c.damage != "") {
				t.Errorf("check: %+v, %v", check, err)
			}
			o := small(nil)
			_, _, err = Open(d.Clone(), o)
			if (err != nil) != (c.damage != "") || err != nil && !(errors.Is(err, ErrDamaged) && strings.Contains(err.Error(), c.damage)) {
				t.Fatalf("open: %v, want damage %q", err, c.damage)
			}
			if err != nil {
				o.ReadOnly = true
			}
			j := mustOpen(t, d, o)
			var got []string
			for _, path := range j.PendingNames("") {
				if v := j.index.newest(path); err != nil && v.appended {
					continue // what it goes on from is not there
				}
				content, _ := current(t, j, d, path)
				got = append(got, path+"="+content)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("pending: %v, want %s", got, c.want)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWrittenAgainCountsWhereItIs closes the accounts of the segments after a
// replay that met a version twice: the first must not be kept for it.
func TestWrittenAgainCountsWhereItIs(t *testing.T) {
	d := journalOf(t, segmentOf(1, 0).commit(1, "a", "one").end(1), segmentOf(2, 1).commit(1, "a", "one").commit(2, "b", "two"))
	j := mustOpen(t, d, small(nil))
	pending := map[uint64]int{}
	for _, s := range j.segs {
		pending[s.seq] = s.pending
	}
	if pending[1] != 0 || pending[2] != 2 {
		t.Errorf("pending by segment: %v", pending)
	}
	if v := j.index.newest("a"); v.seg.seq != 2 {
		t.Errorf("the version is in segment %d", v.seg.seq)
	}
	mustCheckpoint(t, j)
	if got := userTree(d); got["a"] != "one" || got["b"] != "two" {
		t.Errorf("published %v", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadBackFindsDamage flips a byte of a record whose content is not held
// in memory: whoever asks for it gets an error, not the bytes.
func TestReadBackFindsDamage(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	j.index.maxHeld = 0
	content := text("content", 500)
	mustCommit(t, j, "a.json", content)
	if got, ok := current(t, j, d, "a.json"); !ok || got != content || j.index.newest("a.json").held {
		t.Fatalf("got %s", brief(got))
	}
	v := j.index.newest("a.json")
	d.Corrupt(v.seg.name, v.off+v.size/2, 8)
	_, _, _, err := j.OpenPending("a.json")
	var damage *Damage
	if !errors.As(err, &damage) || damage.Segment != v.seg.name || damage.Offset != v.off {
		t.Errorf("got %v, want the place", err)
	}
	if err := j.Checkpoint(background0); !errors.Is(err, ErrDamaged) {
		t.Errorf("published: %v", err)
	}
	if _, ok := userTree(d)["a.json"]; ok {
		t.Error("there is a file")
	}
	d.Heal(disktest.FailReadAt(1, syscall.EIO, true))
	if _, _, _, err := j.OpenPending("a.json"); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
}

// TestReadBackOfAnotherVersion meets a good record of something else where a
// version should be.
func TestReadBackOfAnotherVersion(t *testing.T) {
	d := journalOf(t, segmentOf(1, 0).commit(1, "a", "one").commit(2, "b", "two"))
	j := mustOpen(t, d, small(nil))
	a, b := j.index.newest("a"), j.index.newest("b")
	if _, err := readBack(a.seg, a.off, b); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "another version") {
		t.Errorf("got %v", err)
	}
	if got, err := readBack(a.seg, a.off, a); err != nil || string(got) != "one" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestHeaders decodes what may be in front of a segment.
func TestHeaders(t *testing.T) {
	good := segmentHeader{size: 16 << 10, seq: 3, salt: 4, prev: 2, prevEnd: 5000, floor: 7, low: 1}
	page := func(change func(p []byte)) []byte {
		p := make([]byte, segmentHeaderSize)
		copy(p, good.encode())
		change(p)
		return p
	}
	seal := func(p []byte) { // makes the checksum right again
		binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p[12:headerUsed], castagnoli))
	}
	for _, c := range []struct {
		name string
		page []byte
		want string // "": good
	}{
		{"good", page(func([]byte) {}), ""},
		{"another magic number", page(func(p []byte) { p[0]++ }), "no segment header"},
		{"another checksum", page(func(p []byte) { p[8]++ }), "wrong checksum"},
		{"a flip", page(func(p []byte) { p[30] ^= 1 }), "wrong checksum"},
		{"a later version", page(func(p []byte) { p[12] = 2; seal(p) }), "format version 2, this program knows 1"},
		{"something behind it", page(func(p []byte) { p[headerUsed] = 1 }), "is not zero"},
		{"something at the end", page(func(p []byte) { p[segmentHeaderSize-1] = 1 }), "byte 4095 of the header is not zero"},
		{"cut short", good.encode()[:50], "header of 50 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := decodeHeader(c.page)
			if c.want == "" {
				if err != nil || *h != good {
					t.Errorf("got %+v, %v", h, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			d := disktest.New()
			d.Put(segmentName(1), string(c.page)+strings.Repeat("\x00", 16<<10-len(c.page)))
			if _, _, err := Open(d, small(nil)); c.name != "cut short" && !errors.Is(err, ErrDamaged) {
				t.Errorf("open: %v, want damage", err)
			}
		})
	}
	if h, err := decodeHeader(make([]byte, segmentHeaderSize)); h != nil || err != nil {
		t.Errorf("zeros: %+v, %v", h, err)
	}
	if h, err := decodeHeader(nil); h != nil || err != nil {
		t.Errorf("an empty file: %+v, %v", h, err)
	}
}

// TestStrangeFilesInTheJournal are left alone.
func TestStrangeFilesInTheJournal(t *testing.T) {
	d := journalOf(t, segmentOf(1, 0).commit(1, "a", "one"))
	strange := map[string]string{}
	for _, name := range []string{"1.seg", "00000001.seg.bak", "+0000001.seg", "notes.txt"} {
		d.Put(segmentDir+"/"+name, "strange")
		strange[segmentDir+"/"+name] = "strange"
	}
	j := mustOpen(t, d, small(nil))
	if got, _ := current(t, j, d, "a"); got != "one" {
		t.Errorf("got %q", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range strange {
		if got := d.Tree(segmentDir)[name]; got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// TestSegmentWhoseMakingWasInterrupted is empty, and is removed.
func TestSegmentWhoseMakingWasInterrupted(t *testing.T) {
	for _, size := range []int{0, 100, segmentHeaderSize, 16 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d := journalOf(t, segmentOf(1, 0).commit(1, "a", "one"))
			d.Put(segmentName(9), strings.Repeat("\x00", size))
			j := mustOpen(t, d, small(nil))
			if _, ok := d.Tree(segmentDir)[segmentName(9)]; ok {
				t.Error("it is still there")
			}
			mustCheckpoint(t, j)
			if got := userTree(d)["a"]; got != "one" {
				t.Errorf("published %q", got)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestReplayOfADiskThatCanNotBeRead fails every read of a recovery: it says
// so, changes nothing that matters, and the next one finds everything.
func TestReplayOfADiskThatCanNotBeRead(t *testing.T) {
	build := func(opts ...disktest.Option) *disktest.Disk {
		d := journalOf(t, segmentOf(1, 0).commit(1, "a", "one").append(2, "file", "more", 4).commit(3, "b", "two"))
		d.Put("file", "file")
		j := mustOpen(t, d, small(nil))
		stagedCommit(t, j, "staged", text("staged", 5000), nil)
		d = d.AfterCrash(nil, 0)
		d.Heal(opts...)
		return d
	}
	want := map[string]string{"a": "one", "b": "two", "file": "filemore", "staged": text("staged", 5000)}
	for _, sticky := range []bool{false, true} {
		for n := 1; ; n++ {
			d := build(disktest.FailReadAt(n, syscall.EIO, sticky))
			_, _, err := Open(d, small(nil))
			failed := d.Failed()
			if err != nil && (!errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged)) {
				t.Fatalf("read %d: %v, want EIO and no damage", n, err)
			}
			d.Heal(disktest.FailReadAt(n, syscall.EIO, sticky))
			if _, err := Check(background0, d); err != nil && (!errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged)) {
				t.Fatalf("read %d: check: %v", n, err)
			}
			d.Heal()
			j := mustOpen(t, d.AfterCrash(nil, 0), small(nil))
			for path, content := range want {
				if got, _ := current(t, j, d, path); got != content {
					t.Fatalf("read %d: %s is %s", n, path, brief(got))
				}
			}
			if !failed {
				break
			}
		}
	}
}
