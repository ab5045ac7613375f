package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
)

// recover brings the journal to the state that was last committed. It may be
// interrupted anywhere and run again: until the new segment has its header, the
// next one finds what this one found. Then the torn end is decided for good,
// by that header, and what was in it must have been rescued; only then may
// segments and stages go that nothing names.
func (j *Journal) recover() (Report, error) {
	if !j.o.ReadOnly {
		if err := j.makeDirs(); err != nil {
			return Report{}, err
		}
	}
	sc, err := openScan(j.d, !j.o.ReadOnly)
	if err != nil {
		if sc != nil {
			sc.close()
		}
		return Report{}, err
	}
	var report Report
	if err := j.replay(sc, &report); err != nil {
		sc.close()
		return report, err
	}
	if len(report.Damage) > 0 && !j.o.ReadOnly {
		sc.close()
		return report, &report.Damage[0]
	}
	j.lastTx, j.lastSeq, j.slots = sc.lastTx, sc.lastSeq, sc.slots
	if j.o.ReadOnly {
		for _, s := range sc.all {
			j.segs = append(j.segs, s.segment)
		}
		j.free = sc.blank // closed with the rest
		return report, nil
	}
	wanted := j.rescue(report.Torn)
	if err := j.takeOver(sc); err != nil {
		return report, err
	}
	report.Orphans, err = j.removeOrphans(wanted)
	return report, err
}

// makeDirs makes the directories the journal lives in, durably.
func (j *Journal) makeDirs() error {
	for _, dir := range []string{segmentDir, stagingDir} {
		if info, err := j.d.Stat(dir); err == nil && info.Mode.IsDir() {
			continue
		}
		if err := j.d.MkdirAll("open:make-dirs", dir, 0o700); err != nil {
			return err
		}
		for _, parent := range []string{privateDir, ""} {
			if err := j.d.SyncDir("open:sync-dirs", parent); err != nil {
				return err
			}
		}
	}
	return nil
}

