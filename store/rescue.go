package store

import (
	"context"
	"fmt"
	"io"

	"intactfs/backup"
	"intactfs/journal"
)

// tornReason is why a content that a torn record names is in quarantine.
const tornReason = "its record at the end of the journal can't be read: torn by a crash before it was acknowledged, or damaged"

// rescue puts a content into quarantine that the end of the journal names and
// that is not replayed. It is for journal.Options.Rescue, which comes before
// there is a journal.
func (s *Store) rescue(v journal.Version, content io.ReaderAt) error {
	kept := uint64(0)
	if e, ok, err := s.history.Newest(v.Path); err == nil && ok {
		kept = e.Tx
	}
	r, err := s.history.Refuse(context.Background(), backup.Rejection{
		Path: v.Path, Time: v.Time, Reason: tornReason, Size: v.Size, Kept: kept,
		PID: v.Who.PID, UID: v.Who.UID, Program: v.Who.Program,
	}, content)
	if err != nil {
		return fmt.Errorf("quarantine %s: %w", v.Path, err)
	}
	s.note(Event{Kind: Refused, Path: v.Path, Message: tornReason, ID: r.ID})
	return nil
}

// tornEnd tells of what can't be read at the ends of packs and of the journal:
// nothing that is known to have been acknowledged.
func tornEnd(d backup.Damage) Problem {
	text := fmt.Sprintf("%s: an interrupted append at %d is ignored", d.File, d.Offset)
	for i, tx := range d.Lost {
		if i == 0 {
			text += "; nothing else has version"
		}
		text += " " + FormatTx(tx)
	}
	return Problem{Path: d.Path, What: text}
}

func tornRecord(t journal.Torn) Problem {
	return Problem{Path: t.Segment, What: "torn end: " + t.String()}
}
