package decide

import "testing"

// closer is a live process that closes its last descriptor, alone.
var closer = Facts{Changed: true, BaseFull: true, ByOpener: true, Held: No, Other: No, Fate: Alive}

// with changes a copy.
func with(f Facts, change ...func(*Facts)) Facts {
	for _, c := range change {
		c(&f)
	}
	return f
}

func whole(f *Facts)      { f.Verdict, f.Proven = Whole, true }
func part(f *Facts)       { f.Verdict, f.Proven = Whole, false } // whole, but a prefix can pass for it
func unfinished(f *Facts) { f.Verdict = Unfinished }
func invalid(f *Facts)    { f.Verdict = Invalid }
func empty(f *Facts)      { f.Empty, f.Verdict = true, Unfinished }
func clean0(f *Facts)     { f.Changed = false }
func broken(f *Facts)     { f.Poisoned = true }
func truncating(f *Facts) { f.Truncating = true }
func armed(f *Facts)      { f.Armed = true }
func draft(f *Facts)      { f.Draft = true }
func allow(f *Facts)      { f.AllowEmpty = true }
func lines(f *Facts)      { f.Lines = true }
func newName(f *Facts)    { f.BaseFull, f.New = false, true }
func held(f *Facts)       { f.Held = Yes }
func others(f *Facts)     { f.Other = Yes }
func killed(f *Facts)     { f.Fate = Killed }
func exitBad(f *Facts)    { f.Fate = ExitedBad }
func exitGood(f *Facts)   { f.Fate = ExitedClean }
func raced(f *Facts)      { f.BaseChanged = true }
func refusing(f *Facts)   { f.RefuseConflict = true }
func stranger(f *Facts)   { f.ByOpener = false }
func blind(f *Facts)      { f.Held, f.Other = Unknowable, Unknowable }
func hurried(f *Facts)    { f.Other = OutOfTime }
func inside(f *Facts)     { f.Inside = true }
func unseen(f *Facts)     { f.Fate = FateUnknown }
func cutOff(f *Facts)     { f.Fate = NeverClosed }

