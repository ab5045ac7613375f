package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// worldly is a version that everybody might read.
var worldly = Attr{Mode: 0644}

func TestViewShowsVersionsAsFiles(t *testing.T) {
	b := newViewBed(t)
	b.past.keep("state.json", 0, "[1]", worldly)
	b.past.keep("state.json", 1, "[22]", worldly)
	b.past.remove("state.json", 2)
	b.past.keep("conf/a.toml", 3, "a = 1", worldly)
	b.past.keep("conf", 4, "was a file", worldly)
	b.past.keep(".hidden", 5, "x", worldly)
	for _, c := range []struct{ dir, want string }{
		{"", "at/ history/ rejected/"},
		{"at", ""},
		{"history", ".hidden/ conf/ state.json/"},
		{"history/state.json", "2026-11-22T18:00:00.000Z-1.json 2026-11-22T18:00:01.000Z-2.json"},
		{"history/conf", "a.toml/ 2026-11-22T18:00:04.000Z-4"},
		{"history/conf/a.toml", "2026-11-22T18:00:03.000Z-3.toml"},
		{"history/.hidden", "2026-11-22T18:00:05.000Z-5"},
		{"rejected", ""},
	} {
		if got := b.ls(c.dir); got != c.want {
			t.Errorf("ls %s: got %s, want %s", c.dir, got, c.want)
		}
	}
	for _, c := range []struct{ file, want string }{
		{"history/state.json/2026-11-22T18:00:00.000Z-1.json", "[1]"},
		{"history/state.json/2026-11-22T18:00:01.000Z-2.json", "[22]"},
		{"history/conf/2026-11-22T18:00:04.000Z-4", "was a file"},
		{"history/conf/a.toml/2026-11-22T18:00:03.000Z-3.toml", "a = 1"},
	} {
		if got := b.cat(c.file); got != c.want {
			t.Errorf("cat %s: got %q, want %q", c.file, got, c.want)
		}
	}
	for _, name := range []string{
		"other", "history/none", "history/state.json/none", "history/state.json/2026-11-22T18:00:00.000Z-2.json",
		"history/state.json/2026-11-22T18:00:00.000Z-1", "history/state.json/-1.json", "at/nonsense", "rejected/x",
	} {
		if _, status := b.walk(name); status != fuse.ENOENT {
			t.Errorf("look up %s: got %v, want ENOENT", name, status)
		}
	}
}

func TestViewOfATime(t *testing.T) {
	b := newViewBed(t)
	b.past.keep("a.json", 10, "[10]", worldly)
	b.past.keep("a.json", 20, "[20]", worldly)
	b.past.remove("a.json", 30)
	b.past.keep("a.json", 40, "[40]", worldly)
	b.past.keep("old/deep/b.json", 5, "[5]", worldly)
	b.past.remove("old/deep/b.json", 15)
	b.past.keep("new/c.json", 35, "[35]", worldly)
	b.past.keep("both", 1, "file", worldly)
	b.past.remove("both", 12)
	b.past.keep("both/d.json", 13, "[13]", worldly)
	for _, c := range []struct{ at, root, a string }{
		{"s0", "", "ENOENT"},
		{"s1", "both", "ENOENT"},
		{"s5", "both old/", "ENOENT"},
		{"s10", "a.json both old/", "[10]"},
		{"s14", "a.json both/ old/", "[10]"},
		{"s15", "a.json both/", "[10]"},
		{"s20", "a.json both/", "[20]"},
		{"s29", "a.json both/", "[20]"},
		{"s30", "both/", "ENOENT"},
		{"s35", "both/ new/", "ENOENT"},
		{"s99", "a.json both/ new/", "[40]"},
	} {
		if got := b.ls("at/" + c.at); got != c.root {
			t.Errorf("ls at/%s: got %q, want %q", c.at, got, c.root)
		}
		got := "ENOENT"
		if _, status := b.walk("at/" + c.at + "/a.json"); status.Ok() {
			got = b.cat("at/" + c.at + "/a.json")
		}
		if got != c.a {
			t.Errorf("cat at/%s/a.json: got %q, want %q", c.at, got, c.a)
		}
	}
	if got := b.cat("at/s7/old/deep/b.json"); got != "[5]" {
		t.Errorf("a file deep in a directory that is gone: got %q", got)
	}
	if _, status := b.walk("at/s15/old"); status != fuse.ENOENT {
		t.Errorf("a directory that was empty by then: got %v, want ENOENT", status)
	}
}

