package main

import (
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressAfter is how long something takes before its progress is shown.
const progressAfter = time.Second

// progress shows a bar on a terminal for what takes long. It may be told from
// several goroutines.
type progress struct {
	w     io.Writer // nil: not a terminal
	what  string
	now   func() time.Time
	start time.Time

	mu  sync.Mutex
	bar *progressbar.ProgressBar // guarded by mu; nil until it took long
}

func (a *app) newProgress(what string) *progress {
	p := &progress{what: what, now: a.now, start: a.now()}
	if a.terminal {
		p.w = a.stderr
	}
	return p
}

// at tells how much of total is done.
func (p *progress) at(done, total int64) {
	if p.w == nil || p.now().Sub(p.start) < progressAfter {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(p.what),
			progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true),
		)
	}
	_ = p.bar.Set64(min(done, total))
}

// end takes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
