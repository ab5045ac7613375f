package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"intactfs/journal/disk"
)

// keepAtOnce is how many versions of one path go to the history in one call.
const keepAtOnce = 64

// cloneFrom is the size in bytes from which on what an append goes on from is
// cloned rather than written.
const cloneFrom = 4096

// publishPath files all versions of a path in the history, and then makes
// the newest one the backing file. Each step may be done again, from the start,
// after an error or a crash: the history knows versions by their numbers, the
// target is replaced whole or not at all, and until the mark nothing of the
// journal is gone.
func (j *Journal) publishPath(ctx context.Context, w *job) error {
	info, err := j.d.Stat(w.path)
	exists := err == nil
	switch {
	case exists && !info.Mode.IsRegular():
		w.stranded = fmt.Errorf("target is not a regular file (%v): %w", info.Mode.Type(), syscall.EINVAL)
	case errors.Is(err, syscall.ENOENT):
	case hopeless(err):
		w.stranded = err
	case err != nil:
		return fmt.Errorf("publish %s: %w", w.path, err)
	}
	if w.stranded != nil {
		return j.preserve(ctx, w)
	}
	if err := j.adoptOld(ctx, w); err != nil {
		return err
	}
	err = j.keepAndReplace(ctx, w, info, exists)
	if err != nil || w.stranded != nil {
		return err
	}
	return j.remember(w)
}

// adoptOld files what the names of a job have now in the history, if it came
// there without us.
func (j *Journal) adoptOld(ctx context.Context, w *job) error {
	for _, name := range w.names() {
		info, err := j.d.Stat(name)
		switch {
		case errors.Is(err, syscall.ENOENT), hopeless(err):
			continue // what is in the way of a name is found when it is replaced
		case err != nil:
			return fmt.Errorf("publish %s: %w", name, err)
		case !info.Mode.IsRegular(), j.isOwn(name, info):
			continue
		}
		if err := j.o.Preserver.Adopt(ctx, name); err != nil {
			return fmt.Errorf("adopt %s into history: %w", name, err)
		}
	}
	return nil
}

// keepAndReplace files the versions in the history and prepares the new
// target, and then puts that in place. The two parts of the first step sync
// different files, and need not wait for each other: what matters is that the
// old target was adopted before the rename, and that all is durable before
// the mark.
func (j *Journal) keepAndReplace(ctx context.Context, w *job, old disk.Info, exists bool) error {
	v := w.newest()
	there, err := j.isThere(v, old, exists)
	if err != nil {
		return fmt.Errorf("publish %s: %w", w.path, err)
	}
	if there {
		if err := j.preserve(ctx, w); err != nil {
			return err
		}
		return j.putLinks(w)
	}
	var temp string
	prepare := func() (err error) { temp, err = j.prepare(v); return err }
	keep := func() error { return j.preserve(ctx, w) }
	var kerr, perr error
	// A checksum that is not known yet is computed on the way to the history,
	// and what is prepared is compared with it.
	if j.o.Manual || w.versions[0].appended || v.SHA256 == [32]byte{} {
		if kerr = keep(); kerr == nil {
			kerr = j.markAppends(w)
		}
		if kerr == nil {
			perr = prepare()
		}
	} else {
		kept := make(chan struct{})
		go func() { defer close(kept); kerr = keep() }()
		perr = prepare()
		<-kept
	}
	err = cmp.Or(kerr, perr)
	if err == nil {
		err = j.put(w, temp)
	}
	if err != nil && temp != "" {
		j.abandon(temp)
	}
	if kerr == nil && hopeless(err) {
		w.stranded, err = err, nil
	}
	if err == nil && w.stranded == nil {
		err = j.putLinks(w)
	}
	if err != nil && kerr == nil {
		return fmt.Errorf("publish %s: %w", w.path, err)
	}
	return err
}

// markAppends marks the appends that go on from the present target, if what
// takes its place is not one of them: nobody could read them any more, should
// a crash come before the mark of the round. They are in the history.
func (j *Journal) markAppends(w *job) error {
	n := 0
	for n < len(w.versions) && w.versions[n].appended {
		n++
	}
	if n == 0 || n == len(w.versions) {
		return nil
	}
	return j.mark([]TxID{w.versions[n-1].Tx})
}

// put gives the temporary file the name of the target.
func (j *Journal) put(w *job, temp string) error {
	if err := j.holdOld(w, w.path); err != nil {
		return err
	}
	return j.rename(temp, w.path)
}

// hopeless errors don't go away by trying again: what has the name of the
// target, or of a directory above it, is something else by now.
func hopeless(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EISDIR, syscall.ENOTDIR, syscall.ELOOP, syscall.EXDEV, syscall.ENAMETOOLONG} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// isOwn says that the backing file is just what the checkpointer made it: it
// is in the history.
func (j *Journal) isOwn(path string, info disk.Info) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.own[path] == seenOf(info)
}

func (j *Journal) remember(w *job) error {
	for _, name := range append([]string{w.path}, w.linked...) {
		info, err := j.d.Stat(name)
		if err != nil {
			return fmt.Errorf("publish %s: %w", name, err)
		}
		j.mu.Lock()
		if len(j.own) >= maxOwn {
			clear(j.own) // costs a comparison by Adopt for each
		}
		j.own[name] = seenOf(info)
		j.mu.Unlock()
	}
	return nil
}

// preserve hands the versions to the history of each name, oldest first.
func (j *Journal) preserve(ctx context.Context, w *job) error {
	for some := range slices.Chunk(withoutPrefixes(w.versions), keepAtOnce) {
		if err := j.preserveSome(ctx, w.names(), some); err != nil {
			return fmt.Errorf("preserve %s: %w", w.path, err)
		}
	}
	return nil
}

