// Package volume puts a file system on a file: a loop device, mkfs, mount(2)
// and the way back. Everything it makes is released by the kernel when the
// process and its mount namespace end: see Isolate.
package volume

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Loop is a loop device over a file. It belongs to one goroutine.
type Loop struct {
	dev *os.File
}

// Attach makes a block device of the file. The device frees itself when it
// was closed and the last mount of it is gone.
func Attach(file string) (*Loop, error) {
	image, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("attach loop device: %w", err)
	}
	loop, err := attach(image)
	if err = errors.Join(err, image.Close()); err != nil {
		return nil, fmt.Errorf("attach loop device to %s: %w", file, err)
	}
	return loop, nil
}

// attach asks for a free device until nobody else takes it first.
func attach(image *os.File) (*Loop, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }() // nothing was written
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("free loop device: %w", err)
		}
		loop, err := configure(n, image)
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return loop, err
		}
	}
	return nil, fmt.Errorf("free loop device: %w", unix.EBUSY)
}

func configure(n int, image *os.File) (*Loop, error) {
	path := "/dev/loop" + strconv.Itoa(n)
	dev, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		err = unix.Mknod(path, unix.S_IFBLK|0o660, int(unix.Mkdev(7, uint32(n))))
		if err == nil || errors.Is(err, unix.EEXIST) {
			dev, err = os.OpenFile(path, os.O_RDWR, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(image.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), &config); err != nil {
		_ = dev.Close() // it was never ours
		return nil, fmt.Errorf("configure %s: %w", path, err)
	}
	return &Loop{dev: dev}, nil
}

// Path is the block device.
func (l *Loop) Path() string { return l.dev.Name() }

// Detach frees the device; unmount it first.
func (l *Loop) Detach() error {
	if err := l.dev.Close(); err != nil {
		return fmt.Errorf("detach %s: %w", l.Path(), err)
	}
	return nil
}