func TestViewOfRefusedContents(t *testing.T) {
	b := newViewBed(t)
	b.past.refuse("a.json", 1, "[tor")
	b.past.refuse("dir/b.json", 2, "{")
	b.past.refuse("a.json", 3, "")
	for _, c := range []struct{ dir, want string }{
		{"rejected", "a.json/ dir/"},
		{"rejected/dir", "b.json/"},
		{"rejected/a.json", "2026-11-22T18:00:01.000Z-0001.json 2026-11-22T18:00:01.000Z-0001.note.json " +
			"2026-11-22T18:00:03.000Z-0003.json 2026-11-22T18:00:03.000Z-0003.note.json"},
	} {
		if got := b.ls(c.dir); got != c.want {
			t.Errorf("ls %s: got %s, want %s", c.dir, got, c.want)
		}
	}
	const name = "rejected/a.json/2026-11-22T18:00:01.000Z-0001"
	if got := b.cat(name + ".json"); got != "[tor" {
		t.Errorf("content: got %q", got)
	}
	if got := b.cat(name + ".note.json"); got != "{\"path\":\"a.json\"}\n" {
		t.Errorf("note: got %q", got)
	}
	if a := b.found(name + ".json"); a.Uid != 4711 || a.Mode != unix.S_IFREG|0400 {
		t.Errorf("a refused content: got %o of %d, want its writer's alone", a.Mode, a.Uid)
	}
	b.past.mu.Lock()
	b.past.refusals[0].Note, b.past.refusals[0].Last = []byte("{}"), second(9)
	b.past.mu.Unlock()
	b.clock = b.clock.Add(time.Hour)
	if got := b.cat(name + ".note.json"); got != "{}" {
		t.Errorf("the note after one more refusal: got %q", got)
	}
}

func TestViewAttributes(t *testing.T) {
	b := newViewBed(t)
	b.past.keep("a.json", 1, "[1, 2, 3]", Attr{Mode: 04755})
	b.file("a.json", "[1, 2, 3]", 0755)
	a := b.found("history/a.json/2026-11-22T18:00:01.000Z-1.json")
	if want := uint32(unix.S_IFREG | 0555); a.Mode != want {
		t.Errorf("mode: got %o, want %o", a.Mode, want)
	}
	if a.Size != 9 || a.Blocks != 1 || a.Nlink != 1 {
		t.Errorf("got %d bytes, %d blocks, %d links", a.Size, a.Blocks, a.Nlink)
	}
	if got, want := int64(a.Mtime), second(1).Add(-time.Hour).Unix(); got != want {
		t.Errorf("mtime: got %d, want that of the version, %d", got, want)
	}
	if got, want := int64(a.Ctime), second(1).Unix(); got != want {
		t.Errorf("ctime: got %d, want that of the commit, %d", got, want)
	}
	var out fuse.AttrOut
	if status := b.w.GetAttr(nil, &fuse.GetAttrIn{InHeader: fuse.InHeader{NodeId: a.NodeId}}, &out); !status.Ok() || out.Attr != a.Attr {
		t.Errorf("stat: got %v %+v, want %+v", status, out.Attr, a.Attr)
	}
	var sx fuse.StatxOut
	if status := b.w.Statx(nil, &fuse.StatxIn{InHeader: fuse.InHeader{NodeId: a.NodeId}}, &sx); !status.Ok() || sx.Ino != a.Ino || sx.Size != 9 {
		t.Errorf("statx: got %v %+v", status, sx)
	}
	if d := b.found("at/s1"); int64(d.Mtime) != second(1).Unix() {
		t.Errorf("mtime of a time: got %d", d.Mtime)
	}
}

