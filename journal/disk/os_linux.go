package disk

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// OS is a directory of the operating system. Everything is reached from one
// descriptor, never by a path from the system's root: a mount over the
// directory does not change what OS sees.
type OS struct {
	root int
}

var _ Disk = (*OS)(nil)

// beneath keeps every lookup inside the root and off symbolic links, the
// magic ones of /proc included.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// Open opens the directory dir.
func Open(dir string) (*OS, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	return &OS{root: fd}, nil
}

// OpenAt takes a descriptor of a directory, opened for reading. It makes its
// own duplicate; the caller keeps fd.
func OpenAt(fd int) (*OS, error) {
	dup, err := retry(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return nil, fmt.Errorf("duplicate directory descriptor: %w", err)
	}
	return &OS{root: dup}, nil
}

// Close gives the descriptor back. Files that are open stay usable.
func (d *OS) Close() error {
	return unix.Close(d.root)
}

// retry repeats a system call that a signal interrupted.
func retry[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// retryErr is retry for calls with no result.
func retryErr(call func() error) error {
	_, err := retry(func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// opError names the step, the operation and the subject of err.
func opError(step Step, op, name string, err error) error {
	if step == "" {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return fmt.Errorf("%s: %s %s: %w", step, op, name, err)
}

// openat2 opens name below the root. EAGAIN is what the kernel answers when
// a rename elsewhere raced with RESOLVE_BENEATH.
func (d *OS) openat2(name string, flags int, perm uint32) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(perm), Resolve: beneath}
	for {
		fd, err := unix.Openat2(d.root, name, &how)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		return fd, err
	}
}

// inParent calls f with a descriptor of the directory that holds name, and
// name's last element.
func (d *OS) inParent(name string, f func(dirfd int, base string) error) error {
	dir, base := path.Split(name)
	if base == "" || base == "." || base == ".." {
		return unix.EINVAL
	}
	if dir == "" {
		return f(d.root, base)
	}
	fd, err := d.openat2(strings.TrimSuffix(dir, "/"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = f(fd, base)
	// An O_PATH descriptor has nothing to write back that could fail.
	_ = unix.Close(fd)
	return err
}

// Create implements Disk.
func (d *OS) Create(step Step, name string, perm uint32) (File, error) {
	fd, err := d.openat2(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, perm)
	if err != nil {
		return nil, opError(step, "create", name, err)
	}
	// The umask of the process must not decide about private files.
	if err := retryErr(func() error { return unix.Fchmod(fd, perm) }); err != nil {
		_ = unix.Close(fd)
		return nil, opError(step, "chmod", name, err)
	}
	return &OSFile{fd: fd, name: name}, nil
}

// Open implements Disk.
func (d *OS) Open(name string) (File, error) {
	return d.openRegular("", name, unix.O_RDONLY)
}

// OpenWrite implements Disk.
func (d *OS) OpenWrite(step Step, name string) (File, error) {
	return d.openRegular(step, name, unix.O_RDWR)
}

// openRegular refuses everything but regular files, without waiting for the
// other end of a FIFO.
func (d *OS) openRegular(step Step, name string, mode int) (File, error) {
	fd, err := d.openat2(name, mode|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, opError(step, "open", name, err)
	}
	var st unix.Stat_t
	err = retryErr(func() error { return unix.Fstat(fd, &st) })
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		err = unix.EISDIR
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = unix.EINVAL
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, opError(step, "open", name, err)
	}
	return &OSFile{fd: fd, name: name}, nil
}

// Rename implements Disk.
func (d *OS) Rename(step Step, oldName, newName string) error {
	err := d.inParent(oldName, func(from int, oldBase string) error {
		return d.inParent(newName, func(to int, newBase string) error {
			return retryErr(func() error { return unix.Renameat(from, oldBase, to, newBase) })
		})
	})
	if err != nil {
		return opError(step, "rename", oldName+" to "+newName, err)
	}
	return nil
}

// Link implements Disk.
func (d *OS) Link(step Step, oldName, newName string) error {
	err := d.inParent(oldName, func(from int, oldBase string) error {
		return d.inParent(newName, func(to int, newBase string) error {
			return retryErr(func() error { return unix.Linkat(from, oldBase, to, newBase, 0) })
		})
	})
	if err != nil {
		return opError(step, "link", oldName+" to "+newName, err)
	}
	return nil
}

// Remove implements Disk. It removes files and empty directories.
func (d *OS) Remove(step Step, name string) error {
	err := d.inParent(name, func(dirfd int, base string) error {
		err := retryErr(func() error { return unix.Unlinkat(dirfd, base, 0) })
		if errors.Is(err, unix.EISDIR) {
			return retryErr(func() error { return unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR) })
		}
		return err
	})
	if err != nil {
		return opError(step, "remove", name, err)
	}
	return nil
}

// MkdirAll implements Disk.
func (d *OS) MkdirAll(step Step, name string, perm uint32) error {
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		if err := d.mkdir(name[:i], perm); err != nil {
			return opError(step, "make directory", name[:i], err)
		}
	}
	return nil
}

// mkdir makes one directory unless it exists.
func (d *OS) mkdir(name string, perm uint32) error {
	info, err := d.Stat(name)
	if err == nil {
		if !info.Mode.IsDir() {
			return unix.ENOTDIR
		}
		return nil
	}
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	return d.inParent(name, func(dirfd int, base string) error {
		err := retryErr(func() error { return unix.Mkdirat(dirfd, base, perm) })
		if errors.Is(err, unix.EEXIST) {
			return nil // somebody else was faster
		}
		if err != nil {
			return err
		}
		return retryErr(func() error { return unix.Fchmodat(dirfd, base, perm, 0) })
	})
}

// SyncDir implements Disk.
func (d *OS) SyncDir(step Step, name string) error {
	fd, err := d.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return opError(step, "open directory", name, err)
	}
	err = retryErr(func() error { return unix.Fsync(fd) })
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return opError(step, "sync directory", name, err)
	}
	return nil
}

