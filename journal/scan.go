package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"syscall"

	"intactfs/journal/disk"
)

// scanned is one segment as it was found.
type scanned struct {
	*segment
	records int
	end     int64 // behind the last good record
	stable  int64 // all before was synced, as the last good record says
	sealed  bool  // by an end record
	torn    int64 // bytes behind end that look like the start of a record
	broken  bool  // not readable up to where it must be
}

// scan is all segments as they were found.
type scan struct {
	all     []*scanned // with a good header, in order of their sequence
	blank   []*segment // whose making was interrupted
	low     uint64     // older segments have nothing to do
	lastTx  TxID
	lastSeq uint64
	slots   uint64
	damage  []Damage
	torn    []Torn
}

// visit is called for each record of a scan, in order. after tells that
// damage came before it.
type visit func(s *segment, off, size int64, r record, after bool) error

// openScan reads the headers. writable opens the files for writing as well.
func openScan(d disk.Disk, writable bool) (*scan, error) {
	entries, err := d.ReadDir(segmentDir)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return nil, err
	}
	sc := &scan{}
	for _, e := range entries {
		slot, ok := slotOf(e.Name)
		if !ok {
			continue
		}
		sc.slots = max(sc.slots, slot)
		if err := sc.openSegment(d, segmentName(slot), writable); err != nil {
			return sc, err
		}
	}
	sort.Slice(sc.all, func(i, k int) bool { return sc.all[i].seq < sc.all[k].seq })
	for i, s := range sc.all {
		sc.lastSeq, sc.low, sc.lastTx = max(sc.lastSeq, s.seq), max(sc.low, s.low), max(sc.lastTx, s.floor)
		if i > 0 && sc.all[i-1].seq == s.seq {
			sc.damaged(s.name, 0, fmt.Sprintf("same sequence number %d as %s", s.seq, sc.all[i-1].name))
		}
	}
	return sc, nil
}

func (sc *scan) openSegment(d disk.Disk, name string, writable bool) error {
	open := d.Open
	if writable {
		open = func(name string) (disk.File, error) { return d.OpenWrite("recover:open", name) }
	}
	f, err := open(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	page := make([]byte, segmentHeaderSize)
	n := 0
	if err == nil {
		n, err = f.ReadAt(page, 0)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("read segment header: %w", err)
	}
	h, err := decodeHeader(page[:n])
	switch {
	case err != nil:
		sc.damaged(name, 0, err.Error())
	case h == nil:
		sc.blank = append(sc.blank, &segment{name: name, file: f})
		return nil
	case h.size != info.Size:
		sc.damaged(name, 0, fmt.Sprintf("%d bytes long, not %d", info.Size, h.size))
	default:
		sc.all = append(sc.all, &scanned{segment: &segment{segmentHeader: *h, name: name, file: f}, end: segmentHeaderSize})
		return nil
	}
	return f.Close()
}

func (sc *scan) damaged(name string, off int64, reason string) {
	sc.damage = append(sc.damage, Damage{Segment: name, Offset: off, Reason: reason})
}

func (sc *scan) close() {
	for _, s := range sc.all {
		_ = s.file.Close()
	}
	for _, s := range sc.blank {
		_ = s.file.Close()
	}
}

// read goes through all records in order. What is wrong with a segment that
// turns out to be no longer needed does not count.
func (sc *scan) read(v visit) error {
	var buf []byte
	headers := sc.damage
	sc.damage = nil
	from := sc.low
	for i, s := range sc.all {
		if s.seq < from {
			continue
		}
		if int64(cap(buf)) < s.size {
			buf = make([]byte, s.size)
		}
		buf = buf[:s.size]
		if _, err := s.file.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read segment: %w", err)
		}
		if err := sc.readSegment(s, buf, sc.endOf(i), len(headers) > 0, v); err != nil {
			return err
		}
	}
	sc.checkChain()
	needed := headers
	for _, d := range sc.damage {
		if s := sc.byName(d.Segment); s == nil || s.seq >= sc.low {
			needed = append(needed, d)
		}
	}
	sc.damage = needed
	return nil
}

// endOf is where a recovery found segment i to end, as it wrote into the
// header of the segment that it began; 0 if none did.
func (sc *scan) endOf(i int) int64 {
	for _, next := range sc.all[i+1:] {
		if next.prev == sc.all[i].seq && next.prevEnd > 0 {
			return next.prevEnd
		}
	}
	return 0
}

func (sc *scan) byName(name string) *scanned {
	for _, s := range sc.all {
		if s.name == name {
			return s
		}
	}
	return nil
}

