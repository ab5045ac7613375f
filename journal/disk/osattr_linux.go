package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Attr implements File.
func (f *OSFile) Attr() (Attr, error) {
	var st unix.Stat_t
	if err := retryErr(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return Attr{}, opError("", "stat", f.name, err)
	}
	xattrs, err := f.xattrs()
	if err != nil {
		return Attr{}, err
	}
	return Attr{
		Mode:   st.Mode & 0o7777,
		UID:    st.Uid,
		GID:    st.Gid,
		Atime:  time.Unix(st.Atim.Unix()),
		Mtime:  time.Unix(st.Mtim.Unix()),
		Xattrs: xattrs,
	}, nil
}

// SetAttr implements File. The order matters: a change of owner clears the
// setuid bit and capabilities, an ACL changes the mode, and everything
// changes the times. Without the privilege to give files away the owner
// stays as it is, as it does for cp -p.
func (f *OSFile) SetAttr(step Step, a Attr) error {
	f.attrSet.Store(true)
	var st unix.Stat_t
	if err := retryErr(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
		return opError(step, "stat", f.name, err)
	}
	if st.Uid != a.UID || st.Gid != a.GID {
		err := retryErr(func() error { return unix.Fchown(f.fd, int(a.UID), int(a.GID)) })
		if err != nil && !unprivileged(err) {
			return opError(step, "chown", f.name, err)
		}
	}
	if err := f.setXattrs(step, a.Xattrs); err != nil {
		return err
	}
	if err := retryErr(func() error { return unix.Fchmod(f.fd, a.Mode&0o7777) }); err != nil {
		return opError(step, "chmod", f.name, err)
	}
	if err := retryErr(func() error { return futimens(f.fd, a.Atime, a.Mtime) }); err != nil {
		return opError(step, "set times of", f.name, err)
	}
	return nil
}

// unprivileged says that err is what everybody but root gets.
func unprivileged(err error) bool {
	return errors.Is(err, unix.EPERM) && os.Geteuid() != 0
}

// futimens sets both times; the zero time leaves one as it is. The system
// call takes the descriptor alone when the path is NULL, which the package
// unix can't express.
func futimens(fd int, atime, mtime time.Time) error {
	ts := [2]unix.Timespec{timespec(atime), timespec(mtime)}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// noXattrs says that the file system has none of this kind.
func noXattrs(err error) bool {
	return errors.Is(err, unix.ENOTSUP) || errors.Is(err, syscall.ENOSYS)
}

// xattrs reads all extended attributes; nil where there are none.
func (f *OSFile) xattrs() (map[string][]byte, error) {
	names, err := f.xattrNames()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	all := make(map[string][]byte, len(names))
	for _, name := range names {
		value, err := f.xattr(name)
		if errors.Is(err, unix.ENODATA) || noXattrs(err) {
			continue // removed meanwhile, or listed but not served
		}
		if err != nil {
			return nil, opError("", "read attribute "+name+" of", f.name, err)
		}
		all[name] = value
	}
	return all, nil
}

func (f *OSFile) xattrNames() ([]string, error) {
	buf, err := grow(func(p []byte) (int, error) { return unix.Flistxattr(f.fd, p) })
	if noXattrs(err) {
		return nil, nil
	}
	if err != nil {
		return nil, opError("", "list attributes of", f.name, err)
	}
	return strings.FieldsFunc(string(buf), func(r rune) bool { return r == 0 }), nil
}

func (f *OSFile) xattr(name string) ([]byte, error) {
	return grow(func(p []byte) (int, error) { return unix.Fgetxattr(f.fd, name, p) })
}

// grow calls a system call that answers ERANGE to a buffer that is too
// small, with larger ones.
func grow(call func(p []byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		p := make([]byte, size)
		n, err := retry(func() (int, error) { return call(p) })
		if err == nil {
			return p[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) || size >= 1<<20 {
			return nil, err
		}
	}
}

// setXattrs makes the extended attributes equal to want, touching only the
// ones that differ.
func (f *OSFile) setXattrs(step Step, want map[string][]byte) error {
	have, err := f.xattrs()
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	for name := range have {
		if _, keep := want[name]; keep {
			continue
		}
		err := retryErr(func() error { return unix.Fremovexattr(f.fd, name) })
		if err != nil && !errors.Is(err, unix.ENODATA) && !noXattrs(err) && !systemOwned(name, err) {
			return opError(step, "remove attribute "+name+" of", f.name, err)
		}
	}
	for name, value := range want {
		if old, ok := have[name]; ok && bytes.Equal(old, value) {
			continue
		}
		err := retryErr(func() error { return unix.Fsetxattr(f.fd, name, value, 0) })
		if err != nil && !noXattrs(err) && !systemOwned(name, err) {
			return opError(step, "set attribute "+name+" of", f.name, err)
		}
	}
	return nil
}

// systemOwned says that err only tells that the attribute is not for this
// process to change: security labels, and trusted ones without privilege.
func systemOwned(name string, err error) bool {
	denied := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
	return denied && (strings.HasPrefix(name, "security.") || os.Geteuid() != 0)
}
