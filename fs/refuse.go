package fs

import (
	"fmt"

	"intactfs/fs/stage"
)

// refuse keeps a copy of a content that is not valid in quarantine. The stage
// stays: who was refused may go on writing and make it whole. The same content
// is kept once. The caller holds mu.
func (w *writer) refuse(reason string) {
	changes := w.changes.Load()
	if w.refused == changes {
		return
	}
	r := w.refusal(reason)
	copied, err := w.s.copyOf(w.stage)
	if err != nil {
		w.s.log.Error("a refused content can't be kept", "path", r.Path, "error", err)
		return
	}
	r.Inline, r.Size = copied.Inline, copied.Size
	if copied.File != nil {
		r.Inline, r.Stage = nil, copied.File.(Stage)
	}
	w.s.refuse(r)
	w.refused = changes
}

// quarantine ends the stage and keeps what was in it. The caller holds mu.
func (w *writer) quarantine(reason string) {
	if w.stage == nil {
		return
	}
	if w.refused == w.changes.Load() {
		w.detach() // it is kept already
		return
	}
	if w.nameless() {
		w.detach() // removed with its name, as a file without one is
		return
	}
	r := w.refusal(reason)
	sealed, err := w.stage.Salvage()
	if err != nil {
		w.s.log.Error("a part of a refused content is lost", "path", r.Path, "error", err)
	}
	r.Inline, r.Size = sealed.Inline, sealed.Size
	if sealed.File != nil {
		r.Inline, r.Stage = nil, sealed.File.(Stage)
	}
	w.s.refuse(r)
	w.detach()
}

// nameless tells that the name of the document was removed.
func (w *writer) nameless() bool {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	return w.d.gone
}

// refusal is what quarantine is told of the stage, without the bytes.
func (w *writer) refusal(reason string) Refusal {
	r := Refusal{Path: w.d.name(), Who: w.opener, Reason: reason}
	r.Attr, _ = w.d.attr()
	res, err := w.stage.Judge()
	if err != nil || res.Fault == nil {
		return r
	}
	return r.at(&Fault{res.Fault.Reason, res.Fault.Line, res.Fault.Column, res.Fault.Offset})
}

// at adds what the validator found.
func (r Refusal) at(f *Fault) Refusal {
	if f == nil {
		return r
	}
	r.Line, r.Column, r.Offset = f.Line, f.Column, f.Offset
	if r.Reason == "" {
		r.Reason = f.Reason
	} else if f.Reason != "" && f.Reason != r.Reason {
		r.Reason = fmt.Sprintf("%s: %s", r.Reason, f.Reason)
	}
	return r
}

// refuse hands a refused content over to quarantine, which tells the log.
func (s *fileSystem) refuse(r Refusal) {
	s.counts.refusals.Add(1)
	if err := s.store.Refuse(s.ctx, r); err != nil {
		s.log.Error("a refused content can't be kept", "path", r.Path, "error", err)
	}
	if r.Stage != nil { // quarantine has its own copy
		_ = r.Stage.Close()
		s.store.Discard(r.Stage)
	}
}

// copyOf copies a content into a stage of its own and hands that over.
func (s *fileSystem) copyOf(from *stage.Stage) (stage.Sealed, error) {
	whole := stage.New(s.stageOptions(nil))
	buf := make([]byte, min(max(from.Size(), 1), 1<<20))
	for off := int64(0); ; {
		n, err := readAt(from, buf, off)
		if err != nil {
			whole.Discard()
			return stage.Sealed{}, err
		}
		if n == 0 {
			return whole.Salvage()
		}
		if _, err := whole.Append(buf[:n]); err != nil {
			whole.Discard()
			return stage.Sealed{}, err
		}
		off += int64(n)
	}
}
