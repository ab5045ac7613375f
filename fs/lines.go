package fs

import (
	"bytes"
	"errors"

	"intactfs/fs/stage"
)

// A handle that appends to a file of lines adds to whatever is newest when it
// commits: its stage holds only its own lines, and a commit carries only those.
// Nothing of the file is read or copied for it but the last byte, once.

// tail is how a version ends.
type tail struct {
	tx   uint64
	size int64
	// torn: the last line has no line feed.
	torn bool
}

// extent is the number and the size of the newest version; nothing has none.
func (d *document) extent() (tail, error) {
	s := d.s
	s.names.RLock()
	defer s.names.RUnlock()
	d.mu.Lock()
	t, exists, gone := tail{tx: d.head.Tx}, d.exists, d.gone || d.leaving
	d.mu.Unlock()
	if gone {
		last, err := d.kept.Load().share()
		if err != nil {
			return t, err
		}
		defer last.close()
		return tail{tx: last.tx, size: last.size()}, nil
	}
	if path, ok := s.tree.path(d.node); ok {
		if v, ok := s.store.Pending(path); ok {
			return tail{tx: v.Tx, size: v.Size}, nil
		}
	}
	if !exists {
		return t, nil
	}
	st, err := s.stat(d.node)
	t.size = st.Size
	return t, err
}

// ending is extent with what the last byte is. The caller holds the commit
// lock.
func (d *document) ending() (tail, error) {
	t, err := d.extent()
	if err != nil || t.size == 0 {
		return t, err
	}
	d.mu.Lock()
	known := d.tail
	d.mu.Unlock()
	if known.tx == t.tx && known.size == t.size {
		return known, nil
	}
	p, err := d.pin()
	if err != nil {
		return t, err
	}
	defer p.close()
	t = tail{tx: p.tx, size: p.size()}
	t.torn, err = isTorn(p)
	return t, err
}

// isTorn tells whether the last line of a content has no line feed.
func isTorn(p *pinned) (bool, error) {
	if p.size() == 0 {
		return false, nil
	}
	last := make([]byte, 1)
	_, err := p.ReadAt(last, p.size()-1)
	return last[0] != '\n', err
}

// appendTries is how often an append looks for the newest version anew. Only
// what is committed past the document moves it: a restore.
const appendTries = 5

// commitLines commits the handle's lines behind the newest version. Those of a
// name that was emptied replace what was there. The caller holds w.mu and the
// commit lock.
func (w *writer) commitLines(rule *Rule, c Commit) error {
	d := w.d
	d.mu.Lock()
	draft := d.draft
	d.mu.Unlock()
	for range appendTries {
		if draft || w.cut {
			break
		}
		t, err := d.ending()
		if err != nil {
			return err
		}
		added, err := w.lineBytes(t.torn)
		if err != nil {
			return err
		}
		v, err := d.s.store.Append(d.s.ctx, Append{
			Path: c.Path, Links: c.Links, Attr: c.Attr, Bytes: added, Base: t.tx, BaseSize: t.size, Who: c.Who, Note: c.Note,
		})
		switch {
		case err == nil:
			d.committedNow(v, nil)
			if n := len(added); n > 0 {
				d.mu.Lock()
				d.tail = tail{tx: v.Tx, size: v.Size, torn: added[n-1] != '\n'}
				d.mu.Unlock()
			}
			return nil
		case errors.Is(err, ErrTooLong):
			return w.commitJoined(rule, c)
		case !errors.Is(err, ErrMoved):
			return err
		}
	}
	return w.commitJoined(rule, c)
}

// commitJoined commits the whole file with the handle's lines behind it.
func (w *writer) commitJoined(rule *Rule, c Commit) error {
	whole, base, err := w.joined(rule)
	if err != nil {
		return err
	}
	defer base.close()
	defer whole.Discard()
	return w.d.publish(whole, c)
}

