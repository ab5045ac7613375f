package backup

import (
	"errors"
	"fmt"
	"io"

	"intactfs/journal/disk"
)

// secure makes durable what an earlier process left in a pack, f: it may have
// died before its sync, or after one that failed, and the page cache doesn't
// tell. A page that a failed sync gave up looks like one that is on the disk,
// and no further sync writes it. So the last append, of which alone this can
// be true, is written once more. Others can rely on it: the next append to a
// pack begins only when the one before is durable.
func (a *appender) secure(f disk.File, pack string) error {
	if a.secured == pack {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = rewrite(f, a.h.lastAppend(pack), info.Size)
	if err == nil {
		err = f.Sync("history:sync")
	}
	if err == nil {
		err = a.s.syncDirs("history:syncdir", a.h.dir)
	}
	if err != nil {
		// All of it stays readable, but none of it is relied on.
		a.s.distrust(info.Ino, info.Size)
		a.h.tail = nil
		a.s.forget(a.h.dir)
		a.failed = true
		return fmt.Errorf("secure %s: %w", pack, err)
	}
	a.secured = pack
	return nil
}

// securePack is secure for a pack that is not open, unless this process synced
// it itself.
func (a *appender) securePack(pack string) error {
	if a.s.isSynced(pack) {
		return nil
	}
	f, err := a.s.d.OpenWrite("history:open", pack)
	if err != nil {
		return err
	}
	return errors.Join(a.secure(f, pack), f.Close())
}

// lastAppend is the offset at which the last append to a pack begins.
func (h *history) lastAppend(pack string) int64 {
	var last *record
	for _, recs := range [][]record{h.recs, h.twice} {
		for i := range recs {
			if r := &recs[i]; r.Pack == pack && (last == nil || r.Offset > last.Offset) {
				last = r
			}
		}
	}
	if last == nil {
		return 0
	}
	return last.Offset - last.batch
}

// rewriteStep is how much is rewritten at a time, in bytes.
const rewriteStep = 1 << 20

// rewrite writes the bytes from off to end where they are.
func rewrite(f disk.File, off, end int64) error {
	buf := make([]byte, min(rewriteStep, end-off))
	for off < end {
		p := buf[:min(int64(len(buf)), end-off)]
		if n, err := f.ReadAt(p, off); n < len(p) {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
		if _, err := f.WriteAt("history:rewrite", p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}
