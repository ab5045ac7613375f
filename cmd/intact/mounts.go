package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"intactfs/control"
)

const fsType = "fuse.intact"

// mounted is one mount of intact, as the mount table tells. Nothing here
// touches the mount itself unless it says so.
type mounted struct {
	dir   string // the directory beneath
	point string
	id    int // of the mount
	minor int // of its device: what the kernel calls the connection
}

// intactMounts lists the mounts of intact, the one on top last.
func intactMounts() ([]mounted, error) {
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return i.FSType != fsType, false
	})
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	var mounts []mounted
	for _, i := range infos {
		mounts = append(mounts, mounted{dir: i.Source, point: i.Mountpoint, id: i.ID, minor: i.Minor})
	}
	return mounts, nil
}

// mountOf is the mount of intact that a path lies in, by its name alone.
func mountOf(mounts []mounted, path string) (mounted, bool) {
	var best mounted
	found := false
	for _, m := range mounts {
		if within(m.point, path) && len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

// within tells whether path is dir or below it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// socket asks the mount where its daemon listens. This touches the mount: a
// dead one answers ENOTCONN.
func (m mounted) socket() (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Getxattr(m.point, "user.intact.socket", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// noted is the socket of the mount's daemon, as that left it beside, if somebody
// listens there. This does not touch the mount.
func (m mounted) noted() string {
	for _, r := range []control.Runtime{control.RuntimeOfProcess(), {UID: 0}} {
		if socket := r.Noted(m.minor, m.dir, m.point); socket != "" && control.Listening(socket) {
			return socket
		}
	}
	return ""
}

// silentAfter is how long a daemon may take for the least of answers.
const silentAfter = 10 * time.Second

// ask finds where the mount's daemon listens. It asks the mount only where there
// is no note, and then with ErrSilent instead of waiting for ever; the thread
// that asked may wait on, and keep even a process that has ended from going.
func (m mounted) ask(ctx context.Context, patience time.Duration) (string, error) {
	if socket := m.noted(); socket != "" {
		return socket, nil
	}
	return m.askMount(ctx, patience)
}

func (m mounted) askMount(ctx context.Context, patience time.Duration) (string, error) {
	type answer struct {
		socket string
		err    error
	}
	heard := make(chan answer, 1)
	go func() {
		socket, err := m.socket()
		heard <- answer{socket, err}
	}()
	select {
	case a := <-heard:
		return a.socket, a.err
	case <-time.After(patience):
		return "", fmt.Errorf("%s: %w", m.point, control.ErrSilent)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// isDead is what a mount answers that nobody serves.
func isDead(err error) bool {
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
}

// cutOff takes a mount away whose daemon does not answer: whoever waits for it
// gets an error.
func (m mounted) cutOff() error {
	err := m.detach()
	// Only root may, and where the kernel shows its connections.
	_ = os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", m.minor), []byte("1"), 0)
	return err
}

// detach takes a mount away, used or not.
func (m mounted) detach() error {
	err := unix.Unmount(m.point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EPERM) {
		return fusermount("-uz", m.point)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", m.point, err)
	}
	return nil
}

// unmount takes a mount away that nobody uses; an error that wraps EBUSY if
// somebody does.
func (m mounted) unmount() error {
	err := unix.Unmount(m.point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EPERM) {
		return fusermount("-u", m.point)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", m.point, err)
	}
	return nil
}

// fusermount does what only root may.
func fusermount(flag, point string) error {
	name, err := exec.LookPath("fusermount3")
	if err != nil {
		if name, err = exec.LookPath("fusermount"); err != nil {
			return hint(fmt.Errorf("unmount %s: %w", point, unix.EPERM), "install fuse3, or do it as root")
		}
	}
	out, err := exec.Command(name, flag, "--", point).CombinedOutput()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(string(out))
	if strings.Contains(text, "busy") {
		return fmt.Errorf("unmount %s: %w", point, unix.EBUSY)
	}
	return fmt.Errorf("unmount %s: %s: %w", point, text, err)
}
