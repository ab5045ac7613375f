package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"intactfs/journal/disk"
)

const (
	segmentMagic   = "intactJ1"
	segmentVersion = 1
	// segmentHeaderSize is a page, so that no record shares one with the
	// header; headerUsed of it carry something, within one sector, so that
	// a header is written whole or not at all.
	segmentHeaderSize = 4096
	headerUsed        = 80
	minSegmentSize    = 2 * segmentHeaderSize
)

// segmentHeader begins a segment. It is synced before the first record.
type segmentHeader struct {
	size    int64  // of the file in bytes
	seq     uint64 // orders the segments; grows with every use
	salt    uint64
	prev    uint64 // the segment before; 0: none
	prevEnd int64  // where a crash ended that one; 0: it has an end record if anything follows
	floor   TxID   // numbers up to this one may have been used before
	low     uint64 // oldest segment that had something to do
}

// encode makes the used part of the header.
func (h segmentHeader) encode() []byte {
	le := binary.LittleEndian
	buf := make([]byte, 0, headerUsed)
	buf = append(buf, segmentMagic...)
	buf = le.AppendUint32(buf, 0) // checksum, below
	buf = le.AppendUint32(buf, segmentVersion)
	buf = le.AppendUint64(buf, uint64(h.size))
	buf = le.AppendUint64(buf, h.seq)
	buf = le.AppendUint64(buf, h.salt)
	buf = le.AppendUint64(buf, h.prev)
	buf = le.AppendUint64(buf, uint64(h.prevEnd))
	buf = le.AppendUint64(buf, uint64(h.floor))
	buf = le.AppendUint64(buf, h.low)
	buf = le.AppendUint64(buf, 0) // reserved
	le.PutUint32(buf[8:], crc32.Checksum(buf[12:], castagnoli))
	return buf
}

// decodeHeader returns nil for a page of zeros: a segment whose making was
// interrupted.
func decodeHeader(page []byte) (*segmentHeader, error) {
	blank := true
	for i, b := range page {
		if b != 0 {
			blank = false
			if i >= headerUsed {
				return nil, fmt.Errorf("byte %d of the header is not zero", i)
			}
		}
	}
	le := binary.LittleEndian
	switch {
	case blank:
		return nil, nil
	case len(page) < headerUsed:
		return nil, fmt.Errorf("header of %d bytes", len(page))
	case string(page[:8]) != segmentMagic:
		return nil, fmt.Errorf("no segment header")
	case le.Uint32(page[8:]) != crc32.Checksum(page[12:headerUsed], castagnoli):
		return nil, fmt.Errorf("wrong checksum of the header")
	case le.Uint32(page[12:]) != segmentVersion:
		return nil, fmt.Errorf("format version %d, this program knows %d", le.Uint32(page[12:]), segmentVersion)
	}
	return &segmentHeader{
		size:    int64(le.Uint64(page[16:])),
		seq:     le.Uint64(page[24:]),
		salt:    le.Uint64(page[32:]),
		prev:    le.Uint64(page[40:]),
		prevEnd: int64(le.Uint64(page[48:])),
		floor:   TxID(le.Uint64(page[56:])),
		low:     le.Uint64(page[64:]),
	}, nil
}

// segment is an open segment file.
type segment struct {
	segmentHeader
	name string
	file disk.File

	// pending counts versions whose record is here and that are not yet
	// forgotten, pins readers of the file. Journal.mu guards both.
	pending int
	pins    int
}

// markReserve is the end of a segment that only marks may use: what was
// published can be forgotten even when the disk is full.
func markReserve(size int64) int64 { return min(64<<10, size/8) }

// limit is the offset that a record of this type must end below. Room for
// the end record is always left.
func (s *segment) limit(typ recordType) int64 {
	switch typ {
	case recordEnd:
		return s.size
	case recordMark:
		return s.size - recordSize(0)
	default:
		return s.size - recordSize(0) - markReserve(s.size)
	}
}

// createSegment makes a file full of zeros. Written zeros, not only reserved
// space: the first write into a reserved extent costs a change of metadata
// that a commit would wait for.
func createSegment(d disk.Disk, name string, size int64) (disk.File, error) {
	f, err := d.Create("segment:create", name, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err := fillSegment(d, f, size); err != nil {
		// A partial segment is found by the next Open if this fails too.
		_ = removeSegments(d, "segment:abandon", []*segment{{name: name, file: f}})
		return nil, fmt.Errorf("create segment: %w", err)
	}
	return f, nil
}

func fillSegment(d disk.Disk, f disk.File, size int64) error {
	if err := f.Allocate("segment:allocate", size); err != nil {
		return err
	}
	zeros := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		n := min(int64(len(zeros)), size-off)
		if _, err := f.WriteAt("segment:fill", zeros[:n], off); err != nil {
			return err
		}
	}
	if err := f.Sync("segment:sync"); err != nil {
		return err
	}
	return d.SyncDir("segment:sync-dir", segmentDir)
}

// begin writes a new header, which turns everything the segment holds into
// remains, and syncs it. After an error the file must not be used.
func (s *segment) begin(h segmentHeader) error {
	if _, err := s.file.WriteAt("segment:header", h.encode(), 0); err != nil {
		// A part of it may have been written, and would be damage to whoever
		// finds it. What was there before is as good as new.
		old := make([]byte, headerUsed)
		if s.seq > 0 {
			old = s.encode()
		}
		_, rerr := s.file.WriteAt("segment:header-undo", old, 0)
		return fmt.Errorf("begin segment: %w", errors.Join(err, rerr))
	}
	if err := s.file.Sync("segment:header-sync"); err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	s.segmentHeader = h
	return nil
}

// record reads one record back, and checks it.
func (s *segment) record(off int64, size int64) (record, error) {
	buf := make([]byte, size)
	if _, err := s.file.ReadAt(buf, off); err != nil && !errors.Is(err, io.EOF) {
		return record{}, fmt.Errorf("read record: %w", err)
	}
	r, _, err := decodeRecord(buf, s.seq, s.salt)
	if err != nil {
		return record{}, &Damage{Segment: s.name, Offset: off, Reason: "record changed since it was written"}
	}
	return r, nil
}

// randomSalt draws the salt of a new use.
func randomSalt(rand io.Reader) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, fmt.Errorf("random salt: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
