package fs

import (
	"time"

	"intactfs/fs/decide"
)

// A handle that stays open commits when it is quiet.

// restartIdle waits anew for the handle to be quiet.
func (w *writer) restartIdle() {
	if !w.idles {
		return
	}
	w.idleMu.Lock()
	defer w.idleMu.Unlock()
	switch {
	case w.closed:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.s.idle, w.idle)
	default:
		w.timer.Reset(w.s.idle)
	}
}

func (w *writer) idle() {
	if err := w.event(decide.Idle, 0); err != nil {
		w.s.log.Warn("a quiet file is not committed", "path", w.d.name(), "error", err)
	}
}

func (w *writer) stopIdle() {
	w.idleMu.Lock()
	defer w.idleMu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
