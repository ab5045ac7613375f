package disktest

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
)

// Contract checks that a disk does what package disk promises. fresh makes an
// empty one for each case.
func Contract(t *testing.T, fresh func(t *testing.T) disk.Disk) {
	cases := []struct {
		name string
		run  func(t *testing.T, d disk.Disk)
	}{
		{"create, write, read", contractFiles},
		{"sizes", contractSizes},
		{"names", contractNames},
		{"rename replaces", contractRename},
		{"link", contractLink},
		{"directories", contractDirs},
		{"attributes", contractAttr},
		{"an open file outlives its name", contractUnlinked},
		{"clone", contractClone},
		{"odd names", contractOddNames},
		{"errors are errnos", contractErrors},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErrno(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// write makes a file.
func write(t *testing.T, d disk.Disk, name, content string) {
	t.Helper()
	f, err := d.Create("test:create", name, 0o600)
	ok(t, err)
	_, err = f.WriteAt("test:write", []byte(content), 0)
	ok(t, err)
	ok(t, f.Sync("test:sync"))
	ok(t, f.Close())
}

func content(t *testing.T, d disk.Disk, name string) string {
	t.Helper()
	f, err := d.Open(name)
	ok(t, err)
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	ok(t, err)
	return string(b)
}

func contractFiles(t *testing.T, d disk.Disk) {
	write(t, d, "f", "hello world")
	if got := content(t, d, "f"); got != "hello world" {
		t.Errorf("got %q", got)
	}
	f, err := d.OpenWrite("test:open", "f")
	ok(t, err)
	defer func() { _ = f.Close() }()
	_, err = f.WriteAt("test:write", []byte("there"), 6)
	ok(t, err)
	p := make([]byte, 20)
	n, err := f.ReadAt(p, 4)
	if n != 7 || !errors.Is(err, io.EOF) || string(p[:n]) != "o there" {
		t.Errorf("read past the end: %d, %v, %q", n, err, p[:n])
	}
	if n, err := f.ReadAt(p, 100); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(p[:4], 0); n != 4 || err != nil {
		t.Errorf("read inside: %d, %v", n, err)
	}
	reader, err := d.Open("f")
	ok(t, err)
	defer func() { _ = reader.Close() }()
	_, err = reader.WriteAt("test:write", []byte("x"), 0)
	wantErrno(t, "write to a file opened for reading", err, syscall.EBADF)
}

func contractSizes(t *testing.T, d disk.Disk) {
	f, err := d.Create("test:create", "f", 0o600)
	ok(t, err)
	defer func() { _ = f.Close() }()
	size := func(want int64) {
		t.Helper()
		info, err := f.Stat()
		ok(t, err)
		if info.Size != want {
			t.Errorf("size: got %d, want %d", info.Size, want)
		}
	}
	ok(t, f.Allocate("test:allocate", 10000))
	size(10000)
	_, err = f.WriteAt("test:write", []byte("end"), 9997)
	ok(t, err)
	ok(t, f.Allocate("test:allocate", 5000))
	size(10000)
	p := make([]byte, 10000)
	_, err = f.ReadAt(p, 0)
	ok(t, err)
	if !bytes.Equal(p[:9997], make([]byte, 9997)) || string(p[9997:]) != "end" {
		t.Error("allocated space is not zero, or the content is gone")
	}
	ok(t, f.Truncate("test:truncate", 4))
	size(4)
	ok(t, f.Truncate("test:truncate", 9999))
	_, err = f.ReadAt(p[:9999], 0)
	ok(t, err)
	if !bytes.Equal(p[:9999], make([]byte, 9999)) {
		t.Error("what was cut off came back")
	}
	_, err = f.WriteAt("test:write", []byte("x"), 20000)
	ok(t, err)
	size(20001)
}

func contractNames(t *testing.T, d disk.Disk) {
	write(t, d, "f", "1")
	_, err := d.Create("test:create", "f", 0o600)
	wantErrno(t, "create twice", err, syscall.EEXIST)
	_, err = d.Open("none")
	wantErrno(t, "open", err, syscall.ENOENT)
	_, err = d.OpenWrite("test:open", "none")
	wantErrno(t, "open for writing", err, syscall.ENOENT)
	_, err = d.Stat("none")
	wantErrno(t, "stat", err, syscall.ENOENT)
	_, err = d.Create("test:create", "none/f", 0o600)
	wantErrno(t, "create without a directory", err, syscall.ENOENT)
	_, err = d.Create("test:create", "f/f", 0o600)
	wantErrno(t, "create below a file", err, syscall.ENOTDIR)
	info, err := d.Stat("f")
	ok(t, err)
	if !info.Mode.IsRegular() || info.Mode.Perm() != 0o600 || info.Size != 1 || info.Nlink != 1 || info.Ino == 0 {
		t.Errorf("stat: %+v", info)
	}
	ok(t, d.Remove("test:remove", "f"))
	wantErrno(t, "remove twice", d.Remove("test:remove", "f"), syscall.ENOENT)
}

func contractRename(t *testing.T, d disk.Disk) {
	ok(t, d.MkdirAll("test:mkdir", "dir/sub", 0o755))
	write(t, d, "new", "new")
	write(t, d, "dir/old", "old")
	ok(t, d.Rename("test:rename", "new", "dir/old"))
	if got := content(t, d, "dir/old"); got != "new" {
		t.Errorf("got %q", got)
	}
	_, err := d.Stat("new")
	wantErrno(t, "the old name", err, syscall.ENOENT)
	wantErrno(t, "rename nothing", d.Rename("test:rename", "new", "x"), syscall.ENOENT)
	wantErrno(t, "rename over a directory", d.Rename("test:rename", "dir/old", "dir/sub"), syscall.EISDIR)
	wantErrno(t, "rename into nothing", d.Rename("test:rename", "dir/old", "gone/x"), syscall.ENOENT)
	wantErrno(t, "rename below a file", d.Rename("test:rename", "dir/sub", "dir/old/x"), syscall.ENOTDIR)
	ok(t, d.Link("test:link", "dir/old", "twin"))
	ok(t, d.Rename("test:rename", "twin", "dir/old"))
	if _, err := d.Stat("twin"); err != nil {
		t.Errorf("rename among names of one file: %v, want nothing to happen", err)
	}
}

func contractLink(t *testing.T, d disk.Disk) {
	write(t, d, "a", "x")
	ok(t, d.Link("test:link", "a", "b"))
	wantErrno(t, "link to a name that is taken", d.Link("test:link", "a", "b"), syscall.EEXIST)
	wantErrno(t, "link nothing", d.Link("test:link", "none", "c"), syscall.ENOENT)
	a, err := d.Stat("a")
	ok(t, err)
	b, err := d.Stat("b")
	ok(t, err)
	if a.Ino != b.Ino || a.Dev != b.Dev || b.Nlink != 2 {
		t.Errorf("two names: %+v, %+v", a, b)
	}
	ok(t, d.Remove("test:remove", "a"))
	if got := content(t, d, "b"); got != "x" {
		t.Errorf("got %q", got)
	}
}

func contractDirs(t *testing.T, d disk.Disk) {
	ok(t, d.MkdirAll("test:mkdir", "a/b/c", 0o755))
	ok(t, d.MkdirAll("test:mkdir", "a/b/c", 0o755))
	write(t, d, "a/z", "1")
	write(t, d, "a/file", "1")
	for _, dir := range []string{"", "a", "a/b/c"} {
		ok(t, d.SyncDir("test:sync", dir))
	}
	wantErrno(t, "mkdir over a file", d.MkdirAll("test:mkdir", "a/file/x", 0o755), syscall.ENOTDIR)
	wantErrno(t, "sync of nothing", d.SyncDir("test:sync", "x"), syscall.ENOENT)
	wantErrno(t, "remove a full directory", d.Remove("test:remove", "a/b"), syscall.ENOTEMPTY)
	entries, err := d.ReadDir("a")
	ok(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name+" "+e.Type.String())
	}
	if got, want := strings.Join(names, ","), "b d---------,file ----------,z ----------"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = d.ReadDir("none")
	wantErrno(t, "read no directory", err, syscall.ENOENT)
	_, err = d.ReadDir("a/z")
	wantErrno(t, "read a file as a directory", err, syscall.ENOTDIR)
	_, err = d.Open("a")
	wantErrno(t, "open a directory", err, syscall.EISDIR)
	ok(t, d.Remove("test:remove", "a/b/c"))
	info, err := d.Stat("")
	ok(t, err)
	if !info.Mode.IsDir() {
		t.Errorf("root: %+v", info)
	}
}

func contractAttr(t *testing.T, d disk.Disk) {
	f, err := d.Create("test:create", "f", 0o600)
	ok(t, err)
	defer func() { _ = f.Close() }()
	was, err := f.Attr()
	ok(t, err)
	want := was
	want.Mode = 0o4751
	want.Atime, want.Mtime = time.Unix(1_500_000_000, 123), time.Unix(1_600_000_000, 456)
	ok(t, f.SetAttr("test:attr", want))
	ok(t, f.Sync("test:sync"))
	got, err := f.Attr()
	ok(t, err)
	if got.Mode != want.Mode || got.UID != want.UID || !got.Atime.Equal(want.Atime) || !got.Mtime.Equal(want.Mtime) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want.Atime, want.Mtime = time.Time{}, time.Time{}
	ok(t, f.SetAttr("test:attr", want))
	got, err = f.Attr()
	ok(t, err)
	if !got.Mtime.Equal(time.Unix(1_600_000_000, 456)) {
		t.Errorf("zero time changed the time to %v", got.Mtime)
	}
}

// Xattrs checks extended attributes, which not every file system has.
func Xattrs(t *testing.T, d disk.Disk) {
	f, err := d.Create("test:create", "f", 0o600)
	ok(t, err)
	defer func() { _ = f.Close() }()
	a, err := f.Attr()
	ok(t, err)
	big := bytes.Repeat([]byte("v"), 1000)
	a.Xattrs = map[string][]byte{"user.one": []byte("1"), "user.big": big}
	ok(t, f.SetAttr("test:attr", a))
	a.Xattrs = map[string][]byte{"user.big": big[:999], "user.empty": {}}
	ok(t, f.SetAttr("test:attr", a))
	got, err := f.Attr()
	ok(t, err)
	if len(got.Xattrs) != 2 || len(got.Xattrs["user.big"]) != 999 || got.Xattrs["user.empty"] == nil {
		t.Errorf("got %v", got.Xattrs)
	}
}

func contractUnlinked(t *testing.T, d disk.Disk) {
	write(t, d, "f", "still here")
	f, err := d.Open("f")
	ok(t, err)
	defer func() { _ = f.Close() }()
	write(t, d, "g", "other")
	ok(t, d.Rename("test:rename", "g", "f"))
	p := make([]byte, 10)
	if _, err := f.ReadAt(p, 0); err != nil || string(p) != "still here" {
		t.Errorf("got %q, %v", p, err)
	}
}

// contractClone needs no Cloner, but one that there is must do it right.
func contractClone(t *testing.T, d disk.Disk) {
	text := strings.Repeat("0123456789abcdef", 1000)
	write(t, d, "src", text)
	src, err := d.Open("src")
	ok(t, err)
	defer func() { _ = src.Close() }()
	for _, size := range []int64{int64(len(text)), 5000, 0, int64(len(text)) + 1} {
		name := "clone" + strconv.FormatInt(size, 10)
		f, err := d.Create("test:create", name, 0o600)
		ok(t, err)
		defer func() { _ = f.Close() }()
		c, is := f.(disk.Cloner)
		if !is {
			return
		}
		err = c.CloneFrom("test:clone", src, size)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return
		case size > int64(len(text)):
			if err == nil {
				t.Error("more was cloned than there is")
			}
			continue
		}
		ok(t, err)
		_, err = f.WriteAt("test:write", []byte("tail"), size)
		ok(t, err)
		if got := content(t, d, name); got != text[:size]+"tail" {
			t.Errorf("clone of %d bytes has %d, and a tail", size, len(got)-4)
		}
	}
	if got := content(t, d, "src"); got != text {
		t.Error("the source changed")
	}
}

func contractOddNames(t *testing.T, d disk.Disk) {
	ok(t, d.MkdirAll("test:mkdir", "dir", 0o755))
	for _, name := range []string{"../f", "dir/../../f", "/etc/passwd"} {
		if f, err := d.Open(name); err == nil {
			_ = f.Close()
			t.Errorf("open %q works", name)
		}
		if f, err := d.Create("test:create", name+".intact-test", 0o600); err == nil {
			_ = f.Close()
			t.Errorf("create %q works", name)
		}
	}
	for _, name := range []string{"..", "dir/..", "."} {
		if err := d.Rename("test:rename", "dir", name); err == nil {
			t.Errorf("rename to %q works", name)
		}
	}
}

func contractErrors(t *testing.T, d disk.Disk) {
	_, err := d.Create("step:label", "none/f", 0o600)
	var errno syscall.Errno
	if !errors.As(err, &errno) || !strings.Contains(err.Error(), "step:label") || !strings.Contains(err.Error(), "none/f") {
		t.Errorf("%v: want an errno, the step and the name", err)
	}
	if free, err := d.Free(); err != nil || free <= 0 {
		t.Errorf("free: %d, %v", free, err)
	}
}
