package fs

import (
	"math/rand/v2"
	"strconv"

	"golang.org/x/sys/unix"
)

// The inode number of a protected file outlives the inodes that its versions
// come in. It is protectedIno with 52 bits of its own, remembered on the
// published file where programs don't see it.
const (
	inoXattr     = "user.intact.ino"
	protectedIno = uint64(1) << 52
)

// freshIno is a number for a protected name that had none.
func freshIno() uint64 { return protectedIno | rand.Uint64()>>13 }

// firstIno is the number of a protected file that was there before intact.
func firstIno(backing uint64) uint64 { return protectedIno | backing&(protectedIno-1) }

func formatIno(ino uint64) []byte { return strconv.AppendUint(nil, ino, 10) }

func parseIno(value []byte) (uint64, bool) {
	ino, err := strconv.ParseUint(string(value), 10, 64)
	return ino, err == nil && ino&protectedIno != 0
}

// inoOf is the number that a committed version carries.
func inoOf(a Attr) (uint64, bool) { return parseIno(a.Xattrs[inoXattr]) }

// savedIno is the number remembered on a published file, or the one it gets
// at first sight. The caller holds names.
func (s *fileSystem) savedIno(dir *node, name string, backing uint64) uint64 {
	parent, err := s.dirFD(dir)
	if err != nil {
		return firstIno(backing)
	}
	fd, err := openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return firstIno(backing)
	}
	defer func() { _ = unix.Close(fd) }()
	var value [24]byte
	n, err := unix.Getxattr(procPath(fd), inoXattr, value[:])
	if err != nil {
		return firstIno(backing)
	}
	if ino, ok := parseIno(value[:n]); ok {
		return ino
	}
	return firstIno(backing)
}
