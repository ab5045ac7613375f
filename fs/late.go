package fs

import (
	"errors"

	"golang.org/x/sys/unix"

	"intactfs/fs/caller"
	"intactfs/fs/stage"
)

// A file that no rule protects may be renamed onto a protected name while it is
// still open. What it held is then the newest version, and its open handles go
// on with the inode that held it, which has no name beneath any more. What they
// write there is a save like others: each such handle gets a writer, whose stage
// is what the inode holds when something has to be decided.

// lately returns the handle's writer, which it makes if the file has a protected
// name by now; nil if it has none.
func (p *plainFile) lately() *writer {
	if w := p.late.Load(); w != nil {
		return w
	}
	d := p.n.doc.Load()
	if d == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.late.Load(); w != nil {
		return w
	}
	w := &writer{s: p.s, d: d, refused: -1, failed: -1, flushed: true, source: p, idles: p.s.idle > 0}
	if who, ok := p.s.who.Who(p.who); ok {
		w.opener = Writer{PID: who.TGID, UID: who.UID, Program: who.Program}
	}
	w.flags.Store(p.flags)
	w.next.Store(-1)
	w.end.Store(atTheEnd)
	w.shut.Store(p.shut.Load())
	var st unix.Stat_t
	if unix.Fstat(p.fd, &st) == nil {
		w.formerIno = st.Ino
	}
	d.mu.Lock()
	d.writers[w] = struct{}{}
	d.mu.Unlock()
	p.late.Store(w)
	return w
}

// touched notes a change that a protected name must follow. end is where it
// ended.
func (p *plainFile) touched(end int64) {
	p.n.writes.Add(1)
	w := p.lately()
	if w == nil {
		return
	}
	w.end.Store(end)
	p.behind.Store(true)
	w.touch()
}

// catchUp makes what the inode holds the stage, if it was changed since it was
// the last time. The caller holds mu.
func (w *writer) catchUp() error {
	p := w.source
	if p == nil || !p.behind.Swap(false) {
		return nil
	}
	content, err := w.s.contentOf(p.fd, w.d.rule.Load())
	if err != nil {
		p.behind.Store(true)
		return err
	}
	if w.stage == nil {
		w.d.mu.Lock()
		w.baseVersion = w.d.head
		w.d.mu.Unlock()
	} else {
		w.stage.Discard()
	}
	end := w.end.Load()
	w.attach(content)
	w.end.Store(end)
	w.fresh, w.base = true, &pinned{}
	return nil
}

// size is that of what the handle holds; false if it holds nothing of its own.
func (w *writer) size() (int64, bool) {
	st := w.viewed.Load()
	if p := w.source; p != nil && (st != nil || p.behind.Load()) {
		var beneath unix.Stat_t
		err := unix.Fstat(p.fd, &beneath)
		return beneath.Size, err == nil
	}
	if st == nil {
		return 0, false
	}
	return w.baseSz.Load() + st.Size(), true
}

// follow makes the open handles of a file that just got its protected name known
// to its document. missed says that it was written to meanwhile, too late for
// what was committed.
func (s *fileSystem) follow(n *node, missed bool) {
	s.tree.mu.Lock()
	open := n.pins > 0
	s.tree.mu.Unlock()
	if !open {
		return
	}
	s.handles.each(func(f openFile) {
		p, ok := f.(*plainFile)
		if !ok || p.n != n || p.flags&unix.O_ACCMODE == unix.O_RDONLY {
			return
		}
		if p.lately(); missed {
			p.touched(atTheEnd)
		}
	})
}

// copies looks for descriptors of a process that may be copies of the handle's.
// The kernel may not have heard yet that the number of a late one's file changed.
func (w *writer) copies(pid uint32) caller.Look {
	look := w.s.who.Copies(pid, w.d.ino, w.flags.Load())
	if w.formerIno == 0 {
		return look
	}
	former := w.s.who.Copies(pid, w.formerIno, w.flags.Load())
	return caller.Look{
		Count: look.Count + former.Count, At: append(look.At, former.At...),
		Known: look.Known && former.Known, Alive: look.Alive || former.Alive,
	}
}

// copyHolders is copies of all processes.
func (w *writer) copyHolders() caller.Scan {
	scan := w.s.who.CopyHolders(w.d.ino, w.flags.Load())
	if w.formerIno == 0 {
		return scan
	}
	former := w.s.who.CopyHolders(w.formerIno, w.flags.Load())
	for pid, n := range former.Counts {
		scan.Counts[pid] += n
	}
	scan.Known, scan.InTime = scan.Known && former.Known, scan.InTime && former.InTime
	return scan
}

// contentOf reads an open file beneath into a stage that nobody else has.
func (s *fileSystem) contentOf(fd int, rule *Rule) (*stage.Stage, error) {
	content := stage.New(s.stageOptions(rule))
	if err := s.fillFrom(content, fd); err != nil {
		content.Discard()
		return nil, err
	}
	return content, nil
}

func (s *fileSystem) fillFrom(content *stage.Stage, fd int) error {
	// Anew, for a descriptor that may only write.
	own, err := openat(unix.AT_FDCWD, procPath(fd), unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	file, err := newBackingContent(own)
	if err != nil {
		return err
	}
	buf := make([]byte, min(max(file.Size(), 1), 1<<20))
	for off := int64(0); ; {
		n, err := readAt(file, buf, off)
		if err != nil {
			return errors.Join(err, file.Close())
		}
		if n == 0 {
			return file.Close()
		}
		if _, err := content.Append(buf[:n]); err != nil {
			return errors.Join(err, file.Close())
		}
		off += int64(n)
	}
}

// refuseContent keeps a copy of a content that has no handle in quarantine.
func (s *fileSystem) refuseContent(path string, content *stage.Stage, res stage.Result, who Writer, why string) {
	r := Refusal{Path: path, Who: who, Reason: why}
	if f := res.Fault; f != nil {
		r = r.at(&Fault{f.Reason, f.Line, f.Column, f.Offset})
	}
	copied, err := s.copyOf(content)
	if err != nil {
		s.log.Error("a refused content can't be kept", "path", path, "error", err)
		return
	}
	r.Inline, r.Size = copied.Inline, copied.Size
	if copied.File != nil {
		r.Inline, r.Stage = nil, copied.File.(Stage)
	}
	s.refuse(r)
}
