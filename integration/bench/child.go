package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"
)

// child is the program as one of its own helpers; false: it is none.
func child(args []string) (bool, error) {
	switch {
	case len(args) > 3 && (args[1] == loopbackCommand || args[1] == directCommand):
		return true, serveLoopback(args[1], args[2], args[3])
	case len(args) > 4 && args[1] == diskCommand:
		return true, serveDisk(args[2], args[3], args[4])
	case len(args) > 2 && args[1] == writerCommand:
		return true, serveWriter(args[2], os.Stdin, os.Stdout)
	}
	return false, nil
}

// serve mounts root on target until the process is told to end.
func serve(target string, root gofs.InodeEmbedder, options *gofs.Options) error {
	server, err := gofs.Mount(target, root, options)
	if err != nil {
		return fmt.Errorf("mount %s: %w", options.Name, err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		// Detached, it ends with the last file that is open in it.
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			fmt.Fprintf(os.Stderr, "error: unmount %s: %v\n", options.Name, err)
			os.Exit(1)
		}
	}()
	server.Wait()
	return nil
}

// startChild starts the server of a mount. It is killed when this process ends
// without it.
func startChild(name string, args ...string) (*exec.Cmd, error) {
	return startBy(func() {}, name, args...)
}

// startDevice is startChild for a server that stands for hardware: no other
// process keeps it from the processor. Where that is not allowed its flushes
// take longer, which their measured time tells.
func startDevice(name string, args ...string) (*exec.Cmd, error) {
	return startBy(func() {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}, name, args...)
}

// startBy starts a process from a thread of its own, which is prepared before:
// the process has its scheduling, and dies when the thread does.
func startBy(prepare func(), name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = nil, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: an error ends the thread too
		prepare()
		err := cmd.Start()
		started <- err
		if err == nil {
			select {}
		}
	}()
	return cmd, <-started
}

// endChild asks the server of a mount to end; after half a minute it is
// killed and its mount detached.
func endChild(cmd *exec.Cmd, mountPoint string) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(fmt.Errorf("end server of %s: %w", mountPoint, err), syscall.Unmount(mountPoint, syscall.MNT_DETACH))
	}
	select {
	case err := <-done:
		if err != nil {
			// One that died leaves its mount.
			_ = syscall.Unmount(mountPoint, syscall.MNT_DETACH)
			return fmt.Errorf("server of %s: %w", mountPoint, err)
		}
		return nil
	case <-time.After(30 * time.Second):
		err := errors.Join(cmd.Process.Kill(), syscall.Unmount(mountPoint, syscall.MNT_DETACH))
		killed := <-done // its status says only that
		return errors.Join(fmt.Errorf("server of %s had to be killed: %w", mountPoint, killed), err)
	}
}
