package decide

// Decide says what the event does to a handle with these facts.
func Decide(e Event, f Facts) Decision {
	switch {
	case f.Poisoned:
		return poisoned(e, f)
	case e == Rename:
		return rename(f)
	case !f.Changed:
		return clean(e)
	}
	switch e {
	case Flush:
		return flush(f)
	case Fsync:
		return fsync(f)
	case Ftruncate:
		return ftruncate(f)
	case Unlock:
		return unlock(f)
	case Idle:
		return idle(f)
	case TruncatePath:
		return truncatePath(f)
	}
	return release(f)
}

func ask(q Question) Decision { return Decision{Action: Ask, Ask: q} }

func do(a Action, reason string) Decision { return Decision{Action: a, Reason: reason} }

// poisoned: the content lacks something its writer wrote. It can only end in
// quarantine, and whoever asks whether it was saved is told.
func poisoned(e Event, f Facts) Decision {
	switch e {
	case Flush:
		if d, stop := notTheLast(f); stop {
			return d
		}
		if d, stop := notAlone(f); stop {
			return d
		}
	case Unlock, Idle:
		return do(Nothing, "a write failed; close will say so")
	case Release:
		return do(Quarantine, "a write failed before the last close")
	}
	return do(FailPoisoned, "a write failed before")
}

// clean: a handle that never wrote never overwrites a newer version.
func clean(e Event) Decision {
	switch e {
	case Fsync:
		return do(SyncCommitted, "nothing changed")
	case Release:
		return do(Drop, "nothing changed")
	}
	return do(Nothing, "nothing changed")
}

// notTheLast stops at a close after which the flusher or the opener still has
// a descriptor: shells open, duplicate and close, and only then write.
func notTheLast(f Facts) (Decision, bool) {
	switch {
	case f.Held == Unasked:
		return ask(Holders), true
	case f.Held == Yes:
		return do(Nothing, "the file is still held by who opened or closes it"), true
	case f.Held == Unknowable && !f.ByOpener:
		return do(Nothing, "who holds the file can't be seen; the last release settles it"), true
	}
	return Decision{}, false
}

// notAlone stops before an error while some other process may hold the file:
// the error would be false if that one completes the content.
func notAlone(f Facts) (Decision, bool) {
	switch {
	case f.Other == Unasked:
		return ask(Others), true
	case f.Other == Yes:
		return do(Nothing, "another process still holds the file"), true
	case f.Other == OutOfTime:
		return do(Nothing, "there was no time to look at other processes; the last release settles it"), true
	case f.Other == Unknowable && !f.ByOpener:
		return do(Nothing, "other processes can't be seen; the last release settles it"), true
	}
	return Decision{}, false
}

// died tells that the writer did not get to the end of its save.
func (f Facts) died() bool { return f.Fate == Killed || f.Fate == ExitedBad }

// unseen tells that nothing says whether the writer closed what it wrote.
func (f Facts) unseen() bool { return f.Fate == FateUnknown || f.Fate == NeverClosed }

// exiting tells that no error can be told to the flusher.
func (f Facts) exiting() bool { return f.died() || f.Fate == ExitedClean }

// conflict tells that the rule refuses to replace what its writer never saw.
func (f Facts) conflict() bool { return f.RefuseConflict && f.BaseChanged }

const (
	whyConflict = "a newer version was committed since this one was begun"
	whyDied     = "its writer died, and what it wrote may be a part only"
	whyEmptied  = "the file was emptied; the next writer fills it"
	// A name that is new and empty has nothing to be known by but that its
	// maker closed it: touch does, and a writer killed before it wrote doesn't.
	whyUnseen = "a new name without content, of which can't be seen that its maker closed it"
)

// incomplete is the reason of content that is not whole.
func incomplete(f Facts) string {
	switch {
	case f.Verdict == Invalid:
		return "the content is invalid"
	case f.Draft:
		return "the file was emptied, and what was added is not complete"
	}
	return "the content is not complete"
}

func flush(f Facts) Decision {
	if d, stop := notTheLast(f); stop {
		return d
	}
	switch {
	case f.Fate == FateUnasked:
		return ask(Fates)
	case f.Empty && f.died():
		return do(Nothing, "emptied by a writer that died")
	case f.Empty && f.New && f.unseen():
		return do(Nothing, whyUnseen)
	case f.Empty && (!f.AllowEmpty || f.unseen()):
		return do(KeepDraft, whyEmptied)
	case !f.Empty && f.Verdict == Unjudged:
		return ask(Judge)
	case !f.Empty && f.Verdict != Whole:
		return refuse(f, Refuse, incomplete(f))
	case f.conflict():
		return refuse(f, Conflict, whyConflict)
	case f.died() && !f.Proven:
		return do(Nothing, whyDied)
	case f.died():
		// Somebody who inherited the descriptor may be in the middle of
		// more. Alone, or with nobody to be seen, it is all there is.
		if f.Other == Unasked {
			return ask(Others)
		}
		if f.Other == Yes || f.Other == OutOfTime {
			return do(Nothing, "another process still holds the file, or may")
		}
	}
	return do(Commit, "closed")
}

