package fs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// clientMeta is what a client does about owners and locks.
func clientMeta(w []string, num func(int) int64) (string, error) {
	switch w[0] {
	case "become": // an ordinary user, for good
		if err := syscall.Setgroups(nil); err != nil {
			return "", err
		}
		if err := syscall.Setgid(int(num(1))); err != nil {
			return "", err
		}
		return "ok", syscall.Setuid(int(num(1)))
	case "owner":
		var st unix.Stat_t
		err := unix.Lstat(w[1], &st)
		return strconv.Itoa(int(st.Uid)) + ":" + strconv.Itoa(int(st.Gid)), err
	case "umask":
		return strconv.Itoa(unix.Umask(int(num(1)))), nil
	}
	return clientLoop(w, num)
}

// clientLockf takes or gives up a POSIX lock without waiting.
func clientLockf(fd int, how string) error {
	l := unix.Flock_t{Type: map[string]int16{"r": unix.F_RDLCK, "w": unix.F_WRLCK, "u": unix.F_UNLCK}[how]}
	return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &l)
}

const aclAccessName, aclDefaultName = "system.posix_acl_access", "system.posix_acl_default"

// aclFor is an access list that lets one more user read and write.
func aclFor(uid uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, ^uint32(0)}, {2, 6, uid}, {4, 0, ^uint32(0)}, {0x10, 6, ^uint32(0)}, {0x20, 0, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// TestMetadata checks what a commit carries over, and what a new file gets.
func TestMetadata(t *testing.T) {
	acl := aclFor(1234)
	for _, tc := range []tableRow{
		{"an access list survives and is obeyed", []step{
			do("a", "ok", "chmod", "f.json", "0600"),
			do("a", "ok", "setxattr", "f.json", aclAccessName, acl),
			do("a", "ok", "save", "f.json", newDoc),
			do("a", acl, "getxattr", "f.json", aclAccessName),
			do("b", "ok", "become", "1234"),
			do("b", newDoc, "cat", "f.json"),
			do("b", "ok", "save", "f.json", "[]"),
			do("c", "ok", "become", "1235"),
			do("c", "EACCES", "cat", "f.json"),
			do("a", acl, "getxattr", "f.json", aclAccessName),
		}, 2, 0},
		{"a directory's default list", []step{
			do("a", "ok", "mkdir", "d"),
			do("a", "ok", "setxattr", "d", aclDefaultName, acl),
			do("a", "18", "umask", "077"),
			do("a", "ok", "save", "d/n.json", newDoc),
			do("a", "ok", "save", "d/n.txt", "x"),
			do("a", "100640", "mode", "d/n.txt"), // asked for 0644, whatever the umask
			do("a", "100640", "mode", "d/n.json"),
			do("b", "ok", "become", "1234"),
			do("b", newDoc, "cat", "d/n.json"),
		}, 0, 0},
		{"set-user-id goes when somebody else writes", []step{
			do("a", "ok", "chmod", "f.json", "06777"),
			do("a", "ok", "save", "f.json", newDoc),
			do("a", "106777", "mode", "f.json"),
			do("b", "ok", "become", "1234"),
			do("b", "ok", "save", "f.json", "[]"),
			do("a", "100777", "mode", "f.json"),
			do("a", "ok", "chmod", "f.json", "06777"),
			do("b", "ok", "truncate", "f.json", "0"),
			do("a", "100777", "mode", "f.json"),
		}, 2, 0},
		{"a set-group-id directory gives its group", []step{
			do("a", "ok", "mkdir", "d"),
			do("a", "ok", "chown", "d", "0", "77"),
			do("a", "ok", "chmod", "d", "02777"),
			do("b", "ok", "become", "1234"),
			do("b", "ok", "save", "d/n.json", "[]"),
			do("b", "1234:77", "owner", "d/n.json"),
			do("b", "ok", "save", "d/n.json", newDoc),
			do("a", "1234:77", "owner", "d/n.json"),
		}, 0, 0},
		{"directories are exchanged with what is pending in them", []step{
			do("a", "ok", "mkdir", "d"),
			do("a", "ok", "mkdir", "e"),
			do("a", "ok", "save", "d/f.json", "[1]"),
			do("a", "ok", "save", "e/f.json", "[2]"),
			do("a", "ok", "open", "f", "d/f.json", "r+"),
			do("a", "3", "pwrite", "f", "0", "[3]"),
			do("a", "ok", "rename", "d", "e", "2"),
			do("a", "ok", "close", "f"),
			do("b", "[2]", "cat", "d/f.json"),
			do("b", "[3]", "cat", "e/f.json"),
		}, 0, 0},
		{"renamed over while it is written", []step{
			do("a", "ok", "open", "f", "f.json", "w"),
			do("a", "2", "write", "f", "[]"),
			do("b", "ok", "rename", "t.tmp", "f.json"),
			do("a", "ok", "close", "f"),
			do("b", newDoc, "cat", "f.json"),
		}, 1, 0},
		{"a POSIX lock through a reader", []step{
			do("a", "ok", "open", "f", "f.json", "r"),
			do("a", "ok", "lockf", "f", "r"),
			do("b", "ok", "open", "f", "f.json", "r+"),
			do("b", "EAGAIN", "lockf", "f", "w"),
			do("b", "ok", "lockf", "f", "r"),
			do("b", "ok", "lockf", "f", "u"),
			do("a", "ok", "close", "f"),
			do("b", "~ok", "lockf", "f", "w"),
		}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			probe := filepath.Join(t.TempDir(), "probe")
			if err := os.WriteFile(probe, nil, 0600); err != nil {
				t.Fatal(err)
			}
			if err := unix.Setxattr(probe, aclAccessName, []byte(acl), 0); err != nil {
				noAccessLists(t, err)
			}
			tc.play(t)
		})
	}
}

