package ledger

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"intactfs/integration/crashlab/blocklog"
)

// Begin is the label of the mark behind which crashes are examined: what was
// acknowledged before it was also synced.
const Begin = "begin"

// Event is one change that the workload made to a file.
type Event struct {
	File    string
	Number  int  // counted from 1 for each file; the version of a save
	Removal bool // the file was unlinked
	Synced  bool // the program asked for durability and was told so: fsync
	Started int  // index in the log of the mark before the first system call
	Acked   int  // of the mark after the last one succeeded; 0: never
}

// Label is the text of a mark: what is "start" or "ack".
func (e Event) Label(what string) string {
	kind := "save"
	switch {
	case e.Removal:
		kind = "remove"
	case e.Synced:
		kind = "sync"
	}
	return fmt.Sprintf("%s %s %s %d", what, kind, e.File, e.Number)
}

// Linked is the text of the mark that says that a file has another name,
// durably. It has the last element of that.
func Linked(name string) string { return "linked " + name }

// Ledger is the events of a recorded run, in the order they started.
type Ledger struct {
	Events []Event
	Begin  int             // index of the Begin mark
	Links  map[string]int  // by other name of a file, the index of the mark that it has it
	Times  []time.Duration // of each operation of the log; none without a clock
	// Grace is for how long a save may be lost that was acknowledged and not
	// synced: 0 where every acknowledgement is a promise.
	Grace time.Duration
}

// Read collects the events of a log.
func Read(ops []blocklog.Op) (Ledger, error) {
	var l Ledger
	for _, o := range ops {
		if o.Time > 0 {
			l.Times = append(l.Times, o.Time)
		}
	}
	if len(l.Times) != len(ops) {
		l.Times = nil
	}
	where := map[string]int{} // start label to index in Events
	for i, o := range ops {
		if o.Kind != blocklog.Mark {
			continue
		}
		if o.Label == Begin {
			l.Begin = i
			continue
		}
		fields := strings.Fields(o.Label)
		if len(fields) == 2 && fields[0] == "linked" {
			if l.Links == nil {
				l.Links = map[string]int{}
			}
			l.Links[fields[1]] = i
			continue
		}
		if len(fields) != 4 {
			continue // a mark for the reader of the log
		}
		n, err := strconv.Atoi(fields[3])
		if err != nil {
			return Ledger{}, fmt.Errorf("mark %d %q: %w", i, o.Label, err)
		}
		e := Event{File: fields[2], Number: n, Removal: fields[1] == "remove", Synced: fields[1] == "sync", Started: i}
		switch at, ok := where[e.Label("start")]; {
		case fields[0] == "start":
			where[o.Label] = len(l.Events)
			l.Events = append(l.Events, e)
		case fields[0] == "ack" && ok:
			l.Events[at].Acked = i
		default:
			return Ledger{}, fmt.Errorf("mark %d %q: acknowledges what never started", i, o.Label)
		}
	}
	return l, nil
}

// at is when the crash came that came before operation end, at the latest.
func (l Ledger) at(end int) time.Duration {
	if len(l.Times) == 0 {
		return 0
	}
	return l.Times[min(end, len(l.Times)-1)]
}

// due says that a crash before operation end must not lose the event.
func (l Ledger) due(e Event, end int) bool {
	switch {
	case e.Acked == 0 || e.Acked >= end:
		return false
	case l.Grace == 0 || e.Synced || e.Acked < l.Begin:
		return true
	}
	return l.at(e.Acked)+l.Grace < l.at(end)
}

// Allowed is what may be found of one file after a crash.
type Allowed struct {
	Versions map[int]bool
	Absent   bool
	Newest   int // the newest acknowledged save; 0: none
}

// Check says whether a content, nil for no file, is allowed.
func (a Allowed) Check(name string, content []byte, exists bool) error {
	if !exists {
		if a.Absent {
			return nil
		}
		return fmt.Errorf("%s: missing, version %d was acknowledged", name, a.Newest)
	}
	n, err := Identify(name, content)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !a.Versions[n] {
		return fmt.Errorf("%s: is version %d, version %d was acknowledged: %w", name, n, a.Newest, ErrLost)
	}
	return nil
}

