package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/volume"
)

// filesystem is a fresh file system in a loop file, perhaps on a disk whose
// flushes take their time.
type filesystem struct {
	point string
	loop  *volume.Loop
	disk  *flushDisk // nil: the loop file lies where the run works
}

// makeFileSystem mounts one of the type below dir. A flush that is nil is
// whatever the disk beneath makes of it.
func makeFileSystem(ctx context.Context, dir, kind string, size int64, flush *time.Duration) (f *filesystem, err error) {
	made := &filesystem{}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.Close())
		}
	}()
	image := filepath.Join(dir, kind+".img")
	if flush == nil {
		err = makeImage(image, size)
	} else if made.disk, err = startDisk(ctx, dir, size, *flush); err == nil {
		image = made.disk.file
	}
	if err != nil {
		return nil, err
	}
	if made.loop, err = volume.Attach(image); err != nil {
		return nil, err
	}
	if err := command(ctx, "mkfs."+kind, "-q", made.loop.Path()); err != nil {
		return nil, err
	}
	point, options := filepath.Join(dir, "fs"), ""
	if kind == "ext4" {
		options = "noinit_itable" // which would flush behind our back
	}
	if err := os.MkdirAll(point, 0o755); err != nil {
		return nil, fmt.Errorf("make mount point: %w", err)
	}
	if err := unix.Mount(made.loop.Path(), point, kind, unix.MS_RELATIME, options); err != nil {
		return nil, fmt.Errorf("mount %s: %w", kind, err)
	}
	made.point = point
	return made, nil
}

// makeImage makes a file of zeros that takes no room.
func makeImage(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return fmt.Errorf("size image: %w", err)
	}
	return nil
}

// Close unmounts, frees the loop device, and ends the disk. What is still in
// use is detached, and goes with its last user.
func (f *filesystem) Close() error {
	var err error
	if f.point != "" {
		err = unmountSoon(f.point)
	}
	if f.loop != nil {
		err = errors.Join(err, f.loop.Detach())
	}
	if f.disk != nil {
		err = errors.Join(err, f.disk.Close())
	}
	f.point, f.loop, f.disk = "", nil, nil
	return err
}

// unmountSoon gives those who use a mount ten seconds to end.
func unmountSoon(point string) error {
	err := unix.Unmount(point, 0)
	for end := time.Now().Add(10 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		err = unix.Unmount(point, 0)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("unmount %s: %w", point, err), unix.Unmount(point, unix.MNT_DETACH))
	}
	return nil
}
