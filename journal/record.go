package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// recordType says what the payload of a record is.
type recordType uint8

const (
	recordCommit recordType = 1 // a version, with its content or its stage
	recordMark   recordType = 2 // versions that were published
	recordEnd    recordType = 3 // nothing follows in this segment
	recordAppend recordType = 4 // a version that continues the one before
)

const (
	recordHeaderSize = 40
	recordAlign      = 8
)

// castagnoli is hardware-accelerated on the machines that matter.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoRecord says that there is no live record at an offset: zeros, remains
// of an earlier use, or bytes that were torn or damaged. The place alone
// doesn't tell which.
var errNoRecord = errors.New("no record")

// record is one entry of a segment.
type record struct {
	seq     uint64 // of the segment
	stable  int64  // offset below which the segment was synced
	tx      TxID
	typ     recordType
	payload []byte
	tail    []byte // of the payload, when encoding: spares copying a content twice
}

// recordSize is the room a record with a payload of n bytes takes.
func recordSize(n int) int64 {
	return (recordHeaderSize + int64(n) + recordAlign - 1) &^ (recordAlign - 1)
}

// appendRecord encodes r for a segment with this salt.
func appendRecord(buf []byte, salt uint64, r record) []byte {
	start := len(buf)
	var h [recordHeaderSize]byte
	binary.LittleEndian.PutUint32(h[4:], uint32(len(r.payload)+len(r.tail)))
	binary.LittleEndian.PutUint64(h[8:], r.seq)
	binary.LittleEndian.PutUint64(h[16:], uint64(r.stable))
	binary.LittleEndian.PutUint64(h[24:], uint64(r.tx))
	h[32] = byte(r.typ)
	buf = append(buf, h[:]...)
	buf = append(buf, r.payload...)
	buf = append(buf, r.tail...)
	binary.LittleEndian.PutUint32(buf[start:], recordSum(salt, buf[start:]))
	for len(buf)%recordAlign != start%recordAlign {
		buf = append(buf, 0)
	}
	return buf
}

// recordSum is the checksum of an encoded record without padding. The salt
// goes in first, as if it stood in front of the record.
func recordSum(salt uint64, rec []byte) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return crc32.Update(crc32.Update(0, castagnoli, s[:]), castagnoli, rec[4:])
}

// decodeRecord reads the record at the start of buf, and its size with
// padding. The payload lies within buf. Any bytes are allowed; errNoRecord is
// the answer to what appendRecord did not make for this segment.
func decodeRecord(buf []byte, seq, salt uint64) (record, int64, error) {
	if len(buf) < recordHeaderSize || binary.LittleEndian.Uint64(buf[8:]) != seq {
		return record{}, 0, errNoRecord
	}
	n := int64(binary.LittleEndian.Uint32(buf[4:]))
	size := recordSize(int(n))
	if size > int64(len(buf)) {
		return record{}, 0, errNoRecord
	}
	if recordSum(salt, buf[:recordHeaderSize+n]) != binary.LittleEndian.Uint32(buf) {
		return record{}, 0, errNoRecord
	}
	r := record{
		seq:     seq,
		stable:  int64(binary.LittleEndian.Uint64(buf[16:])),
		tx:      TxID(binary.LittleEndian.Uint64(buf[24:])),
		typ:     recordType(buf[32]),
		payload: buf[recordHeaderSize : recordHeaderSize+n],
	}
	for _, b := range buf[33:recordHeaderSize] {
		if b != 0 {
			return record{}, 0, errNoRecord
		}
	}
	for _, b := range buf[recordHeaderSize+n : size] {
		if b != 0 { // the checksum leaves the padding out; what is accepted must encode to the same bytes
			return record{}, 0, errNoRecord
		}
	}
	return r, size, nil
}
