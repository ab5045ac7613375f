package journal

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"intactfs/journal/disk"
)

// TestPiecesReadAsOne reads a content in parts at any place.
func TestPiecesReadAsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &pieces{}
		var whole []byte
		for range rapid.IntRange(0, 6).Draw(t, "parts") {
			part := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "part")
			p.add(memory(part), int64(len(part)))
			whole = append(whole, part...)
		}
		if p.Size() != int64(len(whole)) {
			t.Fatalf("size %d, want %d", p.Size(), len(whole))
		}
		off := rapid.Int64Range(0, int64(len(whole))+3).Draw(t, "off")
		got, want := make([]byte, rapid.IntRange(0, 40).Draw(t, "n")), make([]byte, 40)
		n, err := p.ReadAt(got, off)
		m, _ := bytes.NewReader(whole).ReadAt(want[:len(got)], off)
		if n != m || !bytes.Equal(got[:n], want[:m]) {
			t.Fatalf("read %q at %d, want %q", got[:n], off, want[:m])
		}
		if (err == nil) != (n == len(got)) || err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("read %d of %d bytes, and %v", n, len(got), err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// failingContent is one that can't be read, and not be closed.
type failingContent struct{ err error }

func (c failingContent) ReadAt([]byte, int64) (int, error) { return 0, c.err }
func (c failingContent) Close() error                      { return c.err }
func (c failingContent) Size() int64                       { return 5 }

// TestPiecesThatFail tell an end that comes too early from the end.
func TestPiecesThatFail(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		part Content
		want error
	}{
		{"an error", failingContent{broken}, broken},
		{"nothing and no error", failingContent{}, io.ErrUnexpectedEOF},
		{"an early end", memory([]byte("abc")), io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &pieces{}
			p.add(c.part, 5)
			p.add(memory([]byte("more")), 4)
			if n, err := p.ReadAt(make([]byte, 9), 0); !errors.Is(err, c.want) || n > 3 || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %d, %v, want %v", n, err, c.want)
			}
			if got, err := io.ReadAll(io.NewSectionReader(p, 5, 4)); err != nil || string(got) != "more" {
				t.Errorf("behind it: %q, %v", got, err)
			}
			if err := p.Close(); errors.Is(c.want, broken) && !errors.Is(err, broken) {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func TestPathsThatAreRefused(t *testing.T) {
	for path, good := range map[string]bool{
		"a": true, "a/b": true, "a b": true, ".a": true, "a..b": true, "...": true, "a/.intact": true, ".intactx": true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/..": false, "./a": false,
		"a/./b": false, ".intact": false, ".intact/lock": false, "a\x00": false,
		strings.Repeat("x", maxString): true, strings.Repeat("x", maxString+1): false,
	} {
		if err := checkPath(path); (err == nil) != good {
			t.Errorf("%.40q: %v, want good %v", path, err, good)
		}
	}
	for name, good := range map[string]bool{
		stagePrefix + "1-aa": true, stagePrefix: false, stagePrefix + "a/b": false, stagePrefix + "a\x00": false, temporaryPrefix + "1": false, "a": false,
	} {
		if isStage(name) != good {
			t.Errorf("%q is a stage: %v", name, !good)
		}
	}
}

func TestNamesOfSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slot := rapid.Uint64().Draw(t, "slot")
		name := segmentName(slot)
		if got, ok := slotOf(strings.TrimPrefix(name, segmentDir+"/")); !ok || got != slot {
			t.Fatalf("%s is slot %d, %v", name, got, ok)
		}
		// No two names are one slot.
		base := rapid.StringMatching(`[+0]?[0-9]{1,9}(\.seg)?`).Draw(t, "name")
		if got, ok := slotOf(base); ok && segmentName(got) != segmentDir+"/"+base {
			t.Fatalf("%s passes for %s", base, segmentName(got))
		}
	})
}

// TestPayloadsComeBack encodes and decodes any version.
func TestPayloadsComeBack(t *testing.T) {
	word := rapid.StringMatching(`[a-zä/]{0,12}`)
	rapid.Check(t, func(t *rapid.T) {
		p := commitPayload{}
		p.Tx = TxID(rapid.Uint64().Draw(t, "tx"))
		p.Path = "p" + strings.ReplaceAll(word.Draw(t, "path"), "/", "-")
		p.Note, p.Who.Program = word.Draw(t, "note"), word.Draw(t, "program")
		p.Who.PID, p.Who.UID = rapid.Uint32().Draw(t, "pid"), rapid.Uint32().Draw(t, "uid")
		p.Base = TxID(rapid.Uint64().Draw(t, "base"))
		p.Attr = disk.Attr{Mode: rapid.Uint32().Draw(t, "mode"), UID: rapid.Uint32().Draw(t, "owner"), GID: rapid.Uint32().Draw(t, "group")}
		for range rapid.IntRange(0, 4).Draw(t, "xattrs") {
			if p.Attr.Xattrs == nil {
				p.Attr.Xattrs = map[string][]byte{}
			}
			p.Attr.Xattrs["user."+word.Draw(t, "name")] = rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "value")
		}
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			p.stage, p.Size = stagePrefix+"1-aa", rapid.Int64Range(0, 1<<40).Draw(t, "size")
			if rapid.Bool().Draw(t, "known") {
				p.crc = stageSum{rapid.Uint32().Draw(t, "crc"), true}
			}
		case 1:
			p.baseSize = rapid.Int64Range(0, 1<<40).Draw(t, "base size")
			fallthrough
		default:
			p.content = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "content")
			p.Size = p.baseSize + int64(len(p.content))
		}
		buf := append(appendCommit(nil, &p), p.content...)
		got, err := decodeCommit(p.Tx, buf)
		if err != nil {
			t.Fatal(err)
		}
		if again := append(appendCommit(nil, got), got.content...); !bytes.Equal(again, buf) || got.Tx != p.Tx || got.crc != p.crc {
			t.Fatalf("%+v comes back as %+v", p, got)
		}
		for cut := range len(buf) {
			if p.crc.known && cut == len(buf)-4 {
				continue // is one of a program that wrote no checksum
			}
			if _, err := decodeCommit(p.Tx, buf[:cut]); !errors.Is(err, errPayload) {
				t.Fatalf("%d of %d bytes: %v", cut, len(buf), err)
			}
		}
	})
}

// TestRoomInASegment leaves room for what must always fit.
func TestRoomInASegment(t *testing.T) {
	for size := int64(minSegmentSize); size <= 64<<20; size *= 2 {
		s := segment{segmentHeader: segmentHeader{size: size}}
		commit, mark, end := s.limit(recordCommit), s.limit(recordMark), s.limit(recordEnd)
		if !(segmentHeaderSize < commit && commit < mark && mark < end && end == size) {
			t.Errorf("%d bytes: limits %d, %d, %d", size, commit, mark, end)
		}
		if end-mark < recordSize(0) || mark-commit < recordSize(8+8*roundPaths) {
			t.Errorf("%d bytes: an end has %d bytes, a mark %d", size, end-mark, mark-commit)
		}
		if s.limit(recordAppend) != commit {
			t.Errorf("%d bytes: an append ends at %d, a commit at %d", size, s.limit(recordAppend), commit)
		}
	}
}
