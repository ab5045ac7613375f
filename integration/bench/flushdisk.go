package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// diskCommand is the first argument of the process that serves a disk whose
// flushes take their time: a mount with the one file that a loop device lies
// on. Reads and writes of that file are the kernel's alone; each flush of the
// loop device arrives as an FSYNC.
const diskCommand = "serve-disk"

// flushesAttr is the extended attribute of the file that tells how many
// flushes were answered, and how many nanoseconds they took together.
const flushesAttr = "user.flushes"

// flusher does what a disk does at a flush: nothing else, and for a while.
type flusher struct {
	takes time.Duration
	one   sync.Mutex // held while a flush runs: a disk has one at a time
	count atomic.Int64
	busy  atomic.Int64 // nanoseconds
}

// flush waits for those before it and takes its time. Nothing is synced
// beneath, so that the time is the one that was asked for.
func (f *flusher) flush() {
	f.one.Lock()
	defer f.one.Unlock()
	start := time.Now()
	time.Sleep(f.takes)
	f.busy.Add(int64(time.Since(start)))
	f.count.Add(1)
}

// diskNode is a loopback's file or directory with such flushes.
type diskNode struct {
	*gofs.LoopbackNode
	*flusher
}

var (
	_ gofs.NodeFsyncer     = (*diskNode)(nil)
	_ gofs.NodeGetxattrer  = (*diskNode)(nil)
	_ gofs.NodeWrapChilder = (*diskNode)(nil)
)

// WrapChild makes what is below it like it.
func (n *diskNode) WrapChild(_ context.Context, child gofs.InodeEmbedder) gofs.InodeEmbedder {
	if plain, ok := child.(*gofs.LoopbackNode); ok {
		return &diskNode{plain, n.flusher}
	}
	return child
}

// Fsync is a flush.
func (n *diskNode) Fsync(context.Context, gofs.FileHandle, uint32) syscall.Errno {
	n.flush()
	return 0
}

// Getxattr tells the count; there is no other attribute.
func (n *diskNode) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if name != flushesAttr {
		return 0, syscall.ENODATA
	}
	text := fmt.Sprintf("%d %d", n.count.Load(), n.busy.Load())
	if len(dest) < len(text) {
		return uint32(len(text)), syscall.ERANGE
	}
	return uint32(copy(dest, text)), 0
}

// serveDisk mounts source on target until the process is told to end.
func serveDisk(takes, source, target string) error {
	d, err := time.ParseDuration(takes)
	if err != nil {
		return fmt.Errorf("parse time of a flush: %w", err)
	}
	root, err := gofs.NewLoopbackRoot(source)
	if err != nil {
		return fmt.Errorf("open directory of the disk: %w", err)
	}
	keeper, err := outliveFiles()
	if err != nil {
		return err
	}
	defer func() { _ = keeper.Close() }()
	if plain, ok := root.(*gofs.LoopbackNode); ok {
		root = &diskNode{plain, &flusher{takes: d}}
	}
	return serve(target, root, &gofs.Options{MountOptions: fuse.MountOptions{MaxWrite: 1 << 20, FsName: source, Name: "benchdisk"}})
}

// outliveFiles starts a process that ends when what it returns is closed, as it is
// when this process is killed, with all its files. It
// keeps the mount namespace until then: the kernel unmounts what is in a namespace
// when the last process of it ends. If that were this one, killed, a file system on
// the disk would wait for a flush by a server whose connection the same thread is
// to close after that, and for ever.
func outliveFiles() (io.Closer, error) {
	keeper := exec.Command("cat")
	in, err := keeper.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("keep the namespace: %w", err)
	}
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := keeper.Start(); err != nil {
		return nil, fmt.Errorf("keep the namespace: %w", err)
	}
	return in, nil
}

// flushDisk is a running disk, as its user sees it.
type flushDisk struct {
	server *exec.Cmd
	point  string
	file   string // to attach the loop device to
}

// flushes is what a disk has answered so far.
type flushes struct {
	count int64
	took  time.Duration // all of them together
}

// startDisk makes a disk of size bytes below dir whose flushes take so long.
func startDisk(ctx context.Context, dir string, size int64, takes time.Duration) (d *flushDisk, err error) {
	beneath := filepath.Join(dir, "beneath")
	d = &flushDisk{point: filepath.Join(dir, "disk")}
	d.file = filepath.Join(d.point, "image")
	if err := errors.Join(os.MkdirAll(beneath, 0o755), os.MkdirAll(d.point, 0o755), makeImage(filepath.Join(beneath, "image"), size)); err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	if d.server, err = startDevice(self, diskCommand, takes.String(), beneath, d.point); err != nil {
		return nil, fmt.Errorf("start disk: %w", err)
	}
	if err := waitMounted(ctx, d.point); err != nil {
		return nil, errors.Join(fmt.Errorf("start disk: %w", err), d.Close())
	}
	return d, nil
}

// flushes asks the disk for its count.
func (d *flushDisk) flushes() (flushes, error) {
	var f flushes
	buf := make([]byte, 64)
	n, err := unix.Getxattr(d.file, flushesAttr, buf)
	if err == nil {
		_, err = fmt.Sscan(string(buf[:n]), &f.count, &f.took)
	}
	if err != nil {
		return f, fmt.Errorf("count flushes: %w", err)
	}
	return f, nil
}

// Close ends the disk; detach its loop device first.
func (d *flushDisk) Close() error { return endChild(d.server, d.point) }
