// Package differential runs random sequences of file operations, by several
// processes, against a mount, a native directory and a model in memory of what
// the mount promises, and shrinks a sequence on which they differ.
//
// Names that no rule protects have to answer as the native file system does,
// always. For protected names the model says what each handle reads, what
// others see, which call is refused, which version stands and what history and
// quarantine have. In saves that don't overlap and are complete, the protected
// names have to end like the native ones, too.
//
// INTACT_LONG=1 runs more sequences. INTACT_DIFFERENTIAL=N runs N of each
// kind, and INTACT_REPLAY=FILE with -run TestReplay runs the sequence that a
// failure has printed.
//
// All processes move in turns, one call at a time, and the idle commit is put
// off: what threads race for is tested elsewhere.
package differential
