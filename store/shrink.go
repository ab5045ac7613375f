package store

import (
	"context"
	"fmt"
	"syscall"

	"intactfs/fs"
)

// shrinks tells whether a new version of path would be a drastic shrink, and
// the size of what it replaces.
func (s *Store) shrinks(path string, size int64) (before int64, yes bool) {
	if s.shrinkAction(path) == ShrinkOff {
		return 0, false
	}
	key, ok := s.pastKey(path)
	if !ok {
		return 0, false
	}
	before = key.size
	if v, ok := s.journal.Pending(path); ok {
		before = v.Size
	}
	return before, isShrink(before, size)
}

// isShrink is the definition of a drastic shrink: more than 90 % and more than
// 1 KiB are lost. Retention, which keeps the version before, has the same.
func isShrink(before, after int64) bool {
	lost := before - after
	return lost > 1<<10 && lost*10 > before*9
}

func (s *Store) shrinkAction(path string) ShrinkAction {
	if r := s.rule(path); r != nil {
		return r.Shrink
	}
	return ShrinkOff
}

// noteShrink reports a shrink that was committed. The version before it stays
// in history whatever happens: retention knows it by the sizes.
func (s *Store) noteShrink(c fs.Commit, before int64, tx uint64) {
	s.note(Event{Kind: Shrunk, Path: c.Path, Who: c.Who, Tx: tx,
		Message: fmt.Sprintf("a save took it from %d to %d bytes; the version before is kept", before, c.Size)})
}

func (s *Store) refuseShrink(ctx context.Context, c fs.Commit, before int64) error {
	reason := fmt.Sprintf("drastic shrink: from %d to %d bytes", before, c.Size)
	err := s.Refuse(ctx, fs.Refusal{
		Path: c.Path, Inline: c.Inline, Stage: c.Stage, Size: c.Size,
		Attr: c.Attr, Who: c.Who, Reason: reason,
	})
	if err != nil {
		return err
	}
	return fmt.Errorf("commit %s: %s: %w", c.Path, reason, syscall.EBADMSG)
}
