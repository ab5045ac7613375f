package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links are followed in one path.
const maxLinks = 255

// absolute is the path a user typed, as the mount table would write it: the
// links in it are followed as far as it exists. A mount of intact, and what is
// inside, is left alone: its daemon may hang, and who looks there then waits
// for ever. The mounts come with it.
func absolute(path string) (string, []mounted, error) {
	path, err := fromHere(path)
	if err != nil {
		return "", nil, err
	}
	mounts, err := intactMounts()
	if err != nil {
		return "", nil, err
	}
	return resolve(path, mounts), mounts, nil
}

// fromHere makes a path absolute, and asks only the kernel where this is: the
// working directory may be in a mount that hangs.
func fromHere(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	dir, err := unix.Getwd()
	if err != nil {
		return "", os.NewSyscallError("getcwd", err)
	}
	return filepath.Join(dir, path), nil
}

// resolve follows the links of an absolute path, one name after the other, up
// to the first that is not there or that is in one of the mounts.
func resolve(path string, mounts []mounted) string {
	done, rest, links := "/", names(path), 0
	for len(rest) > 0 {
		next := filepath.Join(done, rest[0])
		if _, inside := mountOf(mounts, next); inside {
			break
		}
		target, err := os.Readlink(next)
		if errors.Is(err, unix.EINVAL) { // no link
			done, rest = next, rest[1:]
			continue
		}
		if err != nil {
			break
		}
		if links++; links > maxLinks {
			return path
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		rest = append(names(target), rest[1:]...)
	}
	return join(done, rest)
}

// names splits a path. Its .. stay: what they mean depends on the links before.
func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func join(dir string, names []string) string {
	return filepath.Join(dir, filepath.Join(names...))
}
