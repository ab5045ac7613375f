package faults

import (
	"encoding/json"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
)

// A rule is what shall happen at a step. The n-th operation with its label
// since the plan was made is the one it breaks.
type rule struct {
	Step   disk.Step     `json:"step"` // empty, of a flush: all that no other rule is for
	Nth    int           `json:"nth"`  // from 1
	Act    act           `json:"act"`
	Errno  syscall.Errno `json:"errno,omitempty"`
	Sticky bool          `json:"sticky,omitempty"` // every later one with the label, too
	Delay  time.Duration `json:"delay,omitempty"`
	Path   string        `json:"path,omitempty"` // of the file that fills the disk
}

// act is what a rule does.
type act string

const (
	killBefore act = "kill-before" // the process ends without having done the operation
	killAfter  act = "kill-after"
	fail       act = "fail"  // the operation is not done
	wait       act = "wait"  // the operation is done late
	fill       act = "fill"  // there is no space left when the operation begins
	flush      act = "flush" // what was written before is on the disk
)

// A plan is the rules in force. The daemon reads its file again before each
// operation, so that a test changes it while the daemon works.
type plan struct {
	ID    int    `json:"id"` // another one: operations are counted from 1 again
	Rules []rule `json:"rules"`
}

// planFile is the test's end of a plan.
type planFile struct {
	path string
	id   int
}

// set replaces the plan as one step.
func (p *planFile) set(t testing.TB, rules ...rule) {
	t.Helper()
	p.id++
	text, err := json.Marshal(plan{p.id, rules})
	if err == nil {
		err = os.WriteFile(p.path+".new", text, 0o644)
	}
	if err == nil {
		err = os.Rename(p.path+".new", p.path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// director is the daemon's end: it decides about every operation, and writes
// down each one before it is done.
type director struct {
	path  string
	trace *os.File // one label a line; what was broken has its act behind it
	root  int      // the directory, for flush

	mu   sync.Mutex
	plan plan
	seen map[disk.Step]int
}

// meet returns the rule that the operation meets, if any. When the file can't
// be read, as without descriptors, the last plan stays.
func (d *director) meet(step disk.Step) (rule, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var next plan
	text, err := os.ReadFile(d.path)
	if err == nil && json.Unmarshal(text, &next) == nil && next.ID != d.plan.ID {
		d.plan, d.seen = next, map[disk.Step]int{}
	}
	d.seen[step]++
	n := d.seen[step]
	for _, r := range d.plan.Rules {
		if r.Step == "" {
			return r, true
		}
		if r.Step == step && (n == r.Nth || r.Sticky && n > r.Nth) {
			d.note(string(step) + " " + string(r.Act))
			return r, true
		}
	}
	d.note(string(step))
	return rule{}, false
}

func (d *director) note(line string) {
	_, _ = d.trace.WriteString(line + "\n") // the test misses what is missing
}

// do does an operation as the plan wants it.
func (d *director) do(step disk.Step, op func() error) error {
	r, ok := d.meet(step)
	if !ok {
		return op()
	}
	switch r.Act {
	case killBefore:
		die()
	case killAfter:
		_ = op() // nobody is left to be told
		die()
	case fail:
		return &os.PathError{Op: string(step), Path: "fault", Err: r.Errno}
	case wait:
		time.Sleep(r.Delay)
	case fill:
		fillDisk(r.Path)
	case flush:
		syncDisk(d.root)
	}
	return op()
}

// die ends the process as kill -9 does, and does not return.
func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// fillDisk takes what space there is.
func fillDisk(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return // no inode is left either
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	_ = f.Sync() // delayed allocation must not give anything back
}
