package fs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// End waits until Serve has ended, which it does once the mount is gone
// everywhere. A copy of the mount can live on in another mount namespace that
// was made meanwhile, where nobody here sees it: after the patience End says so
// in the log and cuts the connection to the kernel, so that whoever still uses
// the mount gets ENOTCONN. It fails if Serve goes on even so.
func (v *Server) End(patience time.Duration) error {
	if v.ended(patience) {
		return nil
	}
	v.fs.log.Warn("the mount lives on, perhaps in another mount namespace: cutting it off",
		"mount", v.point, "device", v.mount.Dev)
	v.fs.locks.Close()
	if err := abort(v.mount.Dev); err != nil {
		return fmt.Errorf("cut off %s: %w", v.point, err)
	}
	if !v.ended(patience) {
		return fmt.Errorf("cut off %s: %w", v.point, os.ErrDeadlineExceeded)
	}
	return nil
}

func (v *Server) ended(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-v.done:
		return true
	case <-timer.C:
		return false
	}
}

// abort ends the connection behind a FUSE mount, by its device. fusectl is
// asked through a mount of its own that no name leads to: it need not be mounted
// anywhere, and nobody sees this one.
func abort(dev string) error {
	_, minor, ok := strings.Cut(dev, ":")
	if !ok {
		return errors.New("its device is not known")
	}
	ctl, err := openFusectl()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(ctl) }()
	fd, err := openat(ctl, minor+"/abort", unix.O_WRONLY, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil // gone by now
	}
	if err != nil {
		return fmt.Errorf("open connection %s: %w", minor, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if _, err := unix.Write(fd, []byte("1")); err != nil {
		return fmt.Errorf("abort connection %s: %w", minor, err)
	}
	return nil
}

// openFusectl returns a descriptor of the root of fusectl.
func openFusectl() (int, error) {
	const mounted = "/sys/fs/fuse/connections"
	var st unix.Statfs_t
	const fusectlMagic = 0x65735543
	if err := unix.Statfs(mounted, &st); err == nil && st.Type == fusectlMagic {
		return openat(unix.AT_FDCWD, mounted, unix.O_PATH|unix.O_DIRECTORY, 0)
	}
	fsfd, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open fusectl: %w", err)
	}
	defer func() { _ = unix.Close(fsfd) }()
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, fmt.Errorf("open fusectl: %w", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mount fusectl: %w", err)
	}
	return fd, nil
}