func TestViewInodeNumbers(t *testing.T) {
	b := newViewBed(t)
	for i := range 50 {
		b.past.keep(fmt.Sprintf("d%d/f.json", i%5), i, "[]", worldly)
		b.past.keep("one.json", i, "[]", worldly)
	}
	b.past.refuse("one.json", 1, "[")
	seen := map[uint64]string{}
	var visit func(path string)
	visit = func(path string) {
		dir := b.found(path)
		for _, e := range b.entries(dir.NodeId) {
			if e.Name == "." || e.Name == ".." {
				continue
			}
			name := path + "/" + e.Name
			entry := b.found(name)
			if e.Ino != entry.Ino {
				t.Errorf("%s: the list says %d, stat %d", name, e.Ino, entry.Ino)
			}
			if entry.Ino&viewIno == 0 || entry.Ino>>63 != 0 {
				t.Errorf("%s: %d may be a file's outside", name, entry.Ino)
			}
			if other, ok := seen[entry.Ino]; ok {
				t.Errorf("%s and %s are both %d", name, other, entry.Ino)
			}
			seen[entry.Ino] = name
			b.w.Forget(entry.NodeId, 1000)
			if again := b.found(name); again.Ino != entry.Ino {
				t.Errorf("%s was %d and is %d after it was forgotten", name, entry.Ino, again.Ino)
			}
			if e.Mode == unix.S_IFDIR {
				visit(name)
			}
		}
	}
	visit("history")
	visit("rejected")
	visit("at/s10")
	visit("at/s20")
	if len(seen) < 100 {
		t.Errorf("saw only %d names", len(seen))
	}
}

func TestViewForgets(t *testing.T) {
	b := newViewBed(t)
	for i := range 500 {
		b.past.keep("a.json", i, "[]", worldly)
	}
	b.ls("history/a.json")
	if n := len(b.w.v.byID); n > 3 {
		t.Errorf("a list made nodes: %d are known", n)
	}
	ids := map[uint64]bool{}
	for i := range 500 {
		name := fmt.Sprintf("history/a.json/%s%d.json", second(i).Format(viewStamp), i+1)
		if got := b.cat(name); got != "[]" {
			t.Fatalf("%s: %q", name, got)
		}
		ids[b.found(name).NodeId] = true
	}
	if len(ids) != 500 {
		t.Errorf("500 versions are %d nodes", len(ids))
	}
	for id := range b.w.v.byID {
		b.w.Forget(id, 1<<40)
	}
	if n, m := len(b.w.v.byID), len(b.w.v.byPlace); n+m != 0 {
		t.Errorf("%d nodes and %d places are still known", n, m)
	}
	if _, open, opened := b.past.counts(); open != 0 || opened != 500 {
		t.Errorf("%d contents are open of %d, want 0 of 500", open, opened)
	}
	if n := len(b.w.v.knownVersions.lists); n > memoSize {
		t.Errorf("%d lists are remembered", n)
	}
}

func TestViewSharesOpenContents(t *testing.T) {
	b := newViewBed(t)
	b.past.keep("a.json", 1, "[1]", worldly)
	const name = "history/a.json/2026-11-22T18:00:01.000Z-1.json"
	one, fh, status := b.open(name)
	if !status.Ok() {
		t.Fatal(status)
	}
	_, other, status := b.open(name)
	if _, open, _ := b.past.counts(); !status.Ok() || open != 1 {
		t.Errorf("two handles: %v, %d contents open, want 1", status, open)
	}
	b.release(one.NodeId, fh)
	b.w.Forget(one.NodeId, 100)
	buf := make([]byte, 10)
	result, status := b.w.Read(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: one.NodeId}, Fh: other}, buf)
	if !status.Ok() || result.Size() != 3 {
		t.Errorf("read through the other: %v", status)
	}
	var seek fuse.LseekOut
	in := fuse.LseekIn{InHeader: fuse.InHeader{NodeId: one.NodeId}, Fh: other, Whence: unix.SEEK_HOLE}
	if status := b.w.Lseek(nil, &in, &seek); !status.Ok() || seek.Offset != 3 {
		t.Errorf("the hole behind: %v at %d, want 3", status, seek.Offset)
	}
	b.release(one.NodeId, other)
	if _, open, _ := b.past.counts(); open != 0 {
		t.Errorf("%d contents are still open", open)
	}
	if _, status := b.w.Read(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: one.NodeId}, Fh: other}, buf); status != fuse.EBADF {
		t.Errorf("read after release: got %v, want EBADF", status)
	}
}