// ReadDir implements Disk. The entries are sorted by name.
func (d *OS) ReadDir(name string) ([]DirEntry, error) {
	fd, err := d.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, opError("", "open directory", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	list, err := dir.ReadDir(-1)
	if cerr := dir.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, opError("", "read directory", name, err)
	}
	entries := make([]DirEntry, 0, len(list))
	for _, e := range list {
		entries = append(entries, DirEntry{Name: e.Name(), Type: e.Type()})
	}
	sort.Slice(entries, func(i, k int) bool { return entries[i].Name < entries[k].Name })
	return entries, nil
}

// Stat implements Disk.
func (d *OS) Stat(name string) (Info, error) {
	var st unix.Stat_t
	var err error
	if name == "" || name == "." {
		err = retryErr(func() error { return unix.Fstat(d.root, &st) })
	} else {
		err = d.inParent(name, func(dirfd int, base string) error {
			return retryErr(func() error { return unix.Fstatat(dirfd, base, &st, unix.AT_SYMLINK_NOFOLLOW) })
		})
	}
	if err != nil {
		return Info{}, opError("", "stat", name, err)
	}
	return infoOf(&st), nil
}

// Free implements Disk.
func (d *OS) Free() (int64, error) {
	var st unix.Statfs_t
	if err := retryErr(func() error { return unix.Fstatfs(d.root, &st) }); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// infoOf translates what the kernel tells.
func infoOf(st *unix.Stat_t) Info {
	return Info{
		Size:  st.Size,
		Mode:  modeOf(st.Mode),
		Mtime: time.Unix(st.Mtim.Unix()),
		Ctime: time.Unix(st.Ctim.Unix()),
		Ino:   st.Ino,
		Dev:   uint64(st.Dev),
		Nlink: uint64(st.Nlink),
		UID:   st.Uid,
		GID:   st.Gid,
	}
}

// modeOf translates st_mode into what the standard library uses.
func modeOf(mode uint32) iofs.FileMode {
	m := iofs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= iofs.ModeDir
	case unix.S_IFLNK:
		m |= iofs.ModeSymlink
	case unix.S_IFIFO:
		m |= iofs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= iofs.ModeSocket
	case unix.S_IFBLK:
		m |= iofs.ModeDevice
	case unix.S_IFCHR:
		m |= iofs.ModeDevice | iofs.ModeCharDevice
	}
	if mode&unix.S_ISUID != 0 {
		m |= iofs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= iofs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= iofs.ModeSticky
	}
	return m
}