// joined is the newest version with the handle's lines after it. The caller
// closes the base once the content is gone.
func (w *writer) joined(rule *Rule) (*stage.Stage, *pinned, error) {
	d := w.d
	d.mu.Lock()
	draft, head, resume := d.draft, d.head, d.resume
	d.mu.Unlock()
	p := &pinned{}
	if !draft && !w.cut {
		var err error
		if p, err = d.pin(); err != nil {
			return nil, nil, err
		}
	}
	base := stage.Base{Content: p, Size: p.size()}
	if p.tx == head.Tx && p.tx != 0 {
		base.Resume = resume
	}
	whole := stage.NewOn(w.s.stageOptions(rule), base)
	if err := w.appendTo(whole, p); err != nil {
		whole.Discard()
		p.close()
		return nil, nil, err
	}
	return whole, p, nil
}

// appendTo adds the handle's lines to a content, on a line of their own.
func (w *writer) appendTo(whole *stage.Stage, base *pinned) error {
	torn, err := isTorn(base)
	if err != nil || w.stage.Size() == 0 {
		return err
	}
	first, err := w.lineFeed(torn)
	if err != nil {
		return err
	}
	if _, err := whole.Append(first); err != nil {
		return err
	}
	buf := make([]byte, min(w.stage.Size(), 1<<20))
	for off := int64(0); off < w.stage.Size(); {
		n, err := readAt(w.stage, buf, off)
		if err != nil || n == 0 {
			return err
		}
		if _, err := whole.Append(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// lineFeed is what goes between a torn last line and the handle's lines: a line
// feed, unless they begin with one.
func (w *writer) lineFeed(torn bool) ([]byte, error) {
	if !torn {
		return nil, nil
	}
	first := make([]byte, 1)
	if _, err := readAt(w.stage, first, 0); err != nil || first[0] == '\n' {
		return nil, err
	}
	return []byte{'\n'}, nil
}

// lineBytes is the handle's lines, for behind a last line that is torn or not.
func (w *writer) lineBytes(torn bool) ([]byte, error) {
	first, err := w.lineFeed(torn)
	if err != nil {
		return nil, err
	}
	n := len(first)
	all := append(make([]byte, 0, n+int(w.stage.Size())), first...)[:n+int(w.stage.Size())]
	got, err := readAt(w.stage, all[n:], 0)
	return all[:n+got], err
}

// addsBlank tells whether a stage of lines ends lines that are there and has none
// of its own: many programs write the line feed apart. The caller holds w.mu.
func (w *writer) addsBlank() bool {
	n := w.stage.Size()
	if !w.lines || w.baseSz.Load() == 0 || n > 4096 {
		return false
	}
	all, err := w.lineBytes(false)
	return err == nil && len(bytes.TrimSpace(all)) == 0
}

// torn tells whether the content ends within a line. The caller holds w.mu.
func (w *writer) torn() bool {
	last := make([]byte, 1)
	n, err := readAt(w.stage, last, w.stage.Size()-1)
	return err == nil && n == 1 && last[0] != '\n'
}

// readLines reads what an appending handle sees: the version that was newest
// when it first read, and its own lines. It tells to begin anew if the stage
// ended meanwhile.
func (w *writer) readLines(buf []byte, off int64) (n int, again bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage == nil || !w.lines {
		return 0, true, nil
	}
	if w.base == nil {
		p, err := w.d.pin()
		if err != nil {
			return 0, false, err
		}
		w.base = p
		w.baseVersion.Tx = p.tx
		w.baseSz.Store(p.size())
	}
	if off < w.base.size() {
		if n, err = w.base.ReadAt(buf, off); err != nil || n == len(buf) {
			return n, false, err
		}
	}
	more, err := readAt(w.stage, buf[n:], off+int64(n)-w.base.size())
	return n + more, false, err
}

// useWhole is use for what changes more than the end: lines become a stage of
// the whole file first.
func (w *writer) useWhole(call func(*stage.Stage) error) error {
	for {
		lines := false
		err := w.use(func(st *stage.Stage) error {
			if lines = w.lines; lines {
				return nil
			}
			return call(st)
		})
		if err != nil || !lines {
			return err
		}
		if err := w.widen(); err != nil {
			return err
		}
	}
}

// widen makes a stage of lines one of the whole file.
func (w *writer) widen() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage == nil || !w.lines {
		return nil
	}
	whole, base, err := w.joined(w.d.rule.Load())
	if err != nil {
		return err
	}
	w.stage.Discard()
	w.base.close()
	w.base, w.lines = base, false
	w.baseVersion.Tx = base.tx
	w.baseSz.Store(0)
	w.attach(whole)
	return nil
}
