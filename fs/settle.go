package fs

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"intactfs/fs/caller"
	"intactfs/fs/decide"
	"intactfs/fs/stage"
)

// event asks the state machine what an event does to the handle, finds out
// what it wants to know, and does it. tid is the thread that caused it, 0 if
// there is none.
func (w *writer) event(e decide.Event, tid uint32) error { return w.eventBy(e, closing{tid: tid}) }

func (w *writer) eventBy(e decide.Event, by closing) error {
	w.mu.Lock()
	w.flushed = w.flushed || e == decide.Flush
	committed, err := w.eventLocked(e, by)
	dropped := w.dropped
	w.mu.Unlock()
	if committed && !dropped {
		// With no lock held: the kernel may wait for reads that we serve.
		w.d.invalidate(e == decide.Flush || e == decide.Release)
	}
	return err
}

func (w *writer) eventLocked(e decide.Event, by closing) (bool, error) {
	if err := w.catchUp(); err != nil {
		return false, err
	}
	f := w.facts(e)
	for range 8 {
		d := decide.Decide(e, f)
		if d.Action != decide.Ask {
			if e == decide.Flush && f.Changed && f.Fate == decide.FateUnasked {
				w.record(w.s.who.Fate(by.tid)) // the last release will want it
			}
			return w.act(e, d, f)
		}
		if err := w.answer(d.Ask, e, by, &f); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("decide on %s: %w", w.d.name(), syscall.EIO)
}

// facts is what is known without asking anybody.
func (w *writer) facts(e decide.Event) decide.Facts {
	f := decide.Facts{Changed: w.changed(), Armed: w.armed, Draft: w.draft, Truncating: w.cut, New: !w.d.settled()}
	if w.stage == nil {
		return f
	}
	f.Poisoned = w.stage.Poisoned() != nil
	f.Empty = w.baseSz.Load()+w.stage.Size() == 0
	f.BaseChanged = w.d.headTx() != w.baseVersion.Tx
	if now, err := w.d.committed(); err == nil && f.Changed {
		f.BaseFull = now.attr.Size > 0
	}
	if rule := w.d.rule.Load(); rule != nil {
		f.AllowEmpty, f.Lines, f.RefuseConflict = rule.AllowEmpty, rule.Lines, rule.RefuseConflict && !w.lines
	}
	switch e {
	case decide.Idle:
		// A line may come in pieces, and the first be a line by itself.
		f.Lines = f.Lines && !(w.lines && w.torn())
		f.Inside = w.end.Load() < w.stage.Size()
		f.Fate = w.onRecord()
	case decide.Unlock:
		f.Fate = w.onRecord()
	}
	return f
}

// record notes what became of who closed a descriptor. What is written after it
// is somebody else's.
func (w *writer) record(f caller.Fate) { w.fate, w.fateAt = f, w.changes.Load() }

// onRecord is the fate of who wrote last, as far as a close told of it.
func (w *writer) onRecord() decide.Fate {
	if w.fateAt != w.changes.Load() {
		return decide.FateUnasked
	}
	return fateOf(w.fate)
}

// answer finds out one fact.
func (w *writer) answer(q decide.Question, e decide.Event, by closing, f *decide.Facts) error {
	switch q {
	case decide.Judge:
		res, err := w.stage.Judge()
		if err != nil {
			f.Poisoned = true
			return nil
		}
		f.Verdict, f.Proven = decide.VerdictOf(res.Verdict), res.Proven
		if f.Verdict == decide.Unfinished && w.addsBlank() {
			f.Verdict = decide.Whole
		}
	case decide.Holders:
		w.holders(by, f)
	case decide.Fates:
		if e != decide.Release {
			w.record(w.s.who.Fate(by.tid))
		}
		if f.Fate = fateOf(w.fate); e == decide.Release && !w.flushed {
			f.Fate = decide.NeverClosed
		}
	case decide.Others:
		f.Other = w.heldByOther(by)
	default:
		return fmt.Errorf("unknown question %d: %w", q, syscall.EIO)
	}
	return nil
}

func fateOf(f caller.Fate) decide.Fate {
	switch {
	case f.State == caller.Alive:
		return decide.Alive
	case f.State == caller.Killed:
		return decide.Killed
	case f.State == caller.Exited && f.Code == 0:
		return decide.ExitedClean
	case f.State == caller.Exited:
		return decide.ExitedBad
	}
	return decide.FateUnknown
}

// act does what was decided. It tells whether something was committed.
// The caller holds mu.
func (w *writer) act(e decide.Event, d decide.Decision, f decide.Facts) (bool, error) {
	switch d.Action {
	case decide.Commit:
		return w.commitNow(e)
	case decide.SyncCommitted:
		return false, w.s.store.Sync(w.s.ctx)
	case decide.Arm:
		if err := w.stage.Sync(); err != nil {
			return false, err
		}
		w.armed = true
	case decide.KeepDraft:
		w.keepDraft(e, f)
	case decide.Refuse:
		if w.nameless() {
			return false, nil // there is nothing that it could replace
		}
		w.refuse(d.Reason)
		return false, errInvalid
	case decide.Conflict:
		return false, syscall.ESTALE
	case decide.FailPoisoned:
		return false, w.stage.Poisoned()
	case decide.Quarantine:
		w.quarantine(d.Reason)
	case decide.Drop:
		if f.Changed && f.New && f.Fate == decide.FateUnknown {
			w.s.log.Warn("a new file is dropped", "path", w.d.name(), "reason", d.Reason,
				"program", w.opener.Program, "pid", w.opener.PID)
		}
		w.detach()
	}
	return false, nil
}

// commitNow makes the stage the newest version. When that fails at the last
// release there is nobody to tell: the content goes to quarantine.
func (w *writer) commitNow(e decide.Event) (bool, error) {
	if e == decide.Release && w.failed == w.changes.Load() {
		w.quarantine("it could not be committed when it was closed, and its writer was told so")
		return false, nil
	}
	err := w.commit(noteOf(e))
	if err != nil {
		w.failed = w.changes.Load()
	}
	if err != nil && e == decide.Release {
		w.s.log.Error("content could not be committed at its last close",
			"path", w.d.name(), "program", w.opener.Program, "pid", w.opener.PID, "error", err)
		w.quarantine("it could not be committed: " + err.Error())
		return false, nil
	}
	return err == nil, err
}

// noteOf says why a version was committed when it was not a close.
func noteOf(e decide.Event) string {
	switch e {
	case decide.Fsync:
		return "fsync"
	case decide.Ftruncate, decide.TruncatePath:
		return "truncate"
	case decide.Unlock:
		return "unlock"
	case decide.Idle:
		return "idle"
	case decide.Release:
		return "last release"
	case decide.Rename:
		return "rename"
	}
	return ""
}

// keepDraft leaves an emptied version for the next writer, unless something
// was committed since the handle emptied it. The stage ends at once: by the
// time of the last release somebody may have filled the draft.
func (w *writer) keepDraft(e decide.Event, f decide.Facts) {
	if !f.Empty {
		if e == decide.Release {
			w.quarantine("it was left unfinished")
		}
		return
	}
	d, cut := w.d, w.cut
	d.mu.Lock()
	if d.head.Tx == w.baseVersion.Tx && !d.gone {
		d.draft = true
	}
	d.mu.Unlock()
	d.show()
	w.detach()
	w.cut = cut // what this handle writes later still starts from nothing
}

// commit hands the stage over as the newest version of the document's name.
// The caller holds mu.
func (w *writer) commit(note string) error {
	d, s, done := w.d, w.s, false
	turned := w.turn()
	defer func() { turned(done) }()
	d.commit.Lock()
	defer d.commit.Unlock()
	s.commits.RLock()
	defer s.commits.RUnlock()
	path, links, parts, err := d.names()
	if err != nil {
		return err
	}
	d.mu.Lock()
	gone, head := d.gone, d.head
	d.mu.Unlock()
	rule := d.rule.Load()
	switch {
	case gone || path == "":
		return nil // nothing to replace; the handle keeps what it wrote
	case rule == nil && d.node.doc.Load() != nil:
		// It lost its protection with its name, and the file that has its
		// place now is protected: nobody writes into that.
		return fmt.Errorf("commit to a file that was renamed out of protection: %w", syscall.ESTALE)
	case rule == nil:
		return w.writeThrough()
	}
	collided := head.Tx != w.baseVersion.Tx && !w.lines
	if collided && rule.RefuseConflict {
		return syscall.ESTALE
	}
	attr, err := d.attrForCommit(w.mtime.Load())
	if err != nil {
		return err
	}
	if parts {
		note = strings.TrimPrefix(note+"; "+noteParted, "; ")
	}
	c := Commit{Path: path, Links: links, Attr: attr, Base: w.baseVersion.Tx, Who: w.opener, Note: note}
	if w.lines {
		err = w.commitLines(rule, c)
	} else {
		err = d.publish(w.stage, c)
	}
	if err != nil {
		return err
	}
	done = true
	if parts {
		s.log.Warn("a file has hard links that can't follow it: they keep the version before", "path", path)
	}
	if collided && head.Tx != 0 {
		s.counts.collisions.Add(1)
		s.store.Collided(path, w.baseVersion, head, w.opener)
	}
	w.detach()
	return nil
}

// publish seals a content and commits it. The caller holds the commit lock.
func (d *document) publish(content *stage.Stage, c Commit) error {
	res, err := content.Judge()
	if err != nil {
		return err
	}
	sealed, err := content.Seal(res)
	if err != nil {
		return err
	}
	c.Inline, c.Size, c.SHA256 = sealed.Inline, sealed.Size, sealed.SHA256
	c.CRC32C, c.HasCRC = sealed.CRC32C, sealed.HasCRC
	if sealed.File != nil {
		c.Inline, c.Stage = nil, sealed.File.(Stage)
	}
	v, err := d.s.store.Commit(d.s.ctx, c)
	if err != nil {
		content.Unseal()
		return fmt.Errorf("commit %s: %w", c.Path, err)
	}
	d.committedNow(v, sealed.Resume)
	return nil
}

// noteParted says of a version that it is the first of a file that had names
// beneath that keep the version before.
const noteParted = "parted from its other hard links"

// committedNow notes a commit.
func (d *document) committedNow(v Version, resume *stage.Resume) {
	d.s.counts.commits.Add(1)
	d.mu.Lock()
	unpin := d.shown && !d.exists
	d.head, d.resume, d.exists, d.draft, d.shown = v, resume, true, false, false
	d.ctime = v.Time
	if d.ctime.IsZero() {
		d.ctime = d.s.now()
	}
	d.mu.Unlock()
	if unpin {
		d.s.tree.unpin(d.node)
	}
}

// attrForCommit is the metadata that a commit carries over: of the version
// it replaces, or of the name that was never committed to.
func (d *document) attrForCommit(mtime int64) (Attr, error) {
	attr, err := d.attr()
	if err != nil {
		return Attr{}, err
	}
	attr.Mtime = d.s.now()
	if mtime != 0 {
		attr.Mtime = time.Unix(0, mtime)
	}
	return attr, nil
}

// invalidate drops the pages that the kernel filled from an older version.
// No lock is held.
func (d *document) invalidate(wait bool) {
	if !d.filled.Swap(false) {
		return
	}
	notify := func() { _ = d.s.server.InodeNotify(d.node.id, 0, 0) }
	if wait {
		notify()
		return
	}
	go notify()
}
