package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// loopbackCommand is the first argument of the process that serves a plain
// loopback: what any FUSE file system in Go costs at least.
const loopbackCommand = "serve-loopback"

// serveLoopback mounts source on target until the process is told to end.
func serveLoopback(source, target string) error {
	root, err := gofs.NewLoopbackRoot(source)
	if err != nil {
		return fmt.Errorf("open loopback source: %w", err)
	}
	second := time.Second
	server, err := gofs.Mount(target, root, &gofs.Options{
		EntryTimeout: &second,
		AttrTimeout:  &second,
		MountOptions: fuse.MountOptions{MaxWrite: 1 << 20, FsName: source, Name: "loopback"},
	})
	if err != nil {
		return fmt.Errorf("mount loopback: %w", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		// Detached, it ends with the last file that is open in it.
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			fmt.Fprintln(os.Stderr, "error: unmount loopback:", err)
			os.Exit(1)
		}
	}()
	server.Wait()
	return nil
}
