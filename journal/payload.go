package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"intactfs/journal/disk"
)

// errPayload says that a record with a right checksum holds nonsense: it was
// written by another version of the format, or by a bug.
var errPayload = errors.New("payload does not decode")

// maxString bounds path, program, note and the name of an attribute.
const maxString = math.MaxUint16

// commitPayload is what a commit and an append record carry. Of content and
// stage one is empty, except that an empty content has neither.
type commitPayload struct {
	Version
	stage    string
	crc      stageSum // of the stage
	baseSize int64    // of an append: where content begins in the new version
	content  []byte
}

// appendCommit encodes p up to the bytes of the content, which come last and
// are not copied: the record's tail.
func appendCommit(buf []byte, p *commitPayload) []byte {
	le := binary.LittleEndian
	buf = appendTime(buf, p.Time)
	buf = le.AppendUint64(buf, uint64(p.Size))
	buf = append(buf, p.SHA256[:]...)
	buf = le.AppendUint64(buf, uint64(p.Base))
	buf = le.AppendUint64(buf, uint64(p.baseSize))
	buf = le.AppendUint32(buf, p.Who.PID)
	buf = le.AppendUint32(buf, p.Who.UID)
	buf = le.AppendUint32(buf, p.Attr.Mode)
	buf = le.AppendUint32(buf, p.Attr.UID)
	buf = le.AppendUint32(buf, p.Attr.GID)
	buf = appendTime(buf, p.Attr.Atime)
	buf = appendTime(buf, p.Attr.Mtime)
	buf = appendString(buf, joinNames(p.Path, p.Links))
	buf = appendString(buf, p.Who.Program)
	buf = appendString(buf, p.Note)
	buf = appendString(buf, p.stage)
	buf = le.AppendUint16(buf, uint16(len(p.Attr.Xattrs)))
	for _, name := range xattrNames(p.Attr) {
		buf = appendString(buf, name)
		buf = le.AppendUint32(buf, uint32(len(p.Attr.Xattrs[name])))
		buf = append(buf, p.Attr.Xattrs[name]...)
	}
	buf = le.AppendUint32(buf, uint32(len(p.content)))
	if p.crc.known { // only with a stage, and so without a content
		buf = le.AppendUint32(buf, p.crc.sum)
	}
	return buf
}

// xattrNames is sorted: one version has one encoding.
func xattrNames(a disk.Attr) []string {
	if len(a.Xattrs) == 0 {
		return nil
	}
	names := make([]string, 0, len(a.Xattrs))
	for name := range a.Xattrs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// appendTime writes seconds and nanoseconds; the zero time has a nanosecond
// count that no time has.
func appendTime(buf []byte, t time.Time) []byte {
	if t.IsZero() {
		buf = binary.LittleEndian.AppendUint64(buf, 0)
		return binary.LittleEndian.AppendUint32(buf, math.MaxUint32)
	}
	buf = binary.LittleEndian.AppendUint64(buf, uint64(t.Unix()))
	return binary.LittleEndian.AppendUint32(buf, uint32(t.Nanosecond()))
}

func appendString(buf []byte, s string) []byte {
	buf = binary.LittleEndian.AppendUint16(buf, uint16(len(s)))
	return append(buf, s...)
}

// cursor reads a payload front to back. After the first field that does not
// fit, bad is set and everything reads as zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad = true
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u16() uint16 {
	if p := c.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if p := c.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if p := c.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (c *cursor) str() string { return string(c.take(int(c.u16()))) }

func (c *cursor) time() time.Time {
	sec, nsec := int64(c.u64()), c.u32()
	switch {
	case nsec == math.MaxUint32:
		c.bad = c.bad || sec != 0
		return time.Time{}
	case nsec >= 1e9:
		c.bad = true
	}
	return time.Unix(sec, int64(nsec))
}

// decodeCommit reads what appendCommit wrote. The content is not copied.
func decodeCommit(tx TxID, buf []byte) (*commitPayload, error) {
	c := &cursor{b: buf}
	p := &commitPayload{}
	p.Tx = tx
	p.Time = c.time()
	p.Size = int64(c.u64())
	copy(p.SHA256[:], c.take(len(p.SHA256)))
	p.Base = TxID(c.u64())
	p.baseSize = int64(c.u64())
	p.Who.PID, p.Who.UID = c.u32(), c.u32()
	p.Attr.Mode, p.Attr.UID, p.Attr.GID = c.u32(), c.u32(), c.u32()
	p.Attr.Atime, p.Attr.Mtime = c.time(), c.time()
	p.Path, p.Links = splitNames(c.str())
	p.Who.Program, p.Note, p.stage = c.str(), c.str(), c.str()
	p.Attr.Xattrs = c.xattrs()
	p.content = c.take(int(c.u32()))
	if p.stage != "" && len(c.b) > 0 {
		p.crc = stageSum{c.u32(), true}
	}
	if c.bad || len(c.b) != 0 {
		return nil, errPayload
	}
	return p, p.check()
}

// xattrs requires ascending names, as appendCommit writes them.
func (c *cursor) xattrs() map[string][]byte {
	n := int(c.u16())
	if n == 0 {
		return nil
	}
	all := map[string][]byte{}
	last := ""
	for i := 0; i < n && !c.bad; i++ {
		name := c.str()
		c.bad = c.bad || (i > 0 && name <= last)
		last = name
		value := c.take(int(c.u32()))
		all[name] = append([]byte{}, value...)
	}
	return all
}

// check refuses what Commit would not have written, so that no code behind
// it meets a path outside the data directory or a negative size.
func (p *commitPayload) check() error {
	if err := checkNames(p.Path, p.Links); err != nil {
		return fmt.Errorf("%w: %w", errPayload, err)
	}
	if p.Size < 0 || p.baseSize < 0 || p.baseSize > p.Size {
		return fmt.Errorf("%w: size %d after %d", errPayload, p.Size, p.baseSize)
	}
	if p.stage == "" {
		if p.Size-p.baseSize != int64(len(p.content)) {
			return fmt.Errorf("%w: %d bytes of content for size %d", errPayload, len(p.content), p.Size)
		}
		return nil
	}
	if len(p.content) != 0 || p.baseSize != 0 || !isStage(p.stage) {
		return fmt.Errorf("%w: stage %q", errPayload, p.stage)
	}
	return nil
}

// markPayload names the newest published version of each path: all older
// ones of these paths are done too. low is the oldest segment that still had
// something to do.
type markPayload struct {
	low uint64
	txs []TxID
}

func appendMark(buf []byte, m markPayload) []byte {
	buf = binary.LittleEndian.AppendUint64(buf, m.low)
	for _, tx := range m.txs {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(tx))
	}
	return buf
}

func decodeMark(buf []byte) (markPayload, error) {
	if len(buf) < 8 || len(buf)%8 != 0 {
		return markPayload{}, errPayload
	}
	m := markPayload{low: binary.LittleEndian.Uint64(buf)}
	for buf = buf[8:]; len(buf) > 0; buf = buf[8:] {
		m.txs = append(m.txs, TxID(binary.LittleEndian.Uint64(buf)))
	}
	return m, nil
}
