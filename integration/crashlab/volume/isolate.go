package volume

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// isolatedEnv marks the process that Isolate started.
const isolatedEnv = "INTACT_CRASHLAB_ISOLATED"

// Isolate runs the program again in a mount namespace of its own, and exits
// with its status; in that second process it returns at once. However the
// process ends, the kernel then takes its mounts and loop devices down: no
// test can leave any behind. It returns an error when the process may not
// make a namespace.
func Isolate() error {
	if os.Getenv(isolatedEnv) != "" {
		return detachForeign()
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("isolate: %w", err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolatedEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	// Go makes the mounts of the new namespace private before it executes
	// the program. The thread that starts the child must live as long as
	// this process does, or the child would die with it.
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("isolate: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // gone already: Wait tells
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("isolate: %w", err)
	}
	code := cmd.ProcessState.ExitCode()
	if code < 0 { // killed by a signal
		code = 1
	}
	os.Exit(code)
	return nil
}

// foreign are the types of mounts that are never of use in a namespace of our
// own: a copy of one keeps its daemon from ending when its owner unmounts it.
var foreign = []string{"fuse.intact", "fuse.crashlab"}

// detachForeign removes, from this namespace alone, the mounts that it was
// born with and that others serve.
func detachForeign() error {
	return detach(func(i *mountinfo.Info) bool { return slices.Contains(foreign, i.FSType) || dead(i.Mountpoint) })
}

// detachDead removes, from this namespace alone, the mounts whose server has
// died: mkfs.btrfs looks at every mount there is and gives up at one of them.
func detachDead() error {
	if os.Getenv(isolatedEnv) == "" {
		return nil // they are somebody else's
	}
	return detach(func(i *mountinfo.Info) bool { return dead(i.Mountpoint) })
}

func detach(which func(*mountinfo.Info) bool) error {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(i.FSType, "fuse"), false
	})
	if err != nil {
		return fmt.Errorf("look for mounts: %w", err)
	}
	for _, i := range infos {
		if which(i) {
			_ = syscall.Unmount(i.Mountpoint, syscall.MNT_DETACH) // it may be gone
		}
	}
	return nil
}

// dead says that nobody serves a mount any more.
func dead(point string) bool {
	answer := make(chan bool, 1)
	go func() {
		_, err := os.Stat(point)
		answer <- errors.Is(err, syscall.ENOTCONN)
	}()
	select {
	case yes := <-answer:
		return yes
	case <-time.After(5 * time.Second): // its server hangs: leave it
		return false
	}
}