// replay fills the index from the segments.
func (j *Journal) replay(sc *scan, report *Report) error {
	paths := map[TxID]string{}
	err := sc.read(func(s *segment, off, size int64, r record, after bool) error {
		err := j.replayRecord(s, off, size, r, after, paths, report)
		if errors.Is(err, errPayload) {
			sc.damaged(s.name, off, err.Error())
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range sc.all {
		if s.records > 0 {
			report.Segments++
		}
		if !s.broken {
			report.TornBytes += s.torn
		}
	}
	report.Damage = sc.damage
	// What was only being moved to the end is where it was before.
	report.Torn = slices.DeleteFunc(sc.torn, func(t Torn) bool {
		path, known := paths[t.Version.Tx]
		return known && path == t.Version.Path
	})
	if err := j.checkStages(report); err != nil {
		return err
	}
	if err := j.linkAppends(report); err != nil {
		return err
	}
	report.Pending = j.index.count
	return nil
}

// replayRecord takes one record. Behind damage only marks count.
func (j *Journal) replayRecord(s *segment, off, size int64, r record, after bool, paths map[TxID]string, report *Report) error {
	switch r.typ {
	case recordMark:
		m, err := decodeMark(r.payload)
		if err != nil {
			return err
		}
		for _, tx := range m.txs {
			if path, ok := paths[tx]; ok {
				j.index.forget(path, tx)
			}
		}
		return nil
	case recordCommit, recordAppend:
		p, err := decodeCommit(r.tx, r.payload)
		if err != nil || after {
			return err
		}
		if _, again := paths[r.tx]; again {
			j.moved(p.Path, r.tx, s, off)
			return nil
		}
		report.Records++
		paths[r.tx] = p.Path
		v := &version{Version: p.Version, seg: s, off: off, size: size, stage: p.stage, crc: p.crc, unread: p.crc.known,
			baseSize: p.baseSize, appended: r.typ == recordAppend}
		if p.stage != "" && v.appended || p.baseSize != 0 && !v.appended {
			return fmt.Errorf("%w: neither a whole content nor an append", errPayload)
		}
		var inline []byte
		if j.index.held+int64(len(p.content)) <= j.index.maxHeld {
			inline = bytes.Clone(p.content)
		}
		j.index.add(v, inline)
		return nil
	default:
		return fmt.Errorf("%w: record type %d", errPayload, r.typ)
	}
}

// moved notes that a version was written into the journal again.
func (j *Journal) moved(path string, tx TxID, s *segment, off int64) {
	for _, v := range j.index.paths[path] {
		if v.Tx == tx {
			v.seg.pending--
			s.pending++
			v.seg, v.off = s, off
		}
	}
}

// checkStages sees to it that the contents outside the segments are there.
func (j *Journal) checkStages(report *Report) error {
	for path, vs := range j.index.paths {
		for _, v := range vs {
			if v.stage == "" {
				continue
			}
			info, err := j.d.Stat(v.stage)
			switch {
			case errors.Is(err, syscall.ENOENT):
				report.Damage = append(report.Damage, Damage{Segment: v.stage, Reason: "stage of " + path + " is missing"})
			case err != nil:
				return err
			case info.Size != v.Size:
				report.Damage = append(report.Damage, Damage{Segment: v.stage, Offset: min(info.Size, v.Size),
					Reason: fmt.Sprintf("stage of %s has %d bytes, not %d", path, info.Size, v.Size)})
			}
		}
	}
	return nil
}

// takeOver makes the scanned segments the journal's own, and begins a new
// one: nothing is ever written behind an end that a crash left. After an error
// Open closes what is the journal's own by then.
func (j *Journal) takeOver(sc *scan) error {
	last := sc.last()
	var h segmentHeader
	if last != nil {
		h.prev = last.seq
		if !last.sealed {
			h.prevEnd = last.end
		}
		// An end record may be in the cache alone, too.
		if err := rewriteTail(last); err != nil {
			sc.close()
			return err
		}
	}
	surplus := j.sortOut(sc, last)
	active, err := j.beginSegment(h)
	if err != nil {
		sc.close() // closing a file twice does no harm
		return err
	}
	j.segs = append(j.segs, active)
	j.w.active, j.w.off, j.w.stable = active, segmentHeaderSize, segmentHeaderSize
	surplus = append(surplus, sc.blank...)
	sc.blank = nil
	if err := removeSegments(j.d, "recover:remove-segment", surplus); err != nil {
		return fmt.Errorf("remove unused segment: %w", err)
	}
	return nil
}

// sortOut divides the segments into those with something to do, those that
// can be used again, and those to be removed.
func (j *Journal) sortOut(sc *scan, last *scanned) (surplus []*segment) {
	for _, s := range sc.all {
		needed := last != nil && s.seq <= last.seq && s.records > 0 && (s.pending > 0 || len(j.segs) > 0)
		switch {
		case needed:
			j.segs = append(j.segs, s.segment)
		case s.size == j.o.SegmentSize && len(j.free) <= maxFree:
			j.free = append(j.free, s.segment)
		default:
			surplus = append(surplus, s.segment)
		}
	}
	return surplus
}

// rewriteTail writes once more what was read from the last segment and is not
// known to be synced, its end record included, and syncs it: the process that
// wrote it may have died before its sync, or after one that failed, and the
// cache doesn't tell. The bytes are the same, so that a crash in the middle of it
// tears nothing.
func rewriteTail(s *scanned) error {
	from := max(s.stable, segmentHeaderSize)
	buf := make([]byte, s.end-from)
	if _, err := s.file.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read end of journal: %w", err)
	}
	if _, err := s.file.WriteAt("recover:rewrite", buf, from); err != nil {
		return fmt.Errorf("rewrite end of journal: %w", err)
	}
	if err := s.file.Sync("recover:sync"); err != nil {
		return fmt.Errorf("rewrite end of journal: %w", err)
	}
	return nil
}

// removeOrphans removes the files of transactions and of the checkpointer
// that a crash left, but for those wanted.
func (j *Journal) removeOrphans(wanted map[string]bool) (int, error) {
	for _, vs := range j.index.paths {
		for _, v := range vs {
			wanted[v.stage] = true
		}
	}
	entries, err := j.d.ReadDir(stagingDir)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, e := range entries {
		name := stagingDir + "/" + e.Name
		if wanted[name] || e.Type.IsDir() {
			continue
		}
		if err := j.d.Remove("recover:remove-orphan", name); err != nil {
			return removed, fmt.Errorf("remove orphan: %w", err)
		}
		removed++
	}
	return removed, nil
}