// readSegment reads records up to the first place that has none. Whether
// that is the end, a torn end or damage follows from what lies behind it.
func (sc *scan) readSegment(s *scanned, buf []byte, mustEnd int64, after bool, v visit) error {
	for !s.sealed && (mustEnd == 0 || s.end < mustEnd) {
		r, size, err := decodeRecord(buf[s.end:], s.seq, s.salt)
		if err != nil {
			break
		}
		if err := sc.visitRecord(s, s.end, size, r, after || len(sc.damage) > 0, v); err != nil {
			return err
		}
		s.end += size
	}
	if s.sealed || s.end == mustEnd {
		return nil
	}
	next, synced := findRecord(buf, s.end, s.seq, s.salt)
	s.torn = tornBytes(buf, s.end, s.seq, s.salt)
	if next > 0 {
		s.torn = max(s.torn, next-s.end)
	}
	if !synced && mustEnd == 0 {
		if s.torn > 0 {
			sc.noteTorn(s, buf, next)
		}
		return nil
	}
	s.broken = true
	sc.damaged(s.name, s.end, "unreadable record in front of synced ones")
	// The marks behind the damage keep published versions from coming back.
	for off := next; off > 0 && off < int64(len(buf)); {
		r, size, err := decodeRecord(buf[off:], s.seq, s.salt)
		if err != nil {
			off, _ = findRecord(buf, off, s.seq, s.salt)
			continue
		}
		if err := sc.visitRecord(s, off, size, r, true, v); err != nil {
			return err
		}
		off += size
	}
	return nil
}

// visitRecord keeps what a scan itself wants to know of a record.
func (sc *scan) visitRecord(s *scanned, off, size int64, r record, after bool, v visit) error {
	s.records++
	s.stable = max(s.stable, r.stable)
	sc.lastTx = max(sc.lastTx, r.tx)
	switch r.typ {
	case recordEnd:
		s.sealed = true
		return nil
	case recordMark:
		if m, err := decodeMark(r.payload); err == nil {
			sc.low = max(sc.low, m.low)
		}
	}
	return v(s.segment, off, size, r, after)
}

// findRecord looks for the next record behind off; 0 if there is none.
// synced tells whether any record behind off says that off was synced.
func findRecord(buf []byte, off int64, seq, salt uint64) (next int64, synced bool) {
	for at := off + recordAlign; at+recordHeaderSize <= int64(len(buf)); at += recordAlign {
		if binary.LittleEndian.Uint64(buf[at+8:]) != seq {
			continue
		}
		r, size, err := decodeRecord(buf[at:], seq, salt)
		if err != nil {
			continue
		}
		if next == 0 {
			next = at
		}
		if r.stable > off {
			return next, true
		}
		at += size - recordAlign
	}
	return next, false
}

// tornBytes is the length of what looks like a record at off and is not
// whole: its sequence number is right, or is all that is wrong.
func tornBytes(buf []byte, off int64, seq, salt uint64) int64 {
	if off+recordHeaderSize > int64(len(buf)) {
		return 0
	}
	rest := buf[off:]
	size := min(recordSize(int(binary.LittleEndian.Uint32(rest[4:]))), int64(len(rest)))
	if binary.LittleEndian.Uint64(rest[8:]) == seq {
		return size
	}
	try := append([]byte(nil), rest[:size]...)
	binary.LittleEndian.PutUint64(try[8:], seq)
	if _, _, err := decodeRecord(try, seq, salt); err != nil {
		return 0
	}
	return size
}

// last is the newest segment that has records; nil if none has.
func (sc *scan) last() *scanned {
	for i := len(sc.all) - 1; i >= 0; i-- {
		if sc.all[i].records > 0 {
			return sc.all[i]
		}
	}
	return nil
}

// checkChain sees to it that no segment is missing, and that each that has a
// successor was read to its end.
func (sc *scan) checkChain() {
	var before *scanned
	for _, s := range sc.all {
		if s.records == 0 || s.seq < sc.low {
			continue
		}
		if s.prev >= sc.low && (before == nil || before.seq != s.prev) {
			if !sc.emptyAt(s.prev) {
				sc.damaged(s.name, 0, fmt.Sprintf("segment %d before it is missing", s.prev))
			}
		} else if before != nil && !before.sealed && !before.broken && s.prevEnd == 0 {
			before.broken = true
			sc.damaged(before.name, before.end, "unreadable record, and a segment follows")
		}
		before = s
	}
}

// emptyAt tells whether the segment with this number exists and is meant to
// be empty: a crash came before its first record.
func (sc *scan) emptyAt(seq uint64) bool {
	for _, s := range sc.all {
		if s.seq == seq {
			return s.records == 0 && s.torn == 0
		}
	}
	return false
}
