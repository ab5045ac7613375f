package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Runtime says where the sockets of a user lie.
type Runtime struct {
	UID int
	XDG string // $XDG_RUNTIME_DIR, may be empty
}

// RuntimeOfProcess is where this process puts its sockets.
func RuntimeOfProcess() Runtime {
	return Runtime{UID: os.Getuid(), XDG: os.Getenv("XDG_RUNTIME_DIR")}
}

// Dir is the directory of the sockets.
func (r Runtime) Dir() string {
	switch {
	case r.UID == 0:
		return "/run/intact"
	case r.XDG != "":
		return filepath.Join(r.XDG, "intact")
	}
	return "/tmp/intact-" + strconv.Itoa(r.UID)
}

// Socket is the path of the socket of an open directory: the same whatever
// the directory is called, and known without asking the mount.
func (r Runtime) Socket(dir *os.File) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return "", fmt.Errorf("stat %s: %w", dir.Name(), err)
	}
	return filepath.Join(r.Dir(), fmt.Sprintf("%d-%d.sock", st.Dev, st.Ino)), nil
}

// prepareDir makes the directory of the sockets and refuses one that another
// user could have prepared for us.
func (r Runtime) prepareDir() error {
	dir := r.Dir()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != r.UID:
		return fmt.Errorf("%s belongs to user %d, not to %d", dir, st.Uid, r.UID)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to other users (mode %o)", dir, st.Mode&0o777)
	}
	return nil
}
