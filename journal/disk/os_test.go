package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

func open(t *testing.T) (*disk.OS, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, dir
}

func TestContract(t *testing.T) {
	disktest.Contract(t, func(t *testing.T) disk.Disk {
		d, _ := open(t)
		return d
	})
}

func TestXattrs(t *testing.T) {
	d, dir := open(t)
	if err := unix.Setxattr(dir, "user.test", []byte("x"), 0); errors.Is(err, unix.ENOTSUP) {
		if os.Getenv("CI") != "" {
			t.Fatal("extended attributes must be there")
		}
		t.Skip("no extended attributes here")
	}
	disktest.Xattrs(t, d)
}

func TestSymbolicLinksAreRefused(t *testing.T) {
	d, dir := open(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": filepath.Join(outside, "secret"), "dirlink": outside, "self": "."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]func() error{
		"open":           func() error { _, err := d.Open("link"); return err },
		"open for write": func() error { _, err := d.OpenWrite("test:open", "link"); return err },
		"open below":     func() error { _, err := d.Open("dirlink/secret"); return err },
		"create below":   func() error { _, err := d.Create("test:create", "dirlink/new", 0o600); return err },
		"stat below":     func() error { _, err := d.Stat("dirlink/secret"); return err },
		"rename below":   func() error { return d.Rename("test:rename", "link", "self/x") },
		"remove below":   func() error { return d.Remove("test:remove", "dirlink/secret") },
		"read":           func() error { _, err := d.ReadDir("dirlink"); return err },
	}
	for name, f := range cases {
		if err := f(); !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: got %v, want ELOOP or ENOTDIR", name, err)
		}
	}
	info, err := d.Stat("link")
	if err != nil || info.Mode&os.ModeSymlink == 0 {
		t.Errorf("stat of a link: %v, %v; want the link itself", info.Mode, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Error(err)
	}
}

func TestSpecialFilesDoNotBlock(t *testing.T) {
	d, dir := open(t)
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open("fifo"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("open a FIFO: got %v, want EINVAL", err)
	}
}

func TestRootIsADescriptor(t *testing.T) {
	d, dir := open(t)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	at, err := disk.OpenAt(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*disk.OS{d, at} {
		if _, err := d.Stat("f"); err != nil {
			t.Errorf("after the directory moved: %v", err)
		}
	}
	if _, err := disk.Open(dir); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("open: got %v, want ENOENT", err)
	}
}

func TestUmaskDoesNotMatter(t *testing.T) {
	d, dir := open(t)
	old := unix.Umask(0o077)
	f, err := d.Create("test:create", "f", 0o644)
	merr := d.MkdirAll("test:mkdir", "a/b", 0o755)
	unix.Umask(old)
	if err != nil || merr != nil {
		t.Fatal(err, merr)
	}
	defer f.Close()
	for name, want := range map[string]os.FileMode{"f": 0o644, "a": 0o755, "a/b": 0o755} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestHintsAndDescriptors(t *testing.T) {
	d, _ := open(t)
	file, err := d.Create("test:create", "f", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f := file.(*disk.OSFile)
	if _, err := f.WriteAt("test:write", make([]byte, 1<<16), 0); err != nil {
		t.Fatal(err)
	}
	f.StartWriteback(0, 1<<16)
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x, %v: want close-on-exec", flags, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
