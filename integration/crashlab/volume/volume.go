package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Type is a file system with the options that it is made and mounted with.
type Type struct {
	Name    string // as the laboratory's flag has it
	FS      string // as mount(2) has it
	Size    int64  // of its disk, in bytes
	mkfs    []string
	options string
	// TearUnit is the smallest piece, in bytes, that a write to its disk
	// may be torn to: the sector size that the file system relies on.
	TearUnit int64
	// Solid is where its super block ends that it expects written whole,
	// in bytes from the start of the disk.
	Solid int64
}

// Types are the file systems of the laboratory.
//
// ext4 by default allocates the blocks of a file that is renamed over
// another one at once, which hides a missing fsync: ext4-strict does not.
// ext4-writeback also writes data in no order with the metadata, and lets
// freed blocks be used again before the transaction that freed them is on
// the disk: a file that was replaced by an unfinished rename may come back
// with foreign bytes, unless somebody held it open until then.
//
// Neither ext4 nor btrfs survives a torn super block: that of ext4 is never
// torn, and btrfs, whose trees rest on it too, gets a disk of 4 KiB sectors.
// So does xfs: its recovery goes by the sequence number at the start of a
// block, and leaves alone what is new there and torn behind it.
var Types = []Type{
	{Name: "ext4", FS: "ext4", Size: 256 << 20, TearUnit: 512, Solid: 4096, mkfs: mkfsExt4},
	{Name: "ext4-strict", FS: "ext4", Size: 256 << 20, TearUnit: 512, Solid: 4096, mkfs: mkfsExt4,
		options: "noauto_da_alloc"},
	{Name: "ext4-writeback", FS: "ext4", Size: 256 << 20, TearUnit: 512, Solid: 4096, mkfs: mkfsExt4,
		options: "noauto_da_alloc,data=writeback"},
	{Name: "xfs", FS: "xfs", Size: 320 << 20, TearUnit: 4096,
		mkfs: []string{"mkfs.xfs", "-q", "-f", "-s", "size=4096"}, options: "nouuid"},
	{Name: "btrfs", FS: "btrfs", Size: 512 << 20, TearUnit: 4096,
		mkfs: []string{"mkfs.btrfs", "-q", "-f", "-m", "single"}},
}

// mkfsExt4 makes the smallest journal there is, so that it wraps around, and
// leaves nothing to be initialized later.
var mkfsExt4 = []string{"mkfs.ext4", "-q", "-F", "-b", "4096", "-N", "4096", "-J", "size=4",
	"-E", "lazy_itable_init=0,lazy_journal_init=0"}

// With returns the type mounted with other options, and a name that says so.
func (t Type) With(options string) Type {
	t.Name, t.options = t.Name+","+options, options
	return t
}

// Find returns the type with a name.
func Find(name string) (Type, error) {
	var names []string
	for _, t := range Types {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Type{}, fmt.Errorf("file system %q: there are %s", name, strings.Join(names, ", "))
}

// Available says why the file system can't be had on this machine: mkfs is
// not installed, or the kernel does not know it. It is nil if it can.
func (t Type) Available() error {
	if _, err := exec.LookPath(t.mkfs[0]); err != nil {
		return fmt.Errorf("%s: %w", t.Name, err)
	}
	// The kernel looks for the type first, and loads its module; that no
	// disk is there is what it finds next.
	if err := unix.Mount("/dev/null", os.TempDir(), t.FS, 0, ""); errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%s: the kernel has no such file system: %w", t.Name, err)
	}
	return nil
}

// Make makes an empty file system on a device or file.
func (t Type) Make(ctx context.Context, device string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := detachDead(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, t.mkfs[0], append(t.mkfs[1:len(t.mkfs):len(t.mkfs)], device)...)
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", t.mkfs[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Volume is a mounted file system on a loop device.
type Volume struct {
	Dir  string
	loop *Loop
}

// ErrMount is Mount's answer when the kernel does not take what lies on the
// device for a file system.
var ErrMount = errors.New("the file system can't be mounted")

// Mount mounts the file system that lies in a file at dir, an existing
// directory.
func (t Type) Mount(file, dir string) (*Volume, error) {
	loop, err := Attach(file)
	if err != nil {
		return nil, err
	}
	if err := unix.Mount(loop.Path(), dir, t.FS, unix.MS_NOATIME, t.options); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w: %w", t.Name, ErrMount, err), loop.Detach())
	}
	return &Volume{Dir: dir, loop: loop}, nil
}

// Unmount unmounts the file system and frees its device. A file system that
// stays busy is detached from its directory, and reported.
func (v *Volume) Unmount() error {
	err := unix.Unmount(v.Dir, 0)
	for wait := time.Millisecond; errors.Is(err, unix.EBUSY) && wait < 2*time.Second; wait *= 2 {
		time.Sleep(wait) // a process that was killed may not be gone yet
		err = unix.Unmount(v.Dir, 0)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("unmount %s: %w", v.Dir, err), unix.Unmount(v.Dir, unix.MNT_DETACH))
	}
	return errors.Join(err, v.loop.Detach())
}
