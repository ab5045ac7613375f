package integration

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/harness"
)

// viewed runs a script in the mount, and returns what it printed without the
// blanks around.
func viewed(t *testing.T, m *harness.Mount, script string) string {
	t.Helper()
	r := harness.Cmd{Args: []string{"/bin/sh", "-ec", script}, Dir: m.Point}.Run(t)
	if r.Code != 0 {
		t.Errorf("%s: exit %d\n%s%s", script, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// stored writes a file in the mount as simple programs do.
func stored(t *testing.T, m *harness.Mount, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.File(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.File(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// moment is a time between what was done before and what is done after.
func moment() string {
	time.Sleep(2 * time.Millisecond)
	now := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(2 * time.Millisecond)
	return now
}

func TestViewIsHistoryForEveryTool(t *testing.T) {
	for _, tool := range []string{"jq", "diff", "grep", "find"} {
		harness.Tool(t, tool)
	}
	m := harness.Start(t, harness.Options{})
	stored(t, m, "state.json", `{"n": 1}`)
	stored(t, m, "sub/deep/other.json", `{"other": true}`)
	stored(t, m, "doomed.json", `{"doomed": 1}`)
	stored(t, m, "plain.txt", "no rule protects this")
	first := moment()
	stored(t, m, "state.json", `{"n": 2, "more": "text"}`)
	if err := os.Remove(m.File("doomed.json")); err != nil {
		t.Fatal(err)
	}
	second := moment()
	stored(t, m, "late.json", `{"late": 1}`)
	copyTo := t.TempDir()

	for _, c := range []struct{ name, script, want string }{
		{"not listed", "ls -A | tr '\\n' ' '", "late.json plain.txt state.json sub "},
		{"its parts", "ls .intact | tr '\\n' ' '", "at history rejected "},
		{"versions are files", "ls .intact/history/state.json | wc -l", "2"},
		{"named by time and number", "ls .intact/history/state.json | grep -cE '^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z-[0-9.]+\\.json$'", "2"},
		{"jq over all versions", "jq -r .n .intact/history/state.json/* | tr '\\n' ' '", "1 2 "},
		{"the tree then", "cd .intact/at/" + first + " && find . -type f | sort | tr '\\n' ' '",
			"./doomed.json ./state.json ./sub/deep/other.json "},
		{"the tree later", "cd .intact/at/" + second + " && find . -type f | sort | tr '\\n' ' '",
			"./state.json ./sub/deep/other.json "},
		{"the tree now", "ls .intact/at/now | tr '\\n' ' '", "late.json state.json sub "},
		{"before everything", "ls .intact/at/2001-01-01 | wc -l", "0"},
		{"times as people type them", "ls -d .intact/at/2h-ago .intact/at/yesterday_14:00 .intact/at/2026-01-04T12:00 | wc -l", "3"},
		{"grep -r", "grep -rl doomed .intact/at/" + first, ".intact/at/" + first + "/doomed.json"},
		{"diff -r", "diff -rq .intact/at/" + first + " .intact/at/" + second + " | wc -l", "2"},
		{"sizes are right", "cat .intact/at/" + first + "/state.json | wc -c; stat -c %s .intact/at/" + first + "/state.json", "8\n8"},
		{"times are right", "stat -c %Y .intact/at/now/late.json", viewed(t, m, "stat -c %Y late.json")},
		{"cp -a", "cp -a .intact/at/" + first + " " + copyTo + "/then && cat " + copyTo + "/then/sub/deep/other.json", `{"other": true}`},
		{"undelete", "cp .intact/at/" + first + "/doomed.json . && cat doomed.json", `{"doomed": 1}`},
		{"tar", "tar -C .intact/at/" + first + " -cf - . | tar -tf - | wc -l", "6"},
	} {
		if got := viewed(t, m, c.script); got != strings.TrimSpace(c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestViewOfQuarantine(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	stored(t, m, "state.json", `{"n": 1}`)
	if r := harness.Run(t, "/bin/sh", "-c", "printf '{\"n\": ' > "+m.File("state.json")); r.Code == -1 {
		t.Fatal(r)
	}
	harness.Eventually(t, "the refused content is there", func() bool {
		names, err := os.ReadDir(m.File(".intact/rejected/state.json"))
		return err == nil && len(names) == 2
	})
	if got := viewed(t, m, "cd .intact/rejected/state.json && cat $(ls | grep -v note)"); got != `{"n":` {
		t.Errorf("content: got %q", got)
	}
	var note struct {
		Path, Reason string
		Size         int64
	}
	text := viewed(t, m, "cat .intact/rejected/state.json/*.note.json")
	if err := json.Unmarshal([]byte(text), &note); err != nil || note.Path != "state.json" || note.Reason == "" || note.Size != 6 {
		t.Errorf("note: %v\n%s", err, text)
	}
}

func TestViewKeepsSecrets(t *testing.T) {
	harness.NeedRoot(t)
	harness.Tool(t, "setpriv")
	m := harness.Start(t, harness.Options{})
	stored(t, m, "open.json", `{"open": 1}`)
	stored(t, m, "closed.json", `{"was": "open"}`)
	stored(t, m, "secret.json", `{"secret": 1}`)
	stored(t, m, "private/a.json", `{"private": 1}`)
	stored(t, m, "removed.json", `{"removed": 1}`)
	for name, mode := range map[string]os.FileMode{"secret.json": 0o600, "closed.json": 0o600, "private": 0o700, "removed.json": 0o600} {
		if err := os.Chmod(m.File(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	stored(t, m, "secret.json", `{"secret": 2}`)
	if err := os.Remove(m.File("removed.json")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script string
		ok     bool
	}{
		{"cat .intact/history/open.json/*", true},
		{"cat .intact/at/now/open.json", true},
		{"cat .intact/history/secret.json/*", false},
		{"cat .intact/at/now/secret.json", false},
		{"cat .intact/history/closed.json/*", false},
		{"cat .intact/at/now/closed.json", false},
		{"ls .intact/history/private", false},
		{"cat .intact/at/now/private/a.json", false},
		{"cat .intact/history/removed.json/*", false},
		{"touch .intact/new", false},
	} {
		// The directories above the mount are the test's alone: only who is
		// in already may try.
		r := harness.Cmd{Dir: m.Point, Args: []string{
			"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/bin/sh", "-c", c.script,
		}}.Run(t)
		if (r.Code == 0) != c.ok || !c.ok && (!strings.Contains(r.Stderr, "Permission denied") || r.Stdout != "") {
			t.Errorf("as nobody, %s: exit %d, want success %v\n%s%s", c.script, r.Code, c.ok, r.Stdout, r.Stderr)
		}
	}
	if got := viewed(t, m, "cat .intact/history/removed.json/*"); got != `{"removed": 1}` {
		t.Errorf("root reads %q", got)
	}
}

func TestViewIsReadOnly(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	stored(t, m, "state.json", `{"n": 1}`)
	versions, err := os.ReadDir(m.File(".intact/history/state.json"))
	if err != nil || len(versions) != 1 {
		t.Fatalf("versions: %v, %v", versions, err)
	}
	file := m.File(".intact/history/state.json/" + versions[0].Name())
	for name, try := range map[string]func() error{
		"write":    func() error { return os.WriteFile(file, []byte("x"), 0o644) },
		"create":   func() error { return os.WriteFile(m.File(".intact/at/now/x.json"), nil, 0o644) },
		"truncate": func() error { return os.Truncate(file, 0) },
		"chmod":    func() error { return os.Chmod(file, 0o666) },
		"times":    func() error { return os.Chtimes(file, time.Now(), time.Now()) },
		"unlink":   func() error { return unix.Unlink(file) },
		"rmdir":    func() error { return unix.Rmdir(m.File(".intact/rejected")) },
		"mkdir":    func() error { return os.Mkdir(m.File(".intact/history/x"), 0o755) },
		"move in":  func() error { return os.Rename(m.File("state.json"), m.File(".intact/x.json")) },
		"move out": func() error { return os.Rename(file, m.File("x.json")) },
		"link":     func() error { return os.Link(file, m.File("x.json")) },
		"symlink":  func() error { return os.Symlink("x", m.File(".intact/x")) },
	} {
		err := try()
		if os.Geteuid() == 0 && !errors.Is(err, unix.EROFS) || err == nil {
			t.Errorf("%s: got %v, want EROFS", name, err)
		}
	}
}

func TestViewOfLargeAndMany(t *testing.T) {
	m := harness.Start(t, harness.Options{})
	large := `{"text": "` + strings.Repeat("0123456789", 600_000) + `"}`
	stored(t, m, "large.json", large)
	first := moment()
	stored(t, m, "large.json", `{"small": 1}`)
	count := harness.Scale(60, 2000)
	for i := range count {
		stored(t, m, "many.json", fmt.Sprintf(`{"n": %d}`, i))
	}
	if got, err := os.ReadFile(m.File(".intact/at/" + first + "/large.json")); err != nil || string(got) != large {
		t.Errorf("the large version: %d bytes, %v, want %d", len(got), err, len(large))
	}
	harness.Eventually(t, "nothing is left in staging", func() bool {
		left, err := os.ReadDir(m.Backing(".intact/staging"))
		return err == nil && len(left) == 0
	})
	script := fmt.Sprintf(`grep -rc '"n": ' .intact/history/many.json | wc -l; grep -rh '"n": %d}' .intact/history/many.json`, count-1)
	if got, want := viewed(t, m, script), fmt.Sprintf("%d\n{\"n\": %d}", count, count-1); got != want {
		t.Errorf("grep: got %q, want %q", got, want)
	}
	// What is restored by cp is a commit like any other.
	viewed(t, m, "cp .intact/at/"+first+"/large.json large.json")
	if got, err := os.ReadFile(m.File("large.json")); err != nil || string(got) != large {
		t.Errorf("restored: %d bytes, %v, want %d", len(got), err, len(large))
	}
}

func TestViewOfDamagedHistory(t *testing.T) {
	m := harness.Start(t, harness.Options{Damaged: true})
	noise := make([]byte, 3000)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	stored(t, m, "hit.json", fmt.Sprintf(`"%x"`, noise))
	stored(t, m, "spared.json", `{"n": 1}`)
	m.Unmount()
	packs, err := filepath.Glob(m.Backing(".intact/history/hit.json.*/*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("packs: %v, %v", packs, err)
	}
	for _, pack := range packs {
		content, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 0x10
		if err := os.WriteFile(pack, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.Start()
	if got := viewed(t, m, "cat .intact/history/spared.json/*"); got != `{"n": 1}` {
		t.Errorf("another file: %q", got)
	}
	versions, err := os.ReadDir(m.File(".intact/history/hit.json"))
	if err != nil || len(versions) != 1 {
		t.Fatalf("versions: %v, %v", versions, err)
	}
	_, err = os.ReadFile(m.File(".intact/history/hit.json/" + versions[0].Name()))
	if !errors.Is(err, unix.EIO) {
		t.Errorf("a damaged version: got %v, want EIO", err)
	}
	// The line is on its way when the read has failed, not always there.
	named := func() bool {
		log := m.Log()
		return strings.Contains(log, "hit.json") && strings.Contains(log, "damaged")
	}
	for end := time.Now().Add(30 * time.Second); !named() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if !named() {
		t.Errorf("the log doesn't name the damage:\n%s", m.Log())
	}
	if current := viewed(t, m, "head -c 1 hit.json"); current != `"` {
		t.Errorf("the file itself: %q", current)
	}
}

// TestViewAsksTheACL looks as somebody whom an ACL names, and as a member of
// the group, whose bits in the mode are the mask of the ACL and not the
// group's.
func TestViewAsksTheACL(t *testing.T) {
	harness.NeedRoot(t)
	harness.Tool(t, "setpriv")
	m := harness.Start(t, harness.Options{})
	stored(t, m, "a.json", `{"n": 1}`)
	const none = 0xffffffff
	acl := binary.LittleEndian.AppendUint32(nil, 2) // version
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, none}, {2, 4, 65534}, {4, 0, none}, {16, 4, none}, {32, 0, none}} {
		acl = binary.LittleEndian.AppendUint16(acl, e.tag)
		acl = binary.LittleEndian.AppendUint16(acl, e.perm)
		acl = binary.LittleEndian.AppendUint32(acl, e.id)
	}
	if err := unix.Setxattr(m.File("a.json"), "system.posix_acl_access", acl, 0); err != nil {
		if !errors.Is(err, unix.ENOTSUP) {
			t.Fatalf("set an access list: %v", err)
		}
		t.Skipf("no access lists on this file system: %v", err)
	}
	stored(t, m, "a.json", `{"n": 2}`)
	for _, c := range []struct {
		name, uid, gid string
		ok             bool
	}{
		{"named in it", "65534", "65534", true},
		{"not named", "65533", "65533", false},
		{"in the group", "65533", "0", false},
	} {
		r := harness.Cmd{Dir: m.Point, Args: []string{
			"setpriv", "--reuid", c.uid, "--regid", c.gid, "--clear-groups", "cat", ".intact/at/now/a.json",
		}}.Run(t)
		if (r.Code == 0) != c.ok {
			t.Errorf("%s: exit %d, want success %v\n%s%s", c.name, r.Code, c.ok, r.Stdout, r.Stderr)
		}
	}
}
