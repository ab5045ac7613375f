package backup

import (
	"errors"
	"fmt"
	"hash/crc32"

	"intactfs/journal/disk"
)

// appendBuffer is how much is gathered before it is written to the pack.
const appendBuffer = 4 << 20

// appender adds entries to the packs of one path. Nothing it adds counts
// before finish has returned nil. The caller holds the path's lock.
type appender struct {
	s *Store
	h *history

	f     disk.File // nil: no pack is open
	t     *tail     // of f, as it will be
	ino   uint64
	fresh bool  // f was created by this appender
	start int64 // bytes of f that were durable before
	flat  int64 // bytes of f that were written; buf lies behind
	buf   []byte
	recs  []record // of f, since start
	// taken are the numbers of recs, so that a batch can't hold one twice.
	taken map[uint64]int
	// fixed: everything goes to f, which the caller names and syncs.
	fixed bool
	// secured is the last pack whose end was made durable here.
	secured string
	// failed: entries were given up that put had taken.
	failed bool
}

// put adds a record and its frame. A keyframe goes to a new pack where the
// old one would grow beyond its size.
func (a *appender) put(rec record, frame []byte) error {
	rec.frameLen = int64(len(frame))
	rec.frameCRC = crc32.Checksum(frame, castagnoli)
	if err := a.room(&rec, rec.frameLen); err != nil {
		return err
	}
	head, err := a.head(&rec, 0)
	if err != nil {
		return err
	}
	a.buf = append(append(a.buf, head...), frame...)
	a.took(rec)
	if len(a.buf) >= appendBuffer {
		return a.flush()
	}
	return nil
}

// room opens the pack that a record goes to.
func (a *appender) room(rec *record, frameLen int64) error {
	if a.fixed {
		return nil
	}
	t := a.t
	if a.f == nil {
		t = a.h.tail
	}
	keyframe := rec.DeltaBase == 0 && !rec.Removed && t != nil && !t.chain.aside(rec.Size)
	if keyframe && t.off > 0 && t.off+frameLen > a.s.packSize {
		if err := a.finish(); err != nil {
			return err
		}
		return a.create()
	}
	switch {
	case a.f != nil:
		return nil
	case t != nil:
		return a.reopen()
	}
	return a.create()
}

// head places rec at the end of the pack and returns its line.
func (a *appender) head(rec *record, size int) ([]byte, error) {
	rec.Pack, rec.Offset = a.t.name, a.t.off
	if rec.batch = a.t.off - a.start; a.start == a.t.off {
		rec.batch = 0
	}
	head, err := encodeHeader(rec, size)
	if err != nil {
		return nil, err
	}
	rec.frameOff = rec.Offset + int64(len(head))
	rec.Stored = int64(len(head)) + rec.frameLen
	return head, nil
}

// took makes rec part of the pack to be.
func (a *appender) took(rec record) {
	a.t.off = rec.end()
	if !rec.Removed {
		a.t.chain.add(rec.Tx, rec.Size, rec.DeltaBase, rec.frameLen)
		if a.taken == nil {
			a.taken = make(map[uint64]int)
		}
		a.taken[rec.Tx] = len(a.recs)
	}
	a.recs = append(a.recs, rec)
}

// reopen goes on with the last pack of the history.
func (a *appender) reopen() error {
	t := *a.h.tail
	// The chain is changed in place: if this fails, the history is read anew.
	f, err := a.s.d.OpenWrite("history:open", t.name)
	if err != nil {
		return err
	}
	if !a.s.isSynced(t.name) { // left by an earlier process
		if err := a.secure(f, t.name); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return a.opened(f, &t, false)
}

func (a *appender) create() error {
	n := a.h.nextPack()
	t := &tail{num: n, name: a.h.dir + "/" + packName(n)}
	if err := a.s.d.MkdirAll("history:mkdir", a.h.dir, dirPerm); err != nil {
		return err
	}
	a.s.unsync(t.name)
	f, err := a.s.d.Create("history:create", t.name, packPerm)
	if err != nil {
		return err
	}
	a.h.packs = append(a.h.packs, packInfo{num: n, name: t.name})
	return a.opened(f, t, true)
}

func (a *appender) opened(f disk.File, t *tail, fresh bool) error {
	info, err := f.Stat()
	if err == nil && info.Size != t.off {
		err = fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, t.name, info.Size, t.off)
	}
	if err != nil {
		a.s.forget(a.h.dir)
		return errors.Join(err, f.Close())
	}
	if fresh {
		a.s.trust(info.Ino)
	}
	a.f, a.t, a.fresh, a.ino = f, t, fresh, info.Ino
	a.start, a.flat = t.off, t.off
	a.recs, a.taken = nil, nil
	return nil
}

// flush writes what was gathered.
func (a *appender) flush() error {
	if len(a.buf) == 0 {
		return nil
	}
	if _, err := a.f.WriteAt("history:append", a.buf, a.flat); err != nil {
		return errors.Join(err, a.abandon())
	}
	a.flat += int64(len(a.buf))
	a.buf = a.buf[:0]
	return nil
}

// finish makes the open pack durable and its new entries part of the history.
func (a *appender) finish() error {
	if a.f == nil {
		return nil
	}
	if err := a.flush(); err != nil {
		return err
	}
	err := a.f.Sync("history:sync")
	if err == nil && !a.s.isSynced(a.t.name) {
		err = a.s.syncDirs("history:syncdir", a.h.dir)
	}
	if err != nil {
		return errors.Join(err, a.abandon())
	}
	err = a.f.Close()
	a.f = nil
	a.s.markSynced(a.t.name)
	a.h.tail = a.t
	for i := range a.h.packs {
		if p := &a.h.packs[i]; p.name == a.t.name {
			p.size = a.t.off
		}
	}
	a.h.recs = append(a.h.recs, a.recs...)
	a.h.settle()
	a.recs, a.taken = nil, nil
	a.s.keepIndex(a.h)
	return err
}

// abandon gives up the open pack after an error: nothing of what was added
// since it was opened counts. The bytes are cut off again, so that a process
// that starts later has nothing to wonder about; nobody needs it to work.
func (a *appender) abandon() error {
	if a.f == nil || a.fixed {
		a.failed = true
		return nil
	}
	a.s.distrust(a.ino, a.start)
	if a.fresh && a.s.d.Remove("history:abandon", a.t.name) == nil {
		_ = a.s.d.SyncDir("history:abandon", a.h.dir) // gives its room back
	} else {
		_ = a.f.Truncate("history:abandon", a.start)
	}
	err := a.f.Close()
	a.failed = true
	a.f, a.t, a.recs, a.taken, a.buf = nil, nil, nil, nil, nil
	a.h.tail = nil
	a.s.forget(a.h.dir)
	return err
}
