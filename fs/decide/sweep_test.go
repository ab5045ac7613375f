package decide

import "testing"

// bits of the sweep's facts.
const flags = 12

func factsOf(n int) Facts {
	bit := func(i int) bool { return n>>i&1 != 0 }
	return Facts{
		Changed: bit(0), Poisoned: bit(1), Truncating: bit(2), Armed: bit(3), Empty: bit(4), Proven: bit(5),
		BaseFull: bit(6), BaseChanged: bit(7), AllowEmpty: bit(8), RefuseConflict: bit(9), ByOpener: bit(10), New: bit(11),
	}
}

// possible tells whether facts fit together.
func possible(f Facts) bool {
	switch {
	case f.Proven && f.Verdict != Whole, f.New && (f.BaseFull || f.BaseChanged):
		return false
	case f.Empty && f.Verdict != Unjudged && f.Verdict != Unfinished:
		return false
	}
	return true
}

// TestSweep asserts what must hold in every combination of facts.
func TestSweep(t *testing.T) {
	n := 0
	for bits := range 1 << flags {
		f := factsOf(bits)
		for _, f.Lines = range []bool{false, true} {
			for f.Verdict = Unjudged; f.Verdict <= Invalid; f.Verdict++ {
				if !possible(f) {
					continue
				}
				for f.Held = Unasked; f.Held <= Unknowable; f.Held++ {
					for f.Other = Unasked; f.Other <= OutOfTime; f.Other++ {
						for f.Fate = FateUnasked; f.Fate <= NeverClosed; f.Fate++ {
							for e := Flush; e <= TruncatePath; e++ {
								d := Decide(e, f)
								if why := violated(e, f, d); why != "" {
									t.Fatalf("%s: %v %q on %+v", why, d.Action, d.Reason, f)
								}
								inside := f
								inside.Inside = true
								if got := Decide(e, inside); e != Idle && got != d {
									t.Fatalf("%v: %v inside, %v else, on %+v", e, got, d, f)
								} else if e == Idle && got.Action != Nothing {
									t.Fatalf("idle inside the content: %v on %+v", got, f)
								}
								n++
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d combinations", n)
}

// violated names the invariant that the decision breaks.
func violated(e Event, f Facts, d Decision) string {
	for _, check := range []func(Event, Facts, Decision) string{
		wellFormed, neverCommits, neverErrs, neverLoses,
	} {
		if why := check(e, f, d); why != "" {
			return e.String() + ": " + why
		}
	}
	return ""
}

func wellFormed(e Event, f Facts, d Decision) string {
	answered := map[Question]bool{
		Judge: f.Verdict != Unjudged, Holders: f.Held != Unasked, Fates: f.Fate != FateUnasked, Others: f.Other != Unasked,
	}
	switch {
	case d.Action == Ask && (d.Ask == None || answered[d.Ask]):
		return "asks what is known"
	case d.Action != Ask && d.Ask != None:
		return "acts and asks"
	case d.Action != Ask && d.Reason == "":
		return "no reason"
	case (d.Action == Quarantine || d.Action == Drop) != (e == Release && d.Action != Ask && d.Action != Commit && d.Action != KeepDraft):
		return "an end that is not the release's, or a release without one"
	}
	return ""
}

func neverCommits(e Event, f Facts, d Decision) string {
	if d.Action != Commit {
		return ""
	}
	died := f.Fate == Killed || f.Fate == ExitedBad
	closing := e == Flush || e == Release
	switch {
	case f.Poisoned:
		return "commits a poisoned stage"
	case !f.Changed && e != Rename:
		return "commits a clean handle"
	case !f.Empty && f.Verdict != Whole:
		return "commits what is not whole"
	case f.Empty && f.BaseFull && !f.AllowEmpty:
		return "commits empty over full"
	case f.Empty && closing && f.Fate != Alive && f.Fate != ExitedClean:
		return "commits nothing for a writer that may have died"
	case f.Empty && (e == Fsync || e == Ftruncate || e == Unlock || e == Idle):
		return "commits empty in the middle of a save"
	case closing && died && !f.Proven:
		return "commits what a dead writer may have left half"
	case closing && died && e == Flush && f.Other != No && f.Other != Unknowable:
		return "commits for a dead writer while another may go on"
	case e == Flush && f.Held == Yes:
		return "commits at what is not a close"
	case e == Flush && f.Held == Unknowable && !f.ByOpener:
		return "commits at what may not be a close"
	case e == Idle && f.Truncating:
		return "commits a pause in a save"
	case e == Ftruncate && !f.Armed:
		return "commits a truncation nobody synced before"
	case f.RefuseConflict && f.BaseChanged && e != Rename && e != TruncatePath:
		return "commits a conflict"
	}
	return ""
}

func neverErrs(e Event, f Facts, d Decision) string {
	if d.Action != Refuse && d.Action != Conflict && d.Action != FailPoisoned {
		return ""
	}
	switch {
	case e == Release || e == Idle || e == Unlock:
		return "an error that nobody can get"
	case e == Flush && (f.Held == Yes || f.Held == Unasked):
		return "an error at what is not a close"
	case e == Flush && (f.Other == Yes || f.Other == Unasked || f.Other == OutOfTime):
		return "an error while another holder lives, or may"
	case e == Flush && f.Other == Unknowable && !f.ByOpener:
		return "an error while another holder may live"
	case e == Fsync && d.Action == Refuse:
		return "an error for a sync of content that is not complete"
	case f.Empty && d.Action == Refuse && e != Rename:
		return "an error for empty content"
	case !f.Changed && !f.Poisoned && e != Rename:
		return "an error for a clean handle"
	case d.Action == Refuse && f.Verdict == Whole && !f.Empty:
		return "refuses what is whole"
	case d.Action == FailPoisoned && !f.Poisoned:
		return "a write failed that did not"
	}
	return ""
}

func neverLoses(e Event, f Facts, d Decision) string {
	switch {
	case d.Action == Drop && f.Changed && !f.Empty:
		return "drops bytes"
	case d.Action == Drop && f.Poisoned:
		return "drops a poisoned stage in silence"
	case d.Action == KeepDraft && f.New && (f.Fate == NeverClosed || f.Fate == FateUnknown) && (e == Flush || e == Release):
		return "shows a new name that nobody may have closed"
	case d.Action == KeepDraft && !f.Empty:
		return "keeps a draft with bytes"
	case d.Action == Quarantine && !f.Poisoned && f.Verdict == Whole && f.Fate != Killed && f.Fate != ExitedBad &&
		!(f.RefuseConflict && f.BaseChanged):
		return "quarantines good content"
	}
	return ""
}

// oracle answers questions from complete facts.
func oracle(t *testing.T, e Event, all Facts) Decision {
	t.Helper()
	f := all
	f.Verdict, f.Proven, f.Held, f.Other = Unjudged, false, Unasked, Unasked
	if e != Idle && e != Unlock { // those take what is on record
		f.Fate = FateUnasked
	}
	asked := map[Question]bool{}
	for {
		d := Decide(e, f)
		if d.Action != Ask {
			return d
		}
		if asked[d.Ask] {
			t.Fatalf("%v asked %d twice on %+v", e, d.Ask, all)
		}
		asked[d.Ask] = true
		switch d.Ask {
		case Judge:
			f.Verdict, f.Proven = all.Verdict, all.Proven
		case Holders:
			f.Held = all.Held
		case Fates:
			f.Fate = all.Fate
		case Others:
			f.Other = all.Other
		}
	}
}

// TestAskingEnds follows the questions with every set of answers: each is
// asked at most once, and what was not asked makes no difference.
func TestAskingEnds(t *testing.T) {
	for bits := range 1 << flags {
		f := factsOf(bits)
		for f.Verdict = Unfinished; f.Verdict <= Invalid; f.Verdict++ {
			if !possible(f) {
				continue
			}
			for f.Held = No; f.Held <= Unknowable; f.Held++ {
				for f.Other = No; f.Other <= OutOfTime; f.Other++ {
					for f.Fate = Alive; f.Fate <= NeverClosed; f.Fate++ {
						for e := Flush; e <= TruncatePath; e++ {
							if got, want := oracle(t, e, f), Decide(e, f); got != want {
								t.Fatalf("%v: %+v step by step, %+v at once, on %+v", e, got, want, f)
							}
						}
					}
				}
			}
		}
	}
}