func (j *Journal) preserveSome(ctx context.Context, names []string, versions []*version) error {
	kept := make([]Kept, 0, len(versions))
	var contents []Content
	defer func() {
		for _, c := range contents {
			_ = c.Close() // was only read
		}
	}()
	for _, v := range versions {
		c, err := j.open(v)
		if err != nil {
			return err
		}
		contents = append(contents, c)
		if err := j.sumUp(v, c); err != nil {
			return err
		}
		kept = append(kept, Kept{Version: v.Version, Content: c})
	}
	for _, name := range names {
		if err := j.o.Preserver.Preserve(ctx, name, kept); err != nil {
			return err
		}
	}
	return nil
}

// isThere says that the backing file is the stage of v itself: it was put
// there before a crash.
func (j *Journal) isThere(v *version, old disk.Info, exists bool) (bool, error) {
	if !exists || v.stage == "" {
		return false, nil
	}
	info, err := j.d.Stat(v.stage)
	return err == nil && info.Ino == old.Ino && info.Dev == old.Dev, err
}

// prepare makes a complete, synced file of v with its attributes. After an
// error the file that temp names may be there in part.
func (j *Journal) prepare(v *version) (temp string, err error) {
	temp, err = uniqueName(temporaryPrefix, v.Tx, j.o.Rand)
	if err != nil {
		return "", err
	}
	if v.stage != "" && !v.attrFailed {
		err = j.linkStage(v, temp)
	} else {
		err = j.writeTemporary(v, temp)
	}
	return temp, err
}

// abandon removes a temporary file that may not be there.
func (j *Journal) abandon(temp string) {
	if err := j.d.Remove("publish:abandon", temp); err != nil && !errors.Is(err, syscall.ENOENT) {
		j.o.Log.Warn("temporary file stays until the next start", "file", temp, "error", err)
	}
}

// linkStage gives the stage itself the attributes and a second name. The
// first one stays until the mark: a crash in between finds the content.
func (j *Journal) linkStage(v *version, temp string) error {
	f, err := j.d.OpenWrite("publish:open-stage", v.stage)
	if err != nil {
		return err
	}
	err = f.SetAttr("publish:stage-attr", v.Attr)
	if err == nil {
		err = f.Sync("publish:stage-sync")
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		// Nothing of this inode is sure any longer but what was synced by
		// the commit, which a copy will compare with its checksum.
		v.attrFailed = true
		return err
	}
	err = j.d.Link("publish:link-stage", v.stage, temp)
	if noLinks(err) {
		return j.writeTemporary(v, temp)
	}
	return err
}

// noLinks says that the file system has no hard links, or no more for this
// file.
func noLinks(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS, syscall.EMLINK} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// writeTemporary writes the content into a file of its own.
func (j *Journal) writeTemporary(v *version, temp string) error {
	c, err := j.open(v)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // was only read
	f, err := j.d.Create("publish:create", temp, 0o600)
	if err != nil {
		return err
	}
	done, err := cloneBase(f, c)
	if err == nil {
		err = copyContent(f, c, v, done)
	}
	if err == nil {
		err = f.SetAttr("publish:attr", v.Attr)
	}
	if err == nil {
		err = f.Sync("publish:sync")
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// cloneBase lets the file system copy what an append goes on from, a gigabyte
// perhaps, or share it with the old file. It returns how much there is now.
func cloneBase(f disk.File, c Content) (int64, error) {
	p, ok := c.(*pieces)
	if !ok || len(p.parts) == 0 {
		return 0, nil
	}
	base, ok := p.parts[0].(fileContent)
	cloner, can := f.(disk.Cloner)
	if !ok || !can || base.size < cloneFrom {
		return 0, nil
	}
	err := cloner.CloneFrom("publish:clone", base.File, base.size)
	if errors.Is(err, errors.ErrUnsupported) {
		return 0, nil
	}
	return base.size, err
}

// copyContent writes c into f, from offset off on. A content that was in a
// file is compared with its checksum on the way; one in a record has that of
// the record. What was cloned is not read again: the history read it, and
// compared it, a moment before.
func copyContent(f disk.File, c Content, v *version, off int64) error {
	check := off == 0 && (v.stage != "" || v.appended)
	sum := sha256.New()
	buf := make([]byte, min(max(v.Size-off, 1), 1<<20))
	for off < v.Size {
		n, err := c.ReadAt(buf[:min(int64(len(buf)), v.Size-off)], off)
		if n == 0 && err != nil {
			return fmt.Errorf("read version %d: %w", v.Tx, err)
		}
		if check {
			sum.Write(buf[:n])
		}
		if _, err := f.WriteAt("publish:write", buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	if check && [32]byte(sum.Sum(nil)) != v.SHA256 {
		return &Damage{Segment: cmp.Or(v.stage, v.Path), Reason: "content changed since it was committed"}
	}
	return nil
}

// rename moves temp over the target. A directory that is gone meanwhile is
// made again: better a file where nobody looks than one lost.
func (j *Journal) rename(temp, path string) error {
	err := j.d.Rename("publish:rename", temp, path)
	if !errors.Is(err, syscall.ENOENT) {
		return err
	}
	if err := j.makeParents(parentOf(path)); err != nil {
		return err
	}
	j.o.Log.Warn("directory of a pending version was gone and is made again", "path", path)
	return j.d.Rename("publish:rename", temp, path)
}

// makeParents makes dir and everything above it. Their names are durable with
// what is put there: what was known of others there before counts no more.
func (j *Journal) makeParents(dir string) error {
	if dir == "" {
		return nil
	}
	j.mu.Lock()
	clear(j.above)
	j.mu.Unlock()
	return j.d.MkdirAll("publish:make-dir", dir, 0o755)
}
