package caller

import (
	"time"

	"golang.org/x/sys/unix"
)

// State is what became of a thread.
type State int

// The states.
const (
	Unknown State = iota // gone, not visible, or /proc did not answer in time
	Alive                // it has its descriptor table
	Exited               // exiting with a status: Code
	Killed               // exiting because of a signal: Code
)

// Fate is what became of a thread, as far as can be seen now.
type Fate struct {
	State State
	Code  int // exit status or signal number
}

// Fate looks at a thread that is inside a FLUSH. A thread that is gone is
// Unknown. So is, for a daemon that is not root, an exiting thread of another
// user: the kernel hides its exit code.
func (t *Table) Fate(tid uint32) Fate {
	st, err := t.status(tid)
	if err != nil {
		return Fate{}
	}
	if st.fdSize > 0 {
		return Fate{State: Alive}
	}
	if t.euid != 0 && st.uid != t.euid {
		return Fate{}
	}
	// Without a descriptor table it is past any execve, so that stat should
	// not block. Should is not enough for a thread that everybody waits for.
	timeout := time.NewTimer(t.o.StatTimeout)
	defer timeout.Stop()
	select {
	case t.stats <- struct{}{}:
	case <-timeout.C:
		return Fate{}
	}
	got := make(chan Fate, 1)
	go func() {
		defer func() { <-t.stats }()
		got <- t.exit(tid)
	}()
	select {
	case f := <-got:
		return f
	case <-timeout.C:
		return Fate{}
	}
}

// exit reads how a thread without descriptors exits.
func (t *Table) exit(tid uint32) Fate {
	var buf [4096]byte
	b, err := readFile(unix.AT_FDCWD, t.path(tid, "stat"), buf[:])
	if err != nil {
		return Fate{}
	}
	flags, code, err := parseStat(b)
	switch {
	case err != nil:
		return Fate{}
	case flags&pfExiting == 0 || flags&pfKthread != 0:
		return Fate{State: Alive}
	case code&0x7f != 0:
		// PF_SIGNALED would be wrong: exit_group of a threaded program
		// sets it too.
		return Fate{State: Killed, Code: code & 0x7f}
	}
	return Fate{State: Exited, Code: code >> 8 & 0xff}
}
