package fs

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
)

// counters count since the mount.
type counters struct {
	commits    atomic.Int64
	refusals   atomic.Int64
	collisions atomic.Int64
	unwaited   atomic.Int64 // commits in the middle of somebody's transfer
}

// Stats is what a mount has done since it began, and what is open in it now.
type Stats struct {
	Commits    int64 // versions committed
	Refusals   int64 // contents refused
	Collisions int64 // commits that replaced a version their writer had not seen
	Nodes      int   // files the kernel knows
	Handles    int   // open files and directories
	Stages     []OpenStage
}

// OpenStage is a content that is being written.
type OpenStage struct {
	Path   string
	Size   int64
	Holder Writer // who opened it
}

// Stats tells the state of the mount.
func (v *Server) Stats() Stats { return v.fs.stats() }

func (s *fileSystem) stats() Stats {
	out := Stats{
		Commits:    s.counts.commits.Load(),
		Refusals:   s.counts.refusals.Load(),
		Collisions: s.counts.collisions.Load(),
		Handles:    s.handles.len(),
	}
	s.tree.mu.Lock()
	out.Nodes = len(s.tree.byID)
	s.tree.mu.Unlock()
	s.handles.each(func(f openFile) {
		w, _ := f.(*writer)
		if p, ok := f.(*plainFile); ok {
			w = p.late.Load()
		}
		if w == nil {
			return
		}
		if size, staged := w.size(); staged {
			out.Stages = append(out.Stages, OpenStage{Path: w.d.name(), Size: size, Holder: w.opener})
		}
	})
	return out
}

// holders names those known to hold a file open, for an error.
func (s *fileSystem) holders() string {
	seen := map[string]bool{}
	s.handles.each(func(f openFile) {
		path, _ := s.tree.path(f.owner())
		who := ""
		switch f := f.(type) {
		case *writer:
			who = fmt.Sprintf(" by %s (%d)", f.opener.Program, f.opener.PID)
		case *plainFile:
			if p, ok := s.who.Who(f.who); ok {
				who = fmt.Sprintf(" by %s (%d)", p.Program, p.TGID)
			}
		}
		if len(seen) < 10 {
			seen[path+who] = true
		}
	})
	if len(seen) == 0 {
		return ""
	}
	var open []string
	for line := range seen {
		open = append(open, line)
	}
	return ": open: " + strings.Join(open, ", ")
}

func stack() string { return string(debug.Stack()) }