// noAccessLists ends a test where a list can't be set: only a file system that
// knows none is an excuse.
func noAccessLists(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, unix.ENOTSUP) {
		t.Fatalf("set an access list: %v", err)
	}
	t.Skipf("no access lists on this file system: %v", err)
}

// TestAllowEmpty has a rule under which an empty file is a save.
func TestAllowEmpty(t *testing.T) {
	m := mount(t, testRules{empty: true})
	m.seed(t, "f.json", oldDoc)
	m.seed(t, "g.json", oldDoc)
	run(t, m, []step{
		do("a", "ok", "save", "f.json", ""),
		do("b", "", "cat", "f.json"),
		do("a", "ok", "truncate", "g.json", "0"),
		do("b", "0", "size", "g.json"),
		do("a", "ok", "save", "f.json", newDoc),
		do("b", newDoc, "cat", "f.json"),
	})
}

// fullStage has no room for what is written to it.
type fullStage struct{ memStage }

func (fullStage) WriteAt([]byte, int64) (int, error) { return 0, syscall.ENOSPC }

// TestPoisoned writes more than fits: the write fails, and so does everything
// after it that would say that the content was saved.
func TestPoisoned(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", oldDoc)
	m.store.stage = func(s memStage) Stage { return fullStage{s} }
	run(t, m, []step{
		do("a", "ok", "open", "f", "f.json", "w"),
		do("a", "ENOSPC", "fill", "f", "600000"),
		do("a", "ENOSPC", "fsync", "f"),
		do("b", oldDoc, "cat", "f.json"),
		do("a", "ENOSPC", "close", "f"),
		do("b", oldDoc, "cat", "f.json"),
	})
	m.quiet(t)
	refused := m.store.refused()
	if len(refused) != 1 || !bytes.HasPrefix(refused[0].Inline, []byte(`"xxx`)) {
		t.Errorf("quarantine: got %d contents, want what was written before", len(refused))
	}
	if got := m.store.committed("f.json"); len(got) > 0 {
		t.Errorf("committed: %+v", got)
	}
}
