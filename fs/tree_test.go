package fs

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func TestToStatus(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want fuse.Status
	}{
		{"nothing", nil, fuse.OK},
		{"errno", syscall.ENOSPC, fuse.Status(syscall.ENOSPC)},
		{"wrapped errno", fmt.Errorf("write x: %w", syscall.ENOSPC), fuse.Status(syscall.ENOSPC)},
		{"never ENOSYS", fmt.Errorf("x: %w", syscall.ENOSYS), fuse.Status(syscall.EOPNOTSUPP)},
		{"refused content", errInvalid, fuse.Status(syscall.EBADMSG)},
		{"not there", fmt.Errorf("x: %w", iofs.ErrNotExist), fuse.ENOENT},
		{"there", iofs.ErrExist, fuse.Status(syscall.EEXIST)},
		{"permission", iofs.ErrPermission, fuse.EPERM},
		{"path error", &iofs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, fuse.EROFS},
		{"cancelled", context.Canceled, fuse.EINTR},
		{"anything else", errors.New("x"), fuse.EIO},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := toStatus(tc.err); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// testTree is a tree whose root has no directory beneath.
func testTree() *tree { return newTree(-1, inoKey{1, 1}) }

func key(n uint64) inoKey { return inoKey{1, n} }

func wantPath(t *testing.T, tr *tree, n *node, want string) {
	t.Helper()
	got, ok := tr.path(n)
	if !ok {
		got = "(none)"
	}
	if got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
}

func TestTreeNames(t *testing.T) {
	tr := testTree()
	dir := tr.enter(tr.atRoot, "d", key(2), unix.S_IFDIR)
	a := tr.enter(dir, "a", key(3), unix.S_IFREG)
	wantPath(t, tr, a, "d/a")
	if again := tr.enter(dir, "a", key(3), unix.S_IFREG); again != a || a.lookups != 2 {
		t.Errorf("a second lookup: got node %d with %d lookups", again.id, a.lookups)
	}
	if linked := tr.enter(tr.atRoot, "b", key(3), unix.S_IFREG); linked != a {
		t.Error("a hard link is another node")
	}
	tr.unlink(dir, "a", false)
	wantPath(t, tr, a, "b")
	tr.move(tr.atRoot, "d", tr.atRoot, "e")
	wantPath(t, tr, dir, "e")
	tr.unlink(tr.atRoot, "b", true)
	wantPath(t, tr, a, "(none)")
	if reused := tr.enter(tr.atRoot, "c", key(3), unix.S_IFREG); reused == a {
		t.Error("a reused inode number brought a removed file back")
	}
}

func TestTreeMoveOver(t *testing.T) {
	tr := testTree()
	a := tr.enter(tr.atRoot, "a", key(2), unix.S_IFREG)
	b := tr.enter(tr.atRoot, "b", key(3), unix.S_IFREG)
	tr.move(tr.atRoot, "a", tr.atRoot, "b")
	wantPath(t, tr, a, "b")
	wantPath(t, tr, b, "(none)")
	if tr.child(tr.atRoot, "a") != nil || tr.child(tr.atRoot, "b") != a {
		t.Error("the names don't lead where they should")
	}
}

func TestTreeExchange(t *testing.T) {
	tr := testTree()
	dir := tr.enter(tr.atRoot, "d", key(2), unix.S_IFDIR)
	a := tr.enter(tr.atRoot, "a", key(3), unix.S_IFREG)
	b := tr.enter(dir, "b", key(4), unix.S_IFREG)
	tr.exchange(tr.atRoot, "a", dir, "b")
	wantPath(t, tr, a, "d/b")
	wantPath(t, tr, b, "a")
}

func TestTreeForgets(t *testing.T) {
	tr := testTree()
	dir := tr.enter(tr.atRoot, "d", key(2), unix.S_IFDIR)
	a := tr.enter(dir, "a", key(3), unix.S_IFREG)
	tr.pin(a)
	tr.forget(dir.id, 1)
	tr.forget(a.id, 1)
	if tr.get(a.id) != a || tr.get(dir.id) != dir {
		t.Fatal("an open file, or its directory, was forgotten")
	}
	tr.unpin(a)
	if tr.get(a.id) != nil || tr.get(dir.id) != nil {
		t.Error("a file that nobody has, or its directory, is still there")
	}
	if len(tr.byID) != 1 || len(tr.byKey) != 0 {
		t.Errorf("left over: %v %v", tr.byID, tr.byKey)
	}
	if next := tr.enter(tr.atRoot, "d", key(2), unix.S_IFDIR); next.id <= a.id {
		t.Errorf("id %d was used again", next.id)
	}
}

func TestIno(t *testing.T) {
	for _, ino := range []uint64{freshIno(), firstIno(12), firstIno(1<<52 | 7)} {
		got, ok := parseIno(formatIno(ino))
		if !ok || got != ino || ino&protectedIno == 0 {
			t.Errorf("%x: got %x, %v", ino, got, ok)
		}
	}
	for _, bad := range []string{"", "x", "12", "-1"} {
		if _, ok := parseIno([]byte(bad)); ok {
			t.Errorf("%q was taken for a number", bad)
		}
	}
}

func TestWithoutSuid(t *testing.T) {
	for _, tc := range []struct{ mode, want uint32 }{
		{0644, 0644}, {04755, 0755}, {02755, 0755}, {02644, 02644}, {06777, 0777},
	} {
		if got := withoutSuid(tc.mode); got != tc.want {
			t.Errorf("%o: got %o, want %o", tc.mode, got, tc.want)
		}
	}
}
