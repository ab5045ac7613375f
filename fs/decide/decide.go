// Package decide is the state machine that says what an event on a handle
// does to its transaction. It is pure: facts in, decision out.
//
// Facts that cost something (a verdict, a look at /proc) start as not asked.
// While one of them matters and is not there, Decide answers with the action
// Ask and the Question; the caller finds out and decides again. That ends
// after at most one round per question.
package decide

// Event is what happened to the handle.
type Event int

// The events.
const (
	Flush        Event = iota // a descriptor was closed
	Fsync                     // fsync or fdatasync
	Ftruncate                 // the handle was cut or extended, already applied to its stage
	Unlock                    // a live process gives up a lock it changed the file under
	Idle                      // the handle was quiet for the configured time
	Release                   // no descriptor is left; no error can be told any more
	Rename                    // a file with this content is about to get the protected name
	TruncatePath              // truncate(2) by path: a transaction of its own
)

// Answer is the answer to a question of yes or no.
type Answer int

// The answers.
const (
	Unasked    Answer = iota
	No                // it is not so
	Yes               // it is so
	Unknowable        // it was asked, and can't be known
	OutOfTime         // it was asked, and there was no time to find out: of Other only
)

// Verdict is what the validator says of the content.
type Verdict int

// The verdicts, in the order of fs and stage but for the first: convert with
// VerdictOf.
const (
	Unjudged Verdict = iota
	Unfinished
	Whole
	Invalid
)

// VerdictOf converts the verdict of a package that counts Unfinished, Whole,
// Invalid from 0.
func VerdictOf[V ~int](v V) Verdict { return Verdict(int(v)) + Unfinished }

// Fate is what became of who flushes, or flushed last.
type Fate int

// The fates.
const (
	FateUnasked Fate = iota
	Alive            // goes on living
	ExitedClean      // exits with status 0 without having closed
	ExitedBad        // exits with another status
	Killed           // dies of a signal
	FateUnknown      // it was asked, and can't be known
	// NeverClosed is said at Release alone: no descriptor was ever closed.
	// The open was cut off before there was one, or the mount was.
	NeverClosed
)

// Facts is what is known about a handle.
type Facts struct {
	// Changed: written, cut, or opened with O_TRUNC, or created, since it
	// was opened or last committed. Continuing a draft alone is no change.
	Changed bool
	// Poisoned: a write or truncation failed.
	Poisoned bool
	// Truncating: opened with O_TRUNC, and nothing committed from it since.
	Truncating bool
	// Armed: an fsync came while the content was incomplete. Set it on Arm,
	// clear it on a commit.
	Armed bool
	// Draft: the stage continues a draft. It changes reasons only.
	Draft bool
	// New: nothing was ever committed under the name.
	New bool
	// Inside: the last write ended before the end of the content, as it does
	// in the middle of overwriting another version.
	Inside bool

	Empty   bool    // the content has no bytes
	Verdict Verdict // Question Judge
	Proven  bool    // comes with the verdict

	// BaseFull: the newest committed version has bytes.
	BaseFull bool
	// BaseChanged: the newest committed version is not the one the stage
	// started from. Opened with O_TRUNC: not the one at open.
	BaseChanged bool

	AllowEmpty     bool // the rule lets empty replace full
	Lines          bool // each line stands alone
	RefuseConflict bool // the rule refuses what BaseChanged

	// Held: the flusher or the opener still has a descriptor for the file
	// (Question Holders).
	Held Answer
	// Other: some other process has (Question Others).
	Other Answer
	// ByOpener: the flusher is the process that opened the handle.
	ByOpener bool
	// Fate of the flusher; at Release as recorded at the last flush, and
	// NeverClosed if there was none (Question Fates). Idle and Unlock never
	// ask; fill in what is on record, so that nothing of a writer that
	// died is committed between its flush and the release.
	Fate Fate
}

// Question is a fact that Decide needs.
type Question int

// The questions, each with the facts to fill in.
const (
	None    Question = iota
	Judge            // Verdict, Proven
	Holders          // Held
	Fates            // Fate
	Others           // Other
)

// Action is what to do with the transaction.
type Action int

// The actions. Those that end in an error for the caller say which.
const (
	// Ask: find out Decision.Ask and decide again.
	Ask Action = iota
	// Nothing: success, the stage stays as it is.
	Nothing
	// Commit the content; the handle may go on afterwards from it. At
	// Release the stage ends.
	Commit
	// SyncCommitted: nothing to commit; make earlier commits durable.
	SyncCommitted
	// Arm: sync the stage, arm the handle, success.
	Arm
	// KeepDraft: success; the content, which is empty, stays uncommitted
	// for the next writer that does not truncate. At Release it outlives
	// the handle.
	KeepDraft
	// Refuse: EBADMSG; the stage stays. For Rename both files stay, for
	// TruncatePath the transaction ends as if it had not been.
	Refuse
	// Conflict: ESTALE; the stage stays.
	Conflict
	// FailPoisoned: the error of the write that failed; the stage stays.
	FailPoisoned
	// Quarantine the content with the reason and end the stage. Only at
	// Release.
	Quarantine
	// Drop the stage: there is nothing in it. Only at Release.
	Drop
)

// Decision is an action and why.
type Decision struct {
	Action Action
	Ask    Question // with Action Ask
	Reason string   // one line for a log
}
