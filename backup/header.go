package backup

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"intactfs/journal/disk"
)

// The frame that carries the metadata of an entry, little-endian:
//
//	0   4  0x184D2A50, the first magic number of skippable frames
//	4   4  n, length of the line, at most maxLine
//	8   n  the line: one JSON object and a line feed
//
// The last member of the object is "crc", the CRC-32C (8 hexadecimal digits)
// of all bytes of the line before the comma that precedes it. Members are
// listed in FORMAT.md. Changing this layout requires a new format version.
const (
	skipMagic = 0x184D2A50
	skipHead  = 8
	maxLine   = 4 << 20 // room for the largest set of xattrs
	crcTail   = len(`,"crc":"00000000"}` + "\n")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the line of an entry. The order of the members is that of the
// line.
type header struct {
	Tx      uint64            `json:"tx"`
	Time    time.Time         `json:"time"`
	Removed bool              `json:"removed,omitempty"`
	Invalid bool              `json:"invalid,omitempty"`
	Size    int64             `json:"size"`
	SHA256  string            `json:"sha256,omitempty"`
	Mode    string            `json:"mode,omitempty"`
	UID     uint32            `json:"uid"`
	GID     uint32            `json:"gid"`
	Mtime   time.Time         `json:"mtime,omitzero"`
	Xattrs  map[string][]byte `json:"xattrs,omitempty"`
	Program string            `json:"program,omitempty"`
	PID     uint32            `json:"pid,omitempty"`
	By      uint32            `json:"by"`
	Note    string            `json:"note,omitempty"`
	From    uint64            `json:"from,omitempty"`
	Delta   uint64            `json:"delta,omitempty"`
	Batch   int64             `json:"batch,omitempty"`
	Frame   int64             `json:"frame"`
	FrameCk string            `json:"framecrc"`
}

// record is an entry and where its content lies.
type record struct {
	Entry
	frameOff int64 // in the pack
	frameLen int64
	frameCRC uint32
	batch    int64 // distance back to the first entry of the same append
}

// end is the offset behind the record.
func (r *record) end() int64 { return r.frameOff + r.frameLen }

// sameVersion reports whether two records hold one and the same thing.
func (r *record) sameVersion(o *record) bool {
	return r.Tx == o.Tx && r.Removed == o.Removed && r.SHA256 == o.SHA256
}

func headerOf(r *record) header {
	h := header{
		Tx: r.Tx, Time: storable(r.Time), Removed: r.Removed, Invalid: r.Invalid, Size: r.Size,
		UID: r.Attr.UID, GID: r.Attr.GID, Xattrs: r.Attr.Xattrs,
		Program: r.Program, PID: r.PID, By: r.UID, Note: r.Note, From: r.Base,
		Delta: r.DeltaBase, Batch: r.batch, Frame: r.frameLen, FrameCk: fmt.Sprintf("%08x", r.frameCRC),
	}
	if !r.Removed {
		h.SHA256 = hex.EncodeToString(r.SHA256[:])
		h.Mode = fmt.Sprintf("%04o", r.Attr.Mode)
	}
	if !r.Attr.Mtime.IsZero() {
		h.Mtime = storable(r.Attr.Mtime)
	}
	return h
}

// storable brings a time into the range that RFC 3339 can write: file
// systems allow years far beyond it, by accident or by touch(1).
func storable(t time.Time) time.Time {
	t = t.UTC()
	switch {
	case t.Year() > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	case t.Year() < 1:
		return time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)
	}
	return t
}

// encodeHeader returns the skippable frame of r, at least size bytes long.
func encodeHeader(r *record, size int) ([]byte, error) {
	line, err := json.Marshal(headerOf(r))
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	line = sealLine(line, size-skipHead)
	if len(line) > maxLine {
		return nil, fmt.Errorf("metadata of %d bytes is beyond %d", len(line), maxLine)
	}
	frame := make([]byte, skipHead, skipHead+len(line))
	binary.LittleEndian.PutUint32(frame, skipMagic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(line)))
	return append(frame, line...), nil
}

// sealLine adds the checksum to a JSON object, with spaces before it so that
// the line has at least size bytes.
func sealLine(object []byte, size int) []byte {
	body := object[:len(object)-1]
	if pad := size - len(body) - crcTail; pad > 0 {
		body = append(body, bytes.Repeat([]byte{' '}, pad)...)
	}
	sum := crc32.Checksum(body, castagnoli)
	return fmt.Appendf(body, ",\"crc\":\"%08x\"}\n", sum)
}

// openLine verifies the checksum of a sealed line and decodes it into v.
func openLine(line []byte, v any) error {
	if len(line) < crcTail+1 {
		return fmt.Errorf("%w: line is too short", ErrDamaged)
	}
	body := line[:len(line)-crcTail]
	want := fmt.Sprintf(",\"crc\":\"%08x\"}\n", crc32.Checksum(body, castagnoli))
	if string(line[len(body):]) != want {
		return fmt.Errorf("%w: checksum of the line", ErrDamaged)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// decodeHeader undoes encodeHeader for a line that lies at off of a pack.
func decodeHeader(line []byte, pack string, off int64) (record, error) {
	var h header
	if err := openLine(line, &h); err != nil {
		return record{}, err
	}
	r := record{
		Entry: Entry{
			Tx: h.Tx, Time: h.Time, Removed: h.Removed, Invalid: h.Invalid, Size: h.Size,
			Base: h.From, PID: h.PID, UID: h.By, Program: h.Program, Note: h.Note,
			Attr:      disk.Attr{UID: h.UID, GID: h.GID, Mtime: h.Mtime, Atime: h.Mtime, Xattrs: h.Xattrs},
			DeltaBase: h.Delta, Pack: pack, Offset: off,
			Stored: skipHead + int64(len(line)) + h.Frame,
		},
		frameOff: off + skipHead + int64(len(line)), frameLen: h.Frame, batch: h.Batch,
	}
	ck, err := strconv.ParseUint(h.FrameCk, 16, 32)
	if err != nil || h.Frame < 0 || h.Size < 0 || h.Batch < 0 || h.Tx == 0 {
		return record{}, fmt.Errorf("%w: metadata of version %d", ErrDamaged, h.Tx)
	}
	r.frameCRC = uint32(ck)
	if h.Removed {
		return r, nil
	}
	mode, err := strconv.ParseUint(h.Mode, 8, 32)
	if err != nil {
		return record{}, fmt.Errorf("%w: mode of version %d", ErrDamaged, h.Tx)
	}
	r.Attr.Mode = uint32(mode)
	sum, err := hex.DecodeString(h.SHA256)
	if err != nil || len(sum) != len(r.SHA256) {
		return record{}, fmt.Errorf("%w: digest of version %d", ErrDamaged, h.Tx)
	}
	copy(r.SHA256[:], sum)
	return r, nil
}
