package journal

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"intactfs/journal/disk/disktest"
)

// twins is a disk where three names in two directories are one file.
func twins(t testing.TB, opts ...disktest.Option) *disktest.Disk {
	t.Helper()
	d := freshDisk()
	for _, name := range []string{"dir/twin.json", "z.json"} {
		if err := d.Link("test:link", "a.json", name); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"", "dir"} {
		if err := d.SyncDir("test:sync", dir); err != nil {
			t.Fatal(err)
		}
	}
	d.Heal(opts...)
	return d
}

// linked is a ledger for the file of twins.
func linkedLedger() *ledger {
	l := newLedger(map[string]string{"a.json": before["a.json"], "dir/twin.json": before["a.json"], "z.json": before["a.json"],
		"dir/b.json": before["dir/b.json"]})
	l.links["a.json"] = []string{"dir/twin.json", "z.json"}
	return l
}

// linkedWorkload commits to a file of three names, small and large, beside
// another file.
func linkedWorkload(d *disktest.Disk, h *memoryHistory, l *ledger) {
	for session := range 2 {
		o := small(h)
		o.Rand = rand.New(rand.NewSource(int64(session)))
		j, _, err := Open(d, o)
		if err != nil {
			continue
		}
		name := func(s string, i int) string { return fmt.Sprintf("%s%d.%d", s, session, i) }
		_ = l.commit(j, "a.json", text(name("a", 1), 300), false)
		_ = l.commit(j, "dir/b.json", text(name("b", 1), 200), false)
		_ = l.commit(j, "a.json", text(name("a", 2), 6000), true)
		_ = j.Settle(background0, "dir")
		_ = l.commit(j, "a.json", text(name("a", 3), 5000), true)
		_ = j.Checkpoint(background0)
		_ = l.commit(j, "a.json", text(name("a", 4), 10), false)
		_ = j.Close()
	}
}

func TestLinksCrashAtEveryOperation(t *testing.T) {
	t.Parallel()
	crashAtEveryOperation(t, linkedWorkload, func(o disktest.Option) (*disktest.Disk, *ledger) { return twins(t, o), linkedLedger() })
}

func TestLinksErrorAtEveryOperation(t *testing.T) {
	t.Parallel()
	for n := 1; ; n += stride {
		d := twins(t, disktest.FailAt(n, syscall.EIO, false))
		h, l := newHistory(d), linkedLedger()
		linkedWorkload(d, h, l)
		if !d.Failed() {
			return
		}
		step := d.Steps()[n-1]
		for name, after := range variants(n, d) {
			labelled(t, fmt.Sprintf("error at operation %d (%s), then crash, %s", n, step, name), func() {
				recoverAndCheck(t, after, h, l)
			})
		}
	}
}