func TestDecide(t *testing.T) {
	tests := []struct {
		name   string
		event  Event
		change []func(*Facts)
		want   Action
	}{
		// Opened with O_TRUNC, or created, and closed.
		{"saved", Flush, []func(*Facts){truncating, whole}, Commit},
		{"a new name complete", Flush, []func(*Facts){newName, whole}, Commit},
		{"a new name touched", Flush, []func(*Facts){newName, empty}, KeepDraft},
		{"a new name touched, released", Release, []func(*Facts){newName, empty, exitGood}, KeepDraft},
		{"a new name left by one that was killed", Flush, []func(*Facts){newName, empty, killed}, Nothing},
		{"a new name left by one that was killed, released", Release, []func(*Facts){newName, empty, killed}, Drop},
		{"a new name left, nobody saw how", Flush, []func(*Facts){newName, empty, unseen}, Nothing},
		{"a new name left, nobody saw how, released", Release, []func(*Facts){newName, empty, unseen}, Drop},
		{"a new name left, nobody saw how, allowed", Release, []func(*Facts){newName, empty, unseen, allow}, Drop},
		{"killed inside the open of a new name", Release, []func(*Facts){newName, empty, cutOff}, Drop},
		{"killed inside the open of a new name, allowed", Release, []func(*Facts){newName, empty, cutOff, allow}, Drop},
		{"the mount ended in the middle, whole", Release, []func(*Facts){newName, whole, cutOff}, Commit},
		{"the mount ended in the middle, torn", Release, []func(*Facts){newName, unfinished, cutOff}, Quarantine},
		{"a format where a part passes", Flush, []func(*Facts){part}, Commit},

		// Opened r+ and not written: crudini, gio, flock 9>>f.
		{"never wrote", Flush, []func(*Facts){clean0, whole}, Nothing},
		{"never wrote, raced", Flush, []func(*Facts){clean0, whole, raced, refusing}, Nothing},
		{"never wrote, released", Release, []func(*Facts){clean0, whole}, Drop},
		{"never wrote, synced", Fsync, []func(*Facts){clean0}, SyncCommitted},
		{"never wrote, idle", Idle, []func(*Facts){clean0}, Nothing},
		{"never wrote, unlocked", Unlock, []func(*Facts){clean0}, Nothing},
		{"never cut", TruncatePath, []func(*Facts){clean0, invalid}, Nothing},

		// truncate(2) by path.
		{"cut to a whole", TruncatePath, []func(*Facts){whole}, Commit},
		{"cut to a part", TruncatePath, []func(*Facts){unfinished}, Refuse},
		{"cut to nothing", TruncatePath, []func(*Facts){empty}, KeepDraft},
		{"cut to nothing, allowed", TruncatePath, []func(*Facts){empty, allow}, Commit},
		{"cut failed", TruncatePath, []func(*Facts){broken}, FailPoisoned},

		// `: > f; cmd >> f`.
		{"emptied", Flush, []func(*Facts){truncating, empty}, KeepDraft},
		{"emptied, allowed", Flush, []func(*Facts){truncating, empty, allow}, Commit},
		{"emptied, released", Release, []func(*Facts){truncating, empty}, KeepDraft},
		{"emptied, released, allowed", Release, []func(*Facts){empty, allow}, Commit},
		{"a draft filled", Flush, []func(*Facts){draft, whole}, Commit},
		{"a draft half filled", Flush, []func(*Facts){draft, unfinished}, Refuse},
		{"a draft not touched", Flush, []func(*Facts){draft, clean0, empty}, Nothing},
		{"emptied by one that was killed", Flush, []func(*Facts){truncating, empty, killed}, Nothing},
		{"emptied by one that was killed, released", Release, []func(*Facts){truncating, empty, killed}, Drop},
		{"emptied by one that was killed, allowed", Release, []func(*Facts){empty, killed, allow}, Drop},
		{"emptied by an open that was cut off", Release, []func(*Facts){truncating, empty, cutOff}, Drop},
		{"emptied, nobody saw by whom", Flush, []func(*Facts){truncating, empty, unseen}, KeepDraft},
		{"emptied, nobody saw by whom, allowed", Flush, []func(*Facts){truncating, empty, unseen, allow}, KeepDraft},
		{"emptied, nobody saw by whom, released, allowed", Release, []func(*Facts){empty, unseen, allow}, KeepDraft},
		{"emptied, exited", Release, []func(*Facts){empty, exitGood}, KeepDraft},

		// fsync: TinyDB syncs before it truncates.
		{"synced whole", Fsync, []func(*Facts){whole}, Commit},
		{"synced unfinished", Fsync, []func(*Facts){unfinished}, Arm},
		{"synced with an old tail", Fsync, []func(*Facts){invalid}, Arm},
		{"synced empty", Fsync, []func(*Facts){empty}, Arm},
		{"synced empty, allowed", Fsync, []func(*Facts){empty, allow}, Arm},
		{"synced poisoned", Fsync, []func(*Facts){broken}, FailPoisoned},
		{"synced, conflict", Fsync, []func(*Facts){whole, raced, refusing}, Conflict},
		{"cut after a sync", Ftruncate, []func(*Facts){armed, whole}, Commit},
		{"cut after a sync, still not whole", Ftruncate, []func(*Facts){armed, unfinished}, Nothing},
		{"emptied after a sync", Ftruncate, []func(*Facts){armed, empty}, Nothing},
		{"cut without a sync", Ftruncate, []func(*Facts){whole}, Nothing},
		{"cut after a sync, conflict", Ftruncate, []func(*Facts){armed, whole, raced, refusing}, Conflict},
		{"cut, poisoned", Ftruncate, []func(*Facts){broken}, FailPoisoned},

		// A close that is none: shells, forks, exec.
		{"opener holds another", Flush, []func(*Facts){held, whole}, Nothing},
		{"opener holds another, invalid", Flush, []func(*Facts){held, invalid}, Nothing},
		{"opener holds another, poisoned", Flush, []func(*Facts){held, broken}, Nothing},
		{"a child was given it, complete", Flush, []func(*Facts){others, whole}, Commit},
		{"a child was given it, incomplete", Flush, []func(*Facts){others, unfinished}, Nothing},
		{"a child was given it, invalid", Flush, []func(*Facts){others, invalid}, Nothing},
		{"a child was given it, poisoned", Flush, []func(*Facts){others, broken}, Nothing},
		{"a child was given it, conflict", Flush, []func(*Facts){others, whole, raced, refusing}, Nothing},

		// /proc says nothing.
		{"blind, by the opener", Flush, []func(*Facts){blind, whole}, Commit},
		{"blind, by the opener, invalid", Flush, []func(*Facts){blind, invalid}, Refuse},
		{"blind, by a stranger", Flush, []func(*Facts){blind, stranger, whole}, Nothing},
		{"blind, by a stranger, released", Release, []func(*Facts){blind, stranger, whole, unseen}, Commit},
		{"no time to look at others, invalid", Flush, []func(*Facts){invalid, hurried}, Nothing},
		{"no time to look at others, conflict", Flush, []func(*Facts){whole, raced, refusing, hurried}, Nothing},
		{"no time to look at others, poisoned", Flush, []func(*Facts){broken, hurried}, Nothing},
		{"no time to look at others, whole", Flush, []func(*Facts){whole, hurried}, Commit},
		{"no time to look at others, killed, proven", Flush, []func(*Facts){whole, killed, hurried}, Nothing},
		{"others not seen, by a stranger, invalid", Flush,
			[]func(*Facts){invalid, stranger, func(f *Facts) { f.Other = Unknowable }}, Nothing},

		// The last close known.
		{"invalid", Flush, []func(*Facts){invalid}, Refuse},
		{"incomplete", Flush, []func(*Facts){unfinished}, Refuse},
		{"invalid, released", Release, []func(*Facts){invalid}, Quarantine},
		{"incomplete, released", Release, []func(*Facts){unfinished}, Quarantine},
		{"late stores, whole", Release, []func(*Facts){whole, unseen}, Commit},
		{"late stores, a part may pass", Release, []func(*Facts){part, unseen}, Commit},

		// unlock.
		{"unlocked whole", Unlock, []func(*Facts){whole}, Commit},
		{"unlocked a part that passes", Unlock, []func(*Facts){part}, Commit},
		{"unlocked incomplete", Unlock, []func(*Facts){unfinished}, Nothing},
		{"unlocked empty", Unlock, []func(*Facts){empty, allow}, Nothing},
		{"unlocked by a death", Unlock, []func(*Facts){whole, killed}, Nothing},
		{"unlocked poisoned", Unlock, []func(*Facts){broken, whole}, Nothing},
		{"unlocked, conflict", Unlock, []func(*Facts){whole, raced, refusing}, Nothing},

		// The writer dies in the middle of a save.
		{"killed, torn", Flush, []func(*Facts){unfinished, killed}, Nothing},
		{"killed, torn, released", Release, []func(*Facts){unfinished, killed}, Quarantine},
		{"killed, a part may pass", Flush, []func(*Facts){part, killed}, Nothing},
		{"killed, a part may pass, released", Release, []func(*Facts){part, killed}, Quarantine},
		{"killed, proven", Flush, []func(*Facts){whole, killed}, Commit},
		{"killed, proven, released", Release, []func(*Facts){whole, killed}, Commit},
		{"killed, a sibling goes on", Flush, []func(*Facts){whole, killed, others}, Nothing},
		{"a sibling was killed, the survivor closes", Flush, []func(*Facts){part}, Commit},
		{"exit 1, a part may pass", Release, []func(*Facts){part, exitBad}, Quarantine},
		{"exit 1, proven", Flush, []func(*Facts){whole, exitBad}, Commit},
		{"exit 0 without a close", Flush, []func(*Facts){part, exitGood}, Commit},
		{"exit 0 without a close, torn", Flush, []func(*Facts){unfinished, exitGood}, Nothing},
		{"exit 0 without a close, conflict", Flush, []func(*Facts){whole, exitGood, raced, refusing}, Nothing},

		// A write failed.
		{"poisoned", Flush, []func(*Facts){broken, whole}, FailPoisoned},
		{"poisoned, released", Release, []func(*Facts){broken, whole}, Quarantine},
		{"poisoned, idle", Idle, []func(*Facts){broken, whole}, Nothing},
		{"poisoned, renamed", Rename, []func(*Facts){broken, whole}, FailPoisoned},

		// A handle that never closes.
		{"idle", Idle, []func(*Facts){whole}, Commit},
		{"idle in the middle of a save", Idle, []func(*Facts){truncating, whole}, Nothing},
		{"idle, incomplete", Idle, []func(*Facts){unfinished}, Nothing},
		{"idle, a part may pass", Idle, []func(*Facts){part}, Nothing},
		{"idle, lines", Idle, []func(*Facts){part, lines}, Commit},
		{"idle, empty", Idle, []func(*Facts){empty, allow}, Nothing},
		{"idle in the middle of an overwrite", Idle, []func(*Facts){whole, inside}, Nothing},
		{"closed in the middle of the content", Flush, []func(*Facts){whole, inside}, Commit},
		{"idle, opener died", Idle, []func(*Facts){whole, killed}, Nothing},
		{"idle, conflict", Idle, []func(*Facts){whole, raced, refusing}, Nothing},

		// rename onto a protected name.
		{"renamed whole", Rename, []func(*Facts){clean0, whole}, Commit},
		{"renamed invalid", Rename, []func(*Facts){clean0, invalid}, Refuse},
		{"renamed incomplete", Rename, []func(*Facts){unfinished}, Refuse},
		{"renamed empty over full", Rename, []func(*Facts){empty}, Refuse},
		{"renamed empty over full, allowed", Rename, []func(*Facts){empty, allow}, Commit},
		{"renamed empty to a new name", Rename, []func(*Facts){empty, newName}, Commit},

		// Two writers at once.
		{"last close wins", Flush, []func(*Facts){whole, raced}, Commit},
		{"conflict refused", Flush, []func(*Facts){whole, raced, refusing}, Conflict},
		{"not raced", Flush, []func(*Facts){whole, refusing}, Commit},
		{"conflict refused, released", Release, []func(*Facts){whole, raced, refusing}, Quarantine},
		{"emptied, conflict, released", Release, []func(*Facts){empty, allow, raced, refusing}, Drop},
		{"emptied, allowed, conflict", Flush, []func(*Facts){empty, allow, raced, refusing}, Conflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := with(closer, tt.change...)
			if got := oracle(t, tt.event, f); got.Action != tt.want {
				t.Errorf("%v: %v (%s), want %v", tt.event, got.Action, got.Reason, tt.want)
			}
		})
	}
}