// refuse is an error at a close, if there is anybody to hear it and nobody
// who may still mend the content.
func refuse(f Facts, a Action, reason string) Decision {
	if f.exiting() {
		return do(Nothing, reason+"; the last release settles it")
	}
	if d, stop := notAlone(f); stop {
		return d
	}
	return do(a, reason)
}

// fsync commits what is complete. What is not is no error: TinyDB syncs
// before it truncates. Empty is incomplete whatever the rule: many programs
// sync right after they truncate.
func fsync(f Facts) Decision {
	switch {
	case f.Empty:
		return do(Arm, "synced while empty")
	case f.Verdict == Unjudged:
		return ask(Judge)
	case f.Verdict != Whole:
		return do(Arm, "synced before it is complete")
	case f.conflict():
		return do(Conflict, whyConflict)
	}
	return do(Commit, "synced")
}

func ftruncate(f Facts) Decision {
	switch {
	case !f.Armed:
		return do(Nothing, "no fsync waits for it")
	case f.Empty:
		return do(Nothing, "emptied")
	case f.Verdict == Unjudged:
		return ask(Judge)
	case f.Verdict != Whole:
		return do(Nothing, "still not complete")
	case f.conflict():
		return do(Conflict, whyConflict)
	}
	return do(Commit, "completed after an fsync")
}

func unlock(f Facts) Decision {
	switch {
	case f.died():
		return do(Nothing, whyDied)
	case f.Empty:
		return do(Nothing, "empty at unlock")
	case f.Verdict == Unjudged:
		return ask(Judge)
	case f.Verdict != Whole:
		return do(Nothing, "not complete at unlock")
	case f.conflict():
		return do(Nothing, whyConflict+"; close will say so")
	}
	return do(Commit, "unlocked")
}

// idle commits for handles that never close. One that truncated is in the
// middle of a save, however long it pauses: `{ a; sleep 9; b; } > f`. One that
// overwrites may be: the start of a new version over the rest of an old one can
// be whole by chance. Else only what can't be a part passes.
func idle(f Facts) Decision {
	switch {
	case f.Truncating:
		return do(Nothing, "a save that began with truncation ends with a close")
	case f.Inside:
		return do(Nothing, "quiet, but it has not overwritten all there was")
	case f.died():
		return do(Nothing, whyDied)
	case f.Empty:
		return do(Nothing, "empty")
	case f.Verdict == Unjudged:
		return ask(Judge)
	case f.Verdict != Whole:
		return do(Nothing, "quiet, but not complete")
	case !f.Proven && !f.Lines:
		return do(Nothing, "quiet, but it may be a part only")
	case f.conflict():
		return do(Nothing, whyConflict+"; close will say so")
	}
	return do(Commit, "quiet and complete")
}

func truncatePath(f Facts) Decision {
	switch {
	case f.Empty && f.AllowEmpty:
		return do(Commit, "emptied, as its rule allows")
	case f.Empty:
		return do(KeepDraft, whyEmptied)
	case f.Verdict == Unjudged:
		return ask(Judge)
	case f.Verdict != Whole:
		return do(Refuse, "what is left after the cut is not whole")
	}
	return do(Commit, "cut by path")
}

func rename(f Facts) Decision {
	switch {
	case f.Empty && f.BaseFull && !f.AllowEmpty:
		return do(Refuse, "an empty file would replace one with content")
	case f.Empty:
		return do(Commit, "renamed, empty")
	case f.Verdict == Unjudged:
		return ask(Judge)
	case f.Verdict != Whole:
		return do(Refuse, incomplete(f))
	}
	return do(Commit, "renamed")
}

// release decides what no flush could: nobody is left who could go on, or be
// told.
func release(f Facts) Decision {
	switch {
	case f.Fate == FateUnasked:
		return ask(Fates)
	case f.Empty && f.died():
		return do(Drop, "emptied by a writer that died")
	case f.Empty && f.Fate == NeverClosed:
		return do(Drop, "emptied by an open that was cut off")
	case f.Empty && f.New && f.unseen():
		return do(Drop, whyUnseen)
	case f.Empty && (!f.AllowEmpty || f.unseen()):
		return do(KeepDraft, whyEmptied)
	case f.Empty && f.conflict():
		return do(Drop, whyConflict)
	case !f.Empty && f.Verdict == Unjudged:
		return ask(Judge)
	case !f.Empty && f.Verdict != Whole:
		return do(Quarantine, incomplete(f))
	case f.conflict():
		return do(Quarantine, whyConflict)
	case f.died() && !f.Proven:
		return do(Quarantine, whyDied)
	}
	return do(Commit, "released")
}