// TestLinksAreFound asks for a pending version by each of the names.
func TestLinksAreFound(t *testing.T) {
	d := twins(t)
	h := newHistory(d)
	j := mustOpen(t, d, small(h))
	p := put("a.json", "{}")
	p.Links = []string{"dir/twin.json", "z.json"}
	if _, err := j.Commit(background0, p); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.json", "dir/twin.json", "z.json"} {
		v, ok := j.Pending(name)
		if got, _ := current(t, j, d, name); !ok || v.Path != "a.json" || got != "{}" || !slices.Equal(v.Links, p.Links) {
			t.Errorf("%s: %+v, %t, content %q", name, v, ok, got)
		}
	}
	if got := j.PendingNames("dir"); len(got) != 0 {
		t.Errorf("names that only the journal has: %v", got)
	}
	if err := j.Settle(background0, "dir"); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Pending != 0 || len(j.index.links) != 0 || len(j.index.tree) != 0 {
		t.Errorf("after settling one name: %+v, %v, %v", s, j.index.links, j.index.tree)
	}
	want := map[string]string{"a.json": "{}", "dir/twin.json": "{}", "z.json": "{}", "dir/b.json": before["dir/b.json"]}
	if diff := cmp.Diff(want, userTree(d)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	for _, name := range []string{"a.json", "dir/twin.json", "z.json"} {
		if diff := cmp.Diff([]string{before["a.json"], "{}"}, h.contents(name)); diff != "" {
			t.Errorf("history of %s (-want +got):\n%s", name, diff)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLinksAppend appends to a file by one of its names.
func TestLinksAppend(t *testing.T) {
	d := twins(t)
	j := mustOpen(t, d, small(newHistory(d)))
	a := AppendPut{Path: "a.json", Links: []string{"dir/twin.json", "z.json"}, Bytes: []byte("more"), BaseSize: int64(len(before["a.json"]))}
	if _, err := j.Append(background0, a); err != nil {
		t.Fatal(err)
	}
	want := before["a.json"] + "more"
	if got, _ := current(t, j, d, "z.json"); got != want {
		t.Errorf("pending: %q", got)
	}
	mustCheckpoint(t, j)
	for _, name := range []string{"a.json", "dir/twin.json", "z.json"} {
		if got := userTree(d)[name]; got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTangledNames commits to a name of a file that has something pending under
// another of its names: the older one must never come last.
func TestTangledNames(t *testing.T) {
	cases := []struct {
		name  string
		first Put
		then  Put
	}{
		{"a link of the first", putTo("a.json", "z.json"), putTo("z.json")},
		{"a link of both", putTo("a.json", "z.json"), putTo("dir/twin.json", "z.json")},
		{"the path of the first", putTo("a.json"), putTo("z.json", "a.json")},
		{"changed places", putTo("a.json", "z.json"), putTo("z.json", "a.json")},
		{"fewer names", putTo("a.json", "z.json"), putTo("a.json")},
		{"other names", putTo("a.json", "z.json"), putTo("a.json", "dir/twin.json")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := twins(t)
			j := mustOpen(t, d, small(newHistory(d)))
			for i, p := range []Put{c.first, c.then} {
				p.Inline, p.Size = []byte{'0' + byte(i)}, 1
				p.SHA256 = put("", string(p.Inline)).SHA256
				if _, err := j.Commit(background0, p); err != nil {
					t.Fatal(err)
				}
			}
			if n := j.Stats().Pending; n != 1 {
				t.Errorf("%d versions are pending, want the second alone", n)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			tree := userTree(d)
			newest := append([]string{c.then.Path}, c.then.Links...)
			for _, name := range append(append([]string{c.first.Path}, c.first.Links...), newest...) {
				want := "0"
				if slices.Contains(newest, name) {
					want = "1"
				}
				if tree[name] != want {
					t.Errorf("%s has %q, want %q", name, tree[name], want)
				}
			}
		})
	}
}

// TestTangledCommits has many commit to one file by different names at once: in
// the end all names have the newest version.
func TestTangledCommits(t *testing.T) {
	t.Parallel()
	d := twins(t)
	o := small(nil)
	o.Manual = false
	j := mustOpen(t, d, o)
	names := []string{"a.json", "dir/twin.json", "z.json"}
	var mu sync.Mutex
	newest := Version{}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 20 {
				content := fmt.Sprintf("%d of %d", i, w)
				p := put(names[w%3], content)
				p.Links = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == p.Path })
				v, err := j.Commit(background0, p)
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				mu.Lock()
				if v.Tx > newest.Tx {
					newest = v
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if got := put("", userTree(d)[name]).SHA256; got != newest.SHA256 {
			t.Errorf("%s has %q, which is not the newest", name, userTree(d)[name])
		}
	}
}

func putTo(path string, links ...string) Put {
	p := put(path, "")
	p.Links = links
	return p
}

// TestLinkThatCannotBe has something in the way of a name: the others get the
// version all the same, and the history of that one.
func TestLinkThatCannotBe(t *testing.T) {
	d := twins(t)
	h := newHistory(d)
	j := mustOpen(t, d, small(h))
	for _, err := range []error{
		d.Remove("test:remove", "z.json"), d.MkdirAll("test:dir", "z.json", 0o755), d.SyncDir("test:sync", ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p := put("a.json", "{}")
	p.Links = []string{"z.json", "dir/twin.json"}
	if _, err := j.Commit(background0, p); err != nil {
		t.Fatal(err)
	}
	mustCheckpoint(t, j)
	if tree := userTree(d); tree["a.json"] != "{}" || tree["dir/twin.json"] != "{}" {
		t.Errorf("published: %v", tree)
	}
	if got := h.contents("z.json"); !slices.Contains(got, "{}") {
		t.Errorf("history: %q", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLinkThatIsGone brings a name back that a version was committed to: it was
// there when the version was acknowledged.
func TestLinkThatIsGone(t *testing.T) {
	d := twins(t)
	j := mustOpen(t, d, small(newHistory(d)))
	p := put("a.json", "{}")
	p.Links = []string{"new/dir/z.json"}
	if _, err := j.Commit(background0, p); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := userTree(d)["new/dir/z.json"]; got != "{}" {
		t.Errorf("got %q", got)
	}
}

func TestBadNames(t *testing.T) {
	long := strings.Repeat("x", 60000)
	for name, c := range map[string]struct {
		links []string
		want  error
	}{
		"outside":   {[]string{"../a"}, syscall.EINVAL},
		"ours":      {[]string{".intact/lock"}, syscall.EINVAL},
		"nothing":   {[]string{""}, syscall.EINVAL},
		"two":       {[]string{"b\x00c"}, syscall.EINVAL},
		"itself":    {[]string{"a.json"}, syscall.EINVAL},
		"twice":     {[]string{"b", "b"}, syscall.EINVAL},
		"too large": {[]string{long, long + "y"}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			d := freshDisk()
			j := mustOpen(t, d, small(nil))
			if _, err := j.Commit(background0, putTo("a.json", c.links...)); !errors.Is(err, c.want) {
				t.Errorf("commit: %v, want %v", err, c.want)
			}
			if _, err := j.Append(background0, AppendPut{Path: "a.json", Links: c.links}); !errors.Is(err, c.want) {
				t.Errorf("append: %v, want %v", err, c.want)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestNamesInOneString joins and splits any names.
func TestNamesInOneString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z/ü]{1,8}`)
		path, links := name.Draw(t, "path"), rapid.SliceOfN(name, 0, 4).Draw(t, "links")
		gotPath, gotLinks := splitNames(joinNames(path, links))
		if gotPath != path || !slices.Equal(gotLinks, links) {
			t.Fatalf("got %q %q", gotPath, gotLinks)
		}
	})
}
