package fs

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestEnd has a copy of the mount live on in another mount namespace, and one
// where it does not.
func TestEnd(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		m := mount(t, testRules{})
		c := m.client(t)
		c.want("ok", "save", "f.json", oldDoc)
		c.end()
		cmd := exec.Command("/bin/cat") // until its standard input ends
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere {
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		poll(t, func() string {
			if err := m.server.Unmount(); err != nil {
				return err.Error()
			}
			return ""
		})
		grace := patience
		if elsewhere {
			grace = 100 * time.Millisecond
			if m.server.ended(grace) {
				t.Error("the copy of the mount did not keep it")
			}
		}
		begin := time.Now()
		if err := m.server.End(grace); err != nil && time.Since(begin) < patience {
			if err := m.server.End(patience); err != nil { // aborted, but slow
				t.Error(err)
			}
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	}
}
