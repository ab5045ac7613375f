package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"intactfs/fs"
)

// Kind is what an Event tells of.
type Kind string

// The kinds of events. Committed is only counted.
const (
	Committed Kind = "committed"
	Refused   Kind = "refused"           // a content went to quarantine
	Collided  Kind = "collided"          // a commit replaced a version its writer had not seen
	Shrunk    Kind = "shrunk"            // a commit lost nearly everything
	Adopted   Kind = "adopted"           // a file changed beneath became a version
	BadFile   Kind = "invalid-beneath"   // a file changed beneath is not valid
	Vanished  Kind = "removed-beneath"   // a file was removed beneath
	Unparsed  Kind = "unparsed"          // a file that never parsed is hardly guarded
	Restored  Kind = "restored"          // a version was brought back
	HeldBack  Kind = "retention-held"    // retention dropped nothing, because it was not safe
	Unkept    Kind = "history-imperfect" // history could not take something
)

// Event is something a person may want to know.
type Event struct {
	Kind    Kind      `json:"kind"`
	Time    time.Time `json:"time"`
	Path    string    `json:"path,omitempty"`
	Message string    `json:"message"`
	Tx      uint64    `json:"tx,omitempty"`
	Who     fs.Writer `json:"who"`
	Line    int64     `json:"line,omitempty"`
	Column  int64     `json:"column,omitempty"`
	Offset  int64     `json:"offset,omitempty"`
	ID      string    `json:"id,omitempty"` // in quarantine
}

// maxEvents is how many events are remembered; the log has all.
const maxEvents = 128

// events remembers the latest, and counts all.
type events struct {
	mu     sync.Mutex
	recent []Event // oldest first
	counts map[Kind]int64
}

func (e *events) count(k Kind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.add(k)
}

func (e *events) add(k Kind) {
	if e.counts == nil {
		e.counts = map[Kind]int64{}
	}
	e.counts[k]++
}

func (e *events) push(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.add(ev.Kind)
	if len(e.recent) == maxEvents {
		e.recent = append(e.recent[:0], e.recent[1:]...)
	}
	e.recent = append(e.recent, ev)
}

func (e *events) snapshot() ([]Event, map[Kind]int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	counts := make(map[Kind]int64, len(e.counts))
	for k, n := range e.counts {
		counts[k] = n
	}
	return append([]Event(nil), e.recent...), counts
}

// note remembers, counts and logs an event.
func (s *Store) note(e Event) {
	e.Time = s.now()
	s.events.push(e)
	attrs := []slog.Attr{slog.String("path", e.Path)}
	if e.Who != (fs.Writer{}) {
		attrs = append(attrs, slog.String("program", e.Who.Program), slog.Int("pid", int(e.Who.PID)), slog.Int("uid", int(e.Who.UID)))
	}
	if e.Line != 0 {
		attrs = append(attrs, slog.Int64("line", e.Line), slog.Int64("column", e.Column), slog.Int64("offset", e.Offset))
	}
	if e.Tx != 0 {
		attrs = append(attrs, slog.String("version", FormatTx(e.Tx)))
	}
	if e.ID != "" {
		attrs = append(attrs, slog.String("id", e.ID))
	}
	attrs = append(attrs, slog.String("reason", e.Message))
	level := slog.LevelWarn
	if e.Kind == Restored || e.Kind == Adopted {
		level = slog.LevelInfo
	}
	s.log.LogAttrs(context.Background(), level, string(e.Kind), attrs...)
}