// After says what recovery must leave of each file when the crash came
// before operation end: at least what was acknowledged by then, at most what
// was started. A removal is not durable until a later save is, as natively,
// so that the versions before it are allowed back.
func (l Ledger) After(end int) map[string]Allowed {
	out := map[string]Allowed{}
	for _, e := range l.Events {
		if e.Started >= end {
			continue
		}
		a, ok := out[e.File]
		if !ok {
			a = Allowed{Versions: map[int]bool{}, Absent: true}
		}
		switch {
		case e.Removal:
			a.Absent = true
		case l.due(e, end):
			a.Versions, a.Absent, a.Newest = map[int]bool{e.Number: true}, false, e.Number
		default:
			a.Versions[e.Number] = true
		}
		out[e.File] = a
	}
	return l.allNames(out, end)
}

// allNames allows of the other names of files what is allowed of the files.
// Until they have them durably, there may be nothing.
func (l Ledger) allNames(out map[string]Allowed, end int) map[string]Allowed {
	for name, linked := range l.Links {
		if a, ok := out[path.Base(name)]; ok {
			a.Absent = a.Absent || linked >= end
			out[name] = a
		}
	}
	return out
}

// Bare says what a directory may hold before any recovery: any version that
// was ever started, and no file at all unless it was there from the start
// and never removed.
func (l Ledger) Bare(end int) map[string]Allowed {
	out := map[string]Allowed{}
	for _, e := range l.Events {
		if e.Started >= end {
			continue
		}
		a, ok := out[e.File]
		if !ok {
			a = Allowed{Versions: map[int]bool{}, Absent: true}
		}
		switch {
		case e.Removal:
			a.Absent = true
		case e.Acked > 0 && e.Acked < l.Begin:
			a.Absent, a.Newest = false, e.Number
		}
		if !e.Removal {
			a.Versions[e.Number] = true
		}
		out[e.File] = a
	}
	return l.allNames(out, end)
}

// Kept are the versions of each file that history must hold after recovery:
// every save that a crash before operation end must not lose. What was there from the start
// counts once a later save was acknowledged: until then the file itself
// holds it. Each name of a file has them all: it had it before the first save.
func (l Ledger) Kept(end int) map[string][]int {
	out := map[string][]int{}
	planted := map[string]int{}
	for _, e := range l.Events {
		switch {
		case e.Removal || !l.due(e, end):
		case e.Acked < l.Begin:
			planted[e.File] = e.Number
		default:
			if n, ok := planted[e.File]; ok {
				out[e.File] = append(out[e.File], n)
				delete(planted, e.File)
			}
			out[e.File] = append(out[e.File], e.Number)
		}
	}
	for name := range l.Links {
		if numbers, ok := out[path.Base(name)]; ok {
			out[name] = numbers
		}
	}
	return out
}

// Loss is how old the oldest save is, at a crash before operation end, that was
// acknowledged by then and is lost, when these versions were found; 0: none.
// Files that were removed do not count.
func (l Ledger) Loss(end int, found map[string]int) time.Duration {
	removed := map[string]bool{}
	for _, e := range l.Events {
		removed[e.File] = removed[e.File] || e.Removal
	}
	var loss time.Duration
	for _, e := range l.Events {
		if !removed[e.File] && e.Acked > 0 && e.Acked < end && e.Number > found[e.File] {
			loss = max(loss, l.at(end)-l.at(e.Acked))
		}
	}
	return loss
}

// Has says that a history which holds some versions of a file gives version
// n back: of a JSON Lines file, any later one begins with it.
func Has(name string, versions []int, n int) bool {
	return slices.ContainsFunc(versions, func(have int) bool {
		return have == n || have > n && strings.HasSuffix(name, ".jsonl")
	})
}