// A question is only asked when its answer matters: each costs something.
func TestQuestions(t *testing.T) {
	unasked := Facts{Changed: true, BaseFull: true}
	tests := []struct {
		name  string
		event Event
		facts Facts
		want  Question
	}{
		{"a clean handle needs nothing", Flush, Facts{}, None},
		{"first, is it a close", Flush, unasked, Holders},
		{"then, who closes", Flush, with(unasked, func(f *Facts) { f.Held = No }), Fates},
		{"then, what", Flush, with(unasked, func(f *Facts) { f.Held, f.Fate = No, Alive }), Judge},
		{"whole needs no look at others", Flush, with(closer, whole, func(f *Facts) { f.Other = Unasked }), None},
		{"an error does", Flush, with(closer, invalid, func(f *Facts) { f.Other = Unasked }), Others},
		{"a dead writer's content does", Flush, with(closer, whole, killed, func(f *Facts) { f.Other = Unasked }), Others},
		{"empty needs no verdict", Flush, with(closer, empty, func(f *Facts) { f.Verdict = Unjudged }), None},
		{"fsync needs a verdict only", Fsync, unasked, Judge},
		{"ftruncate needs none unless armed", Ftruncate, unasked, None},
		{"idle after truncation needs none", Idle, with(unasked, truncating), None},
		{"release asks how it ended", Release, unasked, Fates},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Decide(tt.event, tt.facts)
			if d.Ask != tt.want || (d.Action == Ask) != (tt.want != None) {
				t.Errorf("got %v, question %d; want question %d", d.Action, d.Ask, tt.want)
			}
		})
	}
}

func TestVerdictOf(t *testing.T) {
	type theirs int
	for i, want := range []Verdict{Unfinished, Whole, Invalid} {
		if got := VerdictOf(theirs(i)); got != want {
			t.Errorf("VerdictOf(%d) = %d, want %d", i, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for e := Flush; e <= TruncatePath; e++ {
		seen["event "+e.String()] = true
	}
	for a := Ask; a <= Drop; a++ {
		seen["action "+a.String()] = true
	}
	if want := int(TruncatePath) + int(Drop) + 2; len(seen) != want {
		t.Errorf("%d different names, want %d: %v", len(seen), want, seen)
	}
	for _, s := range []string{Event(-1).String(), Action(99).String()} {
		if s != "unknown -1" && s != "unknown 99" {
			t.Errorf("name of no value: %q", s)
		}
	}
}
