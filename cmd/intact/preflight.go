package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// preflight finds where to mount what, clears what a crash left there, and
// refuses what would not do: everything that can be known before anything is
// changed.
func (a *app) preflight(dirArg, pointArg string) (dir, point string, err error) {
	if dir, err = a.place(dirArg); err != nil {
		return "", "", refused{err}
	}
	point = dir
	if pointArg != dirArg {
		point, err = a.place(pointArg)
	}
	if err != nil {
		return "", "", refused{err}
	}
	if err := refuseStacking(dir, point); err != nil {
		return "", "", refused{err}
	}
	for _, p := range []string{dir, point} {
		if err := checkDir(p); err != nil {
			return "", "", refused{err}
		}
	}
	return dir, point, nil
}

// place is an absolute path, with dead mounts on it or above it cleared.
func (a *app) place(arg string) (string, error) {
	path, _, err := absolute(arg)
	if err != nil {
		return "", err
	}
	cleared, err := a.clearDead(path)
	if err != nil {
		return "", fmt.Errorf("clear the dead mount at %s: %w", path, err)
	}
	if cleared {
		a.tell("cleared a dead mount at %s", path)
		path, _, err = absolute(arg)
	}
	return path, err
}

// clearDead takes away the dead mounts that a crash left on or above path.
// It tells whether there was one.
func (a *app) clearDead(path string) (bool, error) {
	cleared := false
	for {
		mounts, err := intactMounts()
		if err != nil {
			return cleared, err
		}
		m, ok := mountOf(mounts, path)
		if !ok || !a.dead(m) {
			return cleared, nil
		}
		if err := m.detach(); err != nil {
			return cleared, err
		}
		cleared = true
	}
}

func checkDir(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return hint(fmt.Errorf("%s does not exist", path), "create it with: mkdir -p %s", path)
	case err != nil:
		return err
	case path == "/":
		return hint(errors.New("intact does not mount over the root directory"), "name the directory that the files to protect are in")
	case !st.IsDir():
		return hint(fmt.Errorf("%s is not a directory", path), "intact mounts over directories")
	}
	return nil
}

// refuseStacking refuses a mount on, in or of a mount of intact, and one
// whose directory would hold its own mount point.
func refuseStacking(dir, point string) error {
	mounts, err := intactMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.dir == dir && m.point != dir && m.point != point {
			return hint(fmt.Errorf("%s is already mounted, on %s", dir, m.point), "unmount it with: intact unmount %s", m.point)
		}
	}
	if m, ok := mountOf(mounts, point); ok && m.point == point {
		return hint(fmt.Errorf("%s is already a mount point of intact, for %s", point, m.dir), "unmount it with: intact unmount %s", point)
	} else if ok {
		return hint(fmt.Errorf("%s is inside the mount of intact on %s", point, m.point), "choose a mount point outside")
	}
	if m, ok := mountOf(mounts, dir); ok {
		return hint(fmt.Errorf("%s is served by intact already, on %s", dir, m.point), "intact does not stack on itself")
	}
	if dir != point && within(dir, point) {
		return hint(fmt.Errorf("the mount point %s is inside the directory %s", point, dir), "mount over the directory itself, or choose a mount point outside")
	}
	if dir != point && within(point, dir) {
		return hint(fmt.Errorf("the mount point %s would hide the directory %s", point, dir), "mount over the directory itself, or choose another mount point")
	}
	return nil
}

// explainOpen gives the errors of opening a directory for a mount their hints.
func explainOpen(dir string, err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return hint(fmt.Errorf("%s is on a read-only file system: %w", dir, err), "intact keeps its journal in the directory: it must be writable")
	case errors.Is(err, os.ErrPermission):
		return hint(fmt.Errorf("%s is not writable: %w", dir, err), "intact keeps its journal in the directory: run it as the owner, or as root")
	}
	return fmt.Errorf("%s: %w", dir, err)
}
