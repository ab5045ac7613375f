package journal

import (
	"errors"
	"maps"
	"slices"
	"syscall"

	"intactfs/journal/disk"
)

// maxHeldOld bounds the replaced files that stay open because the sync of
// their directory failed.
const maxHeldOld = 64

// held is an open file whose name is gone from dir, and perhaps not durably.
type held struct {
	dir  string
	file disk.File
}

// holdOld opens what has a name before another file takes it. The
// rename frees the blocks of the old file, and a file system may write other
// things into them before the rename itself is durable (ext4 does with
// data=writeback). A power failure in between would bring the old name back
// with foreign bytes under it. A file that is open is not freed.
//
// It does not help against the process being killed and the power failing
// right after; nothing that a process can hold does.
func (j *Journal) holdOld(w *job, name string) error {
	f, err := j.d.Open(name)
	switch {
	case err == nil:
		w.old = append(w.old, held{parentOf(name), f})
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES):
		// There is none, or one that this user must not read.
	default:
		return err
	}
	return nil
}

// letGo closes what the jobs held, where dirs has a directory without an
// error: it was synced since. What remains is held until it is.
func (j *Journal) letGo(jobs []*job, dirs map[string]error) {
	var gone []disk.File
	synced := func(dir string) bool { err, done := dirs[dir]; return done && err == nil }
	j.mu.Lock()
	all := j.old
	for _, w := range jobs {
		all = append(all, w.old...)
		w.old = nil
	}
	keep := all[:0]
	for _, h := range all {
		if synced(h.dir) {
			gone = append(gone, h.file)
		} else {
			keep = append(keep, h)
		}
	}
	for len(keep) > maxHeldOld {
		gone = append(gone, keep[0].file)
		keep = keep[1:]
	}
	j.old = keep
	j.mu.Unlock()
	for _, f := range gone {
		_ = f.Close() // was only held
	}
}

// letGoAll is for the end: directories whose sync failed get another. Where
// it fails too, the files stay open for as long as the process lives.
func (j *Journal) letGoAll() {
	j.mu.Lock()
	dirs := map[string]error{}
	for _, h := range j.old {
		dirs[h.dir] = nil
	}
	j.mu.Unlock()
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		dirs[dir] = j.d.SyncDir("close:sync-dir", dir)
	}
	j.letGo(nil, dirs)
}

// removeSegments removes segments for good. They stay open until that is
// durable, as replaced targets do: a name that came back with foreign bytes
// would pass for damage. After an error they stay open for as long as the
// process lives.
func removeSegments(d disk.Disk, step disk.Step, segs []*segment) error {
	if len(segs) == 0 {
		return nil
	}
	for _, s := range segs {
		if err := d.Remove(step, s.name); err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	if err := d.SyncDir(step+"-sync", segmentDir); err != nil {
		return err
	}
	for _, s := range segs {
		_ = s.file.Close() // holds nothing anybody needs
	}
	return nil
}
