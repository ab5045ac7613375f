package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// loopbackCommand is the first argument of the process that serves a plain
// loopback: what any FUSE file system in Go costs at least. As root its reads
// don't reach it: the kernel passes them through. directCommand is the same
// without that and without the kernel's pages: what reads cost at least that a
// file system answers itself.
const (
	loopbackCommand = "serve-loopback"
	directCommand   = "serve-direct-loopback"
)

// directNode is a file or directory whose files are read and written directly.
type directNode struct{ *gofs.LoopbackNode }

var (
	_ gofs.NodeOpener      = (*directNode)(nil)
	_ gofs.NodeWrapChilder = (*directNode)(nil)
)

// WrapChild makes what is below it like it.
func (n *directNode) WrapChild(_ context.Context, child gofs.InodeEmbedder) gofs.InodeEmbedder {
	return direct(child)
}

// Open is the loopback's, with every read and write sent on.
func (n *directNode) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	file, _, errno := n.LoopbackNode.Open(ctx, flags)
	return file, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, errno
}

// direct makes a loopback's node one whose files are read directly.
func direct(node gofs.InodeEmbedder) gofs.InodeEmbedder {
	if plain, ok := node.(*gofs.LoopbackNode); ok {
		return &directNode{plain}
	}
	return node
}

// serveLoopback mounts source on target until the process is told to end.
func serveLoopback(command, source, target string) error {
	second := time.Second
	options := gofs.Options{
		EntryTimeout: &second,
		AttrTimeout:  &second,
		MountOptions: fuse.MountOptions{MaxWrite: 1 << 20, FsName: source, Name: "loopback"},
	}
	root, err := gofs.NewLoopbackRoot(source)
	if err != nil {
		return fmt.Errorf("open loopback source: %w", err)
	}
	if command == directCommand {
		root = direct(root)
		options.DisabledCapabilities = fuse.CAP_PASSTHROUGH
		// Splicing a megabyte needs a larger pipe than there is.
		options.DisableSplice = true
	}
	return serve(target, root, &options)
}
