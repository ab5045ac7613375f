package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
	"intactfs/journal/disk"
)

// outcome is what a fault did.
type outcome struct {
	saw  []string // by the program: saving, and closing
	told []string // to a person
	left string
}

// enter puts an outcome in the table.
func (o outcome) enter(section, fault string) {
	told := strings.Join(o.told, "; ")
	if told == "" {
		told = "nothing: it went on"
	}
	table.add(section, row{fault, unique(o.saw), told, o.left})
}

// try does something and notes what was seen.
func (o *outcome) try(r *rig, do op) error {
	err := do(r)
	o.saw = append(o.saw, errnoOf(err))
	return err
}

// stillReads fails the test when the mount no longer serves the last
// acknowledged content.
func (r *rig) stillReads(t *testing.T) {
	t.Helper()
	for name := range r.acked {
		if content, err := os.ReadFile(r.file(name)); err != nil {
			t.Errorf("read %s: %v", name, err)
		} else if err := r.current(name, content); err != nil {
			t.Error(err)
		}
	}
}

// remounted ends the daemon in any way, mounts again without faults, saves,
// and checks everything.
func (r *rig) remounted(t *testing.T) {
	t.Helper()
	r.stop()
	r.plan.set(t)
	r.remountedFrom(t)
}

// TestDiskErrors makes the disk fail at the steps of a save: the program sees
// EIO, nothing acknowledged is lost, and a new mount recovers.
func TestDiskErrors(t *testing.T) {
	tests := []struct {
		step  disk.Step
		size  int
		stops bool // the journal takes nothing more until the restart
		later bool // the failure comes behind the program's back
	}{
		{step: "commit:append", size: small},
		{step: "commit:sync", size: small, stops: true},
		{step: "stage:create", size: large},
		{step: "stage:write", size: large},
		{step: "commit:stage-sync", size: large},
		{step: "commit:stage-dir", size: large},
		{step: "publish:write", size: small, later: true},
		{step: "publish:sync", size: small, later: true},
		{step: "publish:stage-sync", size: large, later: true},
		{step: "publish:rename", size: small, later: true},
		{step: "publish:sync-dir", size: small, later: true},
		{step: "history:append", size: small, later: true},
		{step: "history:sync", size: small, later: true},
		{step: "history:syncdir", size: small, later: true},
	}
	for _, tt := range tests {
		t.Run(string(tt.step), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			r.mustStart()
			if err := save("a.json", small)(r); err != nil {
				t.Fatal(err)
			}
			r.plan.set(t, rule{Step: tt.step, Nth: 1, Act: fail, Errno: syscall.EIO})
			var o outcome
			err := o.try(r, save("a.json", tt.size))
			if tt.later {
				if err != nil {
					t.Errorf("the save: %v", err)
				}
				if res := r.intact("verify", r.Point); res.Code == 0 {
					t.Error("verify of a mount that can't publish exits with 0")
				} else {
					o.told = append(o.told, "`intact verify`: "+strings.TrimSpace(res.Stderr))
				}
			} else if !errors.Is(err, syscall.EIO) {
				t.Errorf("the save: %v, want EIO", err)
			}
			r.stillReads(t)
			if !r.struck() {
				t.Errorf("%s was not reached", tt.step)
			}
			again := save("b.json", small)(r)
			if stopped := again != nil; stopped != tt.stops {
				t.Errorf("the save after it: %v, want stopped %v", again, tt.stops)
			}
			o.left = "saves go on"
			if tt.stops {
				o.left = "saves fail with " + errnoOf(again) + " until the restart, reads go on"
				if st := r.intact("status", r.Point); !strings.Contains(st.Stdout, "journal stopped") {
					t.Errorf("intact status does not tell that the journal stopped:\n%s", st.Stdout)
				}
			}
			o.told = append(o.told, r.told()...)
			r.remounted(t)
			o.left += "; after the remount all that was acknowledged"
			o.enter("EIO, once", "`"+string(tt.step)+"`")
		})
	}
}

// TestHangingDisk lets one operation of the disk take long: who does not need
// it is answered meanwhile, and nothing stays behind.
func TestHangingDisk(t *testing.T) {
	hang := 3 * time.Second
	if harness.Long() {
		hang = 30 * time.Second
	}
	for _, step := range []disk.Step{"commit:sync", "commit:stage-sync", "publish:sync", "history:sync"} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			r.mustStart()
			for _, name := range []string{"a.json", "other.json"} {
				if err := save(name, small)(r); err != nil {
					t.Fatal(err)
				}
			}
			r.plan.set(t, rule{Step: step, Nth: 1, Act: wait, Delay: hang})
			saved := make(chan error, 1)
			go func() {
				err := save("a.json", large)(r)
				if err == nil && !strings.HasPrefix(string(step), "commit") {
					err = checkpoint(r)
				}
				saved <- err
			}()
			harness.Eventually(t, "the disk hangs", r.struck)
			begin := time.Now()
			r.look(t)
			answered := time.Since(begin) < hang
			err := <-saved
			if err != nil {
				t.Errorf("the save on a slow disk: %v", err)
			}
			noneStuck(t, r)
			r.mustStop()
			r.checkAfter(t)
			o := outcome{saw: []string{errnoOf(err) + ", late"}, left: "no task in D state, unmounted, verify 0"}
			if answered {
				o.left = "stat, read, ls, df and ps were answered before the disk was; " + o.left
			} else if harness.Long() {
				t.Errorf("stat, read, ls, df and ps took longer than the disk, which hung for %v", hang)
			}
			o.enter("A disk that hangs", "`"+string(step)+"` takes "+hang.String())
		})
	}
}

// look does what must not wait for the disk.
func (r *rig) look(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"stat", r.file("a.json")}, {"cat", r.file("other.json")}, {"cat", r.file("a.json")}, {"ls", "-l", r.Point},
		{"df", r.Point}, {"ps", "axww", "-o", "pid,stat,args"},
	} {
		if res := harness.Run(t, args...); res.Code != 0 {
			t.Errorf("%s while the disk hangs: exit %d\n%s", filepath.Base(args[0]), res.Code, res.Stderr)
		}
	}
}

// noneStuck fails the test when a thread of the daemon, or of this process,
// stays in uninterruptible sleep.
func noneStuck(t *testing.T, r *rig) {
	t.Helper()
	harness.Eventually(t, "no thread is in D state", func() bool {
		for _, pid := range []int{r.proc.PID(), os.Getpid()} {
			if inD(pid) {
				return false
			}
		}
		return true
	})
}
