package backup

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"sort"
	"strconv"
	"strings"

	"intactfs/journal/disk"
)

const (
	packSuffix = ".zst"
	tempSuffix = ".tmp"
	pinsName   = "pins.json"

	packPerm = 0o600
	dirPerm  = 0o700

	// maxIndexed bounds the entries that are remembered over all paths.
	maxIndexed = 1 << 16
)

// history is what the packs of one path say. It is read under the path's
// lock; once it is in the cache only the holder of the lock changes it.
type history struct {
	dir   string
	recs  []record // by Tx, tombstones behind what they ended
	twice []record // the earlier ones of those that are there twice
	packs []packInfo
	pins  map[uint64]bool
	// pinsErr: the pins can't be read. Then everything counts as pinned.
	pinsErr error
	// ioErr: a pack could not be read for now; recs may lack some.
	ioErr error
	tail  *tail
}

// packInfo is a pack and what was seen when it was last read.
type packInfo struct {
	num  int
	name string
	size int64
	gaps []gap
	// abandoned: of what it holds, only what this process synced is known
	// to be on the disk.
	abandoned bool
}

// tail is the pack that appends go to, and how it goes on.
type tail struct {
	num   int
	name  string
	off   int64
	chain chain
}

// packNumber parses "0012.zst".
func packNumber(name string) (int, bool) {
	digits, ok := strings.CutSuffix(name, packSuffix)
	if !ok || len(digits) < 4 {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0 && packName(n) == name
}

func packName(n int) string { return fmt.Sprintf("%04d%s", n, packSuffix) }

// load returns the history of path, from the cache or from the disk. The
// caller holds the path's lock.
func (s *Store) load(filePath string) (*history, error) {
	dir := historyLayout.file(filePath)
	s.mu.Lock()
	h, ok := s.index.get(dir)
	s.mu.Unlock()
	if ok {
		return h, nil
	}
	h, err := s.readHistory(dir)
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", filePath, err)
	}
	for _, p := range h.packs {
		for _, g := range p.gaps {
			s.log.Warn("history has a gap", "path", filePath, "pack", p.name, "offset", g.off,
				"bytes", g.end-g.off, "torn", g.torn, "err", g.err)
		}
	}
	s.keepIndex(h)
	return h, nil
}

// keepIndex puts h into the cache, unless it may lack something.
func (s *Store) keepIndex(h *history) {
	if h.ioErr != nil || h.pinsErr != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.put(h.dir, h, int64(len(h.recs))+8)
}

func (s *Store) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.drop(dir)
}

// readHistory reads the lines of all packs in dir, which need not exist.
func (s *Store) readHistory(dir string) (*history, error) {
	h := &history{dir: dir, pins: map[uint64]bool{}}
	names, err := s.d.ReadDir(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range names {
		if n, ok := packNumber(e.Name); ok {
			h.packs = append(h.packs, packInfo{num: n, name: dir + "/" + e.Name})
		}
		if e.Name == pinsName {
			h.pins, h.pinsErr = readPins(s.d, dir)
		}
	}
	slices.SortFunc(h.packs, func(a, b packInfo) int { return a.num - b.num })
	for i := range h.packs {
		s.readPack(h, &h.packs[i])
	}
	h.settle()
	return h, nil
}

// readPack adds the records of a pack. Only an error of the disk is one of
// the history: the others are gaps. Of an abandoned pack it takes what was
// durable before, as nobody knows what the disk has of the rest.
func (s *Store) readPack(h *history, p *packInfo) {
	h.tail = nil
	scan, ino, err := scanFile(s.d, p.name)
	if err == nil {
		err = scan.ioErr()
	}
	p.size, p.gaps = scan.size, scan.gaps
	var durable int64
	if durable, p.abandoned = s.abandonedAt(ino); p.abandoned {
		scan.cutAt(durable)
	}
	h.recs = append(h.recs, scan.recs...)
	if err != nil {
		h.ioErr = errors.Join(h.ioErr, err)
	}
	if err != nil || p.abandoned || len(scan.gaps) > 0 {
		return
	}
	t := &tail{num: p.num, name: p.name, off: scan.size}
	for i := range scan.recs {
		if r := &scan.recs[i]; !r.Removed {
			t.chain.add(r.Tx, r.Size, r.DeltaBase, r.frameLen)
		}
	}
	h.tail = t
}

func scanFile(d disk.Disk, name string) (packScan, uint64, error) {
	f, err := d.Open(name)
	if err != nil {
		return packScan{}, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return packScan{}, 0, err
	}
	return scanPack(f, info.Size, name), info.Ino, nil
}

// settle sorts the records and drops those that are there twice: after an
// abandoned pack or an interrupted rewrite, the later one is the good one.
func (h *history) settle() {
	slices.SortStableFunc(h.recs, compareRecords)
	kept := h.recs[:0]
	for _, r := range h.recs {
		if n := len(kept); n > 0 && kept[n-1].sameVersion(&r) {
			h.twice = append(h.twice, kept[n-1])
			kept[n-1] = r
			continue
		}
		kept = append(kept, r)
	}
	h.recs = kept
}

func compareRecords(a, b record) int {
	switch {
	case a.Tx < b.Tx:
		return -1
	case a.Tx > b.Tx:
		return 1
	case a.Removed == b.Removed:
		return 0
	case b.Removed:
		return -1
	}
	return 1
}

// find returns the version with the number; of two, the later.
func (h *history) find(tx uint64) (*record, bool) {
	for i := len(h.recs) - 1; i >= 0; i-- {
		if r := &h.recs[i]; r.Tx == tx && !r.Removed {
			return r, true
		} else if r.Tx < tx {
			break
		}
	}
	return nil, false
}

// inPack returns the version with the number that lies in the pack.
func (h *history) inPack(pack string, tx uint64) (*record, bool) {
	from := sort.Search(len(h.recs), func(i int) bool { return h.recs[i].Tx >= tx })
	for i := from; i < len(h.recs) && h.recs[i].Tx == tx; i++ {
		if r := &h.recs[i]; r.Pack == pack && !r.Removed {
			return r, true
		}
	}
	for i := range h.twice {
		if r := &h.twice[i]; r.Tx == tx && r.Pack == pack && !r.Removed {
			return r, true
		}
	}
	return nil, false
}

// abandoned reports whether the pack with the name was given up.
func (h *history) abandoned(pack string) bool {
	return slices.ContainsFunc(h.packs, func(p packInfo) bool { return p.name == pack && p.abandoned })
}

// gaps reports whether some of the pack with the name can't be read.
func (h *history) gaps(pack string) bool {
	return slices.ContainsFunc(h.packs, func(p packInfo) bool { return p.name == pack && len(p.gaps) > 0 })
}

// entry is a record as callers see it.
func (h *history) entry(r *record) Entry {
	e := r.Entry
	e.Pinned = !r.Removed && (h.pins[r.Tx] || h.pinsErr != nil)
	return e
}

// nextPack returns the number of a new pack.
func (h *history) nextPack() int {
	if len(h.packs) == 0 {
		return 1
	}
	return h.packs[len(h.packs)-1].num + 1
}

// parentDir returns the directory that has name; "" is the root.
func parentDir(name string) string {
	dir, _ := splitPath(name)
	return dir
}
