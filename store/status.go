package store

import (
	"time"
)

// Status is how a store does.
type Status struct {
	ReadOnly   string         `json:"read_only,omitempty"` // why, if it is
	Since      time.Time      `json:"since"`
	Durability Durability     `json:"durability"`
	Rules      int            `json:"rules"`
	Commits    uint64         `json:"commits"`
	Syncs      uint64         `json:"syncs"`
	Published  uint64         `json:"published"`
	Coalesced  uint64         `json:"coalesced"`
	Pending    int            `json:"pending"` // versions not yet in the backing directory
	PendingB   int64          `json:"pending_bytes"`
	Oldest     *time.Time     `json:"oldest_pending,omitempty"`
	Failing    string         `json:"publish_failing,omitempty"`
	Stopped    string         `json:"stopped,omitempty"`
	Replayed   int            `json:"replayed"` // commits recovered when it was opened
	Free       int64          `json:"free_bytes"`
	Counts     map[Kind]int64 `json:"counts"`
	Events     []Event        `json:"events"`
	Unparsed   []string       `json:"unparsed,omitempty"`
}

// Status is a snapshot.
func (s *Store) Status() Status {
	j := s.journal.Stats()
	st := Status{
		ReadOnly: s.readOnlyReason, Since: s.started, Durability: s.config.Durability, Rules: len(s.rules),
		Commits: j.Commits, Syncs: j.Syncs, Published: j.Published, Coalesced: j.Coalesced,
		Pending: j.Pending, PendingB: j.PendingBytes, Replayed: s.report.Records,
		Unparsed: s.unparsedPaths(),
	}
	if !j.OldestPending.IsZero() {
		st.Oldest = &j.OldestPending
	}
	if j.PublishFailing != nil {
		st.Failing = j.PublishFailing.Error()
	}
	if j.Stopped != nil {
		st.Stopped = j.Stopped.Error()
	}
	if free, err := s.disk.Free(); err == nil {
		st.Free = free
	}
	st.Events, st.Counts = s.events.snapshot()
	return st
}
