package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Torn is a record at the end of the journal that is not replayed, because it
// or one before it in the same write can't be read. A crash leaves such an
// end, of commits that were never acknowledged; so does damage to the last
// record of a journal, behind which nothing says that it was synced. The two
// can't be told apart: a segment that was used before holds anything behind
// its end. So what such a record names is not dropped in silence.
type Torn struct {
	Segment string // disk name
	Offset  int64  // of the record
	Bytes   int64  // how long it is, as far as that can be made out
	// Version is what the record says of itself. It may be wrong; without a
	// Path nothing could be made out.
	Version Version
	// Kept tells that Options.Rescue took the content.
	Kept bool

	stage   string
	content []byte // of the record, if it still has its checksum
}

// String says where it is, and what.
func (t Torn) String() string {
	text := fmt.Sprintf("%s at offset %d: %d bytes of a record can't be read", t.Segment, t.Offset, t.Bytes)
	if t.Version.Path != "" {
		text += fmt.Sprintf(": %s, %d bytes", t.Version.Path, t.Version.Size)
	}
	if t.Kept {
		text += "; its content is kept"
	}
	return text
}

// noteTorn enters the records behind the torn end of a segment. next is the
// first that can be read, 0 if none can.
func (sc *scan) noteTorn(s *scanned, buf []byte, next int64) {
	sc.torn = append(sc.torn, guessRecord(s, buf[s.end:]))
	for off := next; off > 0 && off < int64(len(buf)); {
		r, size, err := decodeRecord(buf[off:], s.seq, s.salt)
		if err != nil {
			off, _ = findRecord(buf, off, s.seq, s.salt)
			continue
		}
		if r.typ == recordCommit || r.typ == recordAppend {
			t := Torn{Segment: s.name, Offset: off, Bytes: size}
			t.guess(r.typ, r.tx, r.payload)
			sc.torn = append(sc.torn, t)
		}
		off += size
	}
}

// guessRecord makes out of the record at the end of s what it can.
func guessRecord(s *scanned, rest []byte) Torn {
	t := Torn{Segment: s.name, Offset: s.end, Bytes: s.torn}
	n := int64(binary.LittleEndian.Uint32(rest[4:]))
	if recordSize(int(n)) > int64(len(rest)) {
		return t
	}
	tx := TxID(binary.LittleEndian.Uint64(rest[24:]))
	t.guess(recordType(rest[32]), tx, rest[recordHeaderSize:recordHeaderSize+n])
	return t
}

// guess reads the payload. Bytes that are not what the payload's own checksum
// says may be those of another file, from an earlier use of the segment: they
// are left alone.
func (t *Torn) guess(typ recordType, tx TxID, payload []byte) {
	p, err := decodeCommit(tx, payload)
	if err != nil {
		return
	}
	t.Version = p.Version
	if typ == recordAppend {
		return // its bytes alone are no content
	}
	t.stage = p.stage
	if p.stage == "" && sha256.Sum256(p.content) == p.SHA256 {
		t.content = bytes.Clone(p.content)
	}
}

// rescue hands what torn records name to whoever keeps it. It returns the
// stages that must stay, because nobody could.
func (j *Journal) rescue(torn []Torn) map[string]bool {
	stay := map[string]bool{}
	for i := range torn {
		t := &torn[i]
		err := j.rescueOne(t)
		if err != nil {
			stay[t.stage] = true
			j.o.Log.Error("content of a torn record is not kept", "record", t.String(), "error", err)
			continue
		}
		j.o.Log.Warn("torn record at the end of the journal", "record", t.String())
	}
	return stay
}

func (j *Journal) rescueOne(t *Torn) error {
	if j.o.Rescue == nil {
		return nil
	}
	var content io.ReaderAt = bytes.NewReader(t.content)
	switch {
	case t.stage != "":
		f, err := j.d.Open(t.stage)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // was only read
		info, err := f.Stat()
		if err != nil || info.Size != t.Version.Size {
			return err // half of it was never committed
		}
		content = f
	case t.content == nil:
		return nil
	}
	if err := j.o.Rescue(t.Version, content); err != nil {
		return err
	}
	t.Kept = true
	return nil
}