func TestViewOfDamage(t *testing.T) {
	b := newViewBed(t)
	b.past.keep("a.json", 1, "[1]", worldly)
	const name = "history/a.json/2026-11-22T18:00:01.000Z-1.json"
	entry := b.found(name)
	open := func() fuse.Status {
		var out fuse.OpenOut
		return b.w.Open(nil, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: entry.NodeId}}, &out)
	}
	for _, c := range []struct {
		name string
		err  error
		want fuse.Status
	}{
		{"a checksum is wrong", errors.New("damaged"), fuse.EIO},
		{"the disk fails", unix.EIO, fuse.EIO},
		{"expired meanwhile", os.ErrNotExist, fuse.Status(unix.ESTALE)},
		{"whole again", nil, fuse.OK},
	} {
		b.past.failWith(c.err)
		if got := open(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	b.past.failWith(errors.New("index damaged"))
	b.clock = b.clock.Add(time.Hour)
	if _, status := b.walk("history/a.json"); status != fuse.EIO {
		t.Errorf("a list that can't be read: got %v, want EIO", status)
	}
}

func TestViewFollowsNewVersions(t *testing.T) {
	b := newViewBed(t)
	b.past.keep("a.json", 1, "[1]", worldly)
	b.found("history/a.json/2026-11-22T18:00:01.000Z-1.json")
	before, _, _ := b.past.counts()
	b.found("history/a.json/2026-11-22T18:00:01.000Z-1.json")
	if after, _, _ := b.past.counts(); after != before {
		t.Errorf("a second look within a moment read %d lists", after-before)
	}
	b.past.keep("a.json", 2, "[2]", worldly)
	if got := b.cat("history/a.json/2026-11-22T18:00:02.000Z-2.json"); got != "[2]" {
		t.Errorf("a version that came just now: %q", got)
	}
	b.past.keep("b.json", 3, "[3]", worldly)
	if got := b.ls("history"); got != "a.json/ b.json/" {
		t.Errorf("a file that came just now: %q", got)
	}
}

func TestViewOfAClockThatWentBack(t *testing.T) {
	b := newViewBed(t)
	for _, at := range []int{100, 200, 300, 10, 20, 150} {
		b.past.keep("a.json", at, fmt.Sprint(at), worldly)
	}
	for i, at := range []int{100, 200, 300, 10, 20, 150} {
		name := fmt.Sprintf("history/a.json/%s%d.json", second(at).Format(viewStamp), i+1)
		if got := b.cat(name); got != fmt.Sprint(at) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	// The newest of all that are not later is what was there.
	if got := b.cat("at/s120/a.json"); got != "20" {
		t.Errorf("at 120: got %q, want 20", got)
	}
}

func TestViewHoldsATimeStill(t *testing.T) {
	b := newViewBed(t)
	now := second(10)
	b.w.v.parseTime = func(string) (time.Time, error) { return now, nil }
	first := b.found("at/now")
	now, b.clock = second(20), b.clock.Add(timeHolds-time.Second)
	if again := b.found("at/now"); again.NodeId != first.NodeId {
		t.Error("a walk would meet two trees")
	}
	b.clock = b.clock.Add(time.Minute)
	if later := b.found("at/now"); later.NodeId == first.NodeId || int64(later.Mtime) != second(20).Unix() {
		t.Error("now never moves on")
	}
}

func TestViewFollowsPermissionsOutside(t *testing.T) {
	b := newViewBed(t)
	for i, path := range []string{"open.json", "closed.json", "gone.json", "private/a.json", "lost/a.json", "link.json"} {
		b.past.keep(path, i, "[]", worldly)
	}
	b.past.keep("closed.json", 8, "[]", Attr{Mode: 0600})
	b.past.keep("gone.json", 9, "[]", Attr{Mode: 0400})
	b.file("open.json", "[]", 0640)
	b.file("closed.json", "[]", 0644)
	b.file("private/a.json", "[]", 0666)
	if err := os.Chmod(filepath.Join(b.back, "private"), 0711); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("open.json", filepath.Join(b.back, "link.json")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want uint32
	}{
		{"history/open.json", 0555},
		{"history/open.json/2026-11-22T18:00:00.000Z-1.json", 0440}, // taken back since
		{"history/closed.json/2026-11-22T18:00:01.000Z-2.json", 0444},
		{"history/closed.json/2026-11-22T18:00:08.000Z-7.json", 0400}, // given since
		{"history/gone.json/2026-11-22T18:00:02.000Z-3.json", 0400},
		{"history/private", 0511},
		{"at/s9/private", 0511},
		{"at/s9/private/a.json", 0444},
		{"history/lost", 0500},
		{"at/s9/lost", 0500},
		{"at/s9/lost/a.json", 0400},
		{"at/s9/link.json", 0400},
	} {
		if got := b.found(c.name).Mode & 07777; got != c.want {
			t.Errorf("%s: got %o, want %o", c.name, got, c.want)
		}
	}
}
