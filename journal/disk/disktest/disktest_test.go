package disktest

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"syscall"
	"testing"

	"intactfs/journal/disk"
)

func TestContract(t *testing.T) {
	Contract(t, func(t *testing.T) disk.Disk { return New() })
	t.Run("xattrs", func(t *testing.T) { Xattrs(t, New()) })
}

func create(t *testing.T, d *Disk, name, content string) disk.File {
	t.Helper()
	f, err := d.Create("test:create", name, 0o600)
	ok(t, err)
	_, err = f.WriteAt("test:write", []byte(content), 0)
	ok(t, err)
	return f
}

func TestCrashKeepsWhatIsSynced(t *testing.T) {
	cases := []struct {
		name    string
		file    bool // sync the file
		dir     bool // sync the directory
		percent int
		want    string // "-": no file
	}{
		{"nothing synced", false, false, 0, "-"},
		{"file without its name", true, false, 0, "-"},
		{"name without its bytes", false, true, 0, ""},
		{"both", true, true, 0, "content"},
		{"nothing synced, all survives", false, false, 100, "content"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := New()
			f := create(t, d, "f", "content")
			if c.file {
				ok(t, f.Sync("test:sync"))
			}
			if c.dir {
				ok(t, d.SyncDir("test:sync", ""))
			}
			got, exists := d.AfterCrash(nil, c.percent).Tree("")["f"]
			if !exists {
				got = "-"
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestCrashVaries looks for every kind of remains among many crashes.
func TestCrashVaries(t *testing.T) {
	d := New()
	d.Put("f", strings.Repeat("a", 2*pageSize))
	f, err := d.OpenWrite("test:open", "f")
	ok(t, err)
	_, err = f.WriteAt("test:write", []byte(strings.Repeat("b", 3*pageSize)), 0)
	ok(t, err)
	ok(t, d.Rename("test:rename", "f", "g"))
	found := map[string]bool{}
	for seed := range int64(300) {
		tree := d.AfterCrash(rand.New(rand.NewSource(seed)), 50).Tree("")
		_, old := tree["f"]
		g, renamed := tree["g"]
		found[fmt.Sprintf("old=%v new=%v", old, renamed)] = true
		switch {
		case len(g) == 2*pageSize && strings.HasPrefix(g, "a") && strings.HasSuffix(g, "b"):
			found["second page only"] = true
		case len(g) == 3*pageSize && strings.HasSuffix(g, "\x00"):
			found["size without bytes"] = true
		case len(g) > 0 && g[0] != g[pageSize-1]:
			found["torn page"] = true
		}
	}
	for _, want := range []string{"old=true new=true", "old=false new=false", "old=true new=false", "old=false new=true",
		"second page only", "size without bytes", "torn page"} {
		if !found[want] {
			t.Errorf("never seen: %s", want)
		}
	}
}

func TestFailedSyncLosesPages(t *testing.T) {
	d := New()
	d.Put("f", "old")
	d.Heal(FailStep("test:sync", 1, syscall.EIO, false))
	f, err := d.OpenWrite("test:open", "f")
	ok(t, err)
	_, err = f.WriteAt("test:write", []byte("new content"), 0)
	ok(t, err)
	wantErrno(t, "first sync", f.Sync("test:sync"), syscall.EIO)
	ok(t, f.Sync("test:sync"))
	if got := content(t, d, "f"); got != "new content" {
		t.Errorf("the cache has %q", got)
	}
	if got := d.AfterCrash(nil, 100).Tree("")["f"]; got != "old" {
		t.Errorf("the drive has %q, want the old content: the second sync wrote nothing", got)
	}
}

func TestFaults(t *testing.T) {
	work := func(d *Disk) []error {
		var errs []error
		for i := range 4 {
			errs = append(errs, d.MkdirAll(disk.Step([]string{"test:even", "test:odd"}[i%2]), fmt.Sprint(i), 0o755))
		}
		return errs
	}
	cases := []struct {
		name string
		opt  Option
		want string // per operation: . fine, E error, X crash
	}{
		{"none", func(*Disk) {}, "...."},
		{"second", FailAt(2, syscall.EIO, false), ".E.."},
		{"from the second", FailAt(2, syscall.EIO, true), ".EEE"},
		{"second odd one", FailStep("test:odd", 2, syscall.EIO, false), "...E"},
		{"crash", CrashAt(3), "..XX"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := New(c.opt)
			got := ""
			for _, err := range work(d) {
				switch {
				case err == nil:
					got += "."
				case errors.Is(err, ErrCrashed):
					got += "X"
				case errors.Is(err, syscall.EIO):
					got += "E"
				}
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if d.Crashed() != strings.Contains(got, "X") || d.Failed() != strings.Contains(got, "E") {
				t.Errorf("crashed %v, failed %v", d.Crashed(), d.Failed())
			}
		})
	}
}

func TestReadFaults(t *testing.T) {
	d := New()
	d.Put("f", "x")
	d.Heal(FailReadAt(2, syscall.EIO, false))
	_, err := d.Stat("f")
	ok(t, err)
	_, err = d.Stat("f")
	wantErrno(t, "second read", err, syscall.EIO)
	_, err = d.ReadDir("")
	ok(t, err)
}

func TestCapacity(t *testing.T) {
	d := New(Capacity(1000))
	f := create(t, d, "f", strings.Repeat("x", 600))
	g, err := d.Create("test:create", "g", 0o600)
	ok(t, err)
	n, err := g.WriteAt("test:write", make([]byte, 600), 0)
	wantErrno(t, "write", err, syscall.ENOSPC)
	if n != 400 {
		t.Errorf("%d bytes were written, want the 400 that fit", n)
	}
	wantErrno(t, "allocate", g.Allocate("test:allocate", 401), syscall.ENOSPC)
	if _, err := f.WriteAt("test:write", make([]byte, 600), 0); err != nil {
		t.Errorf("overwriting: %v", err)
	}
	ok(t, d.Remove("test:remove", "f"))
	if free, _ := d.Free(); free != 600 {
		t.Errorf("free: %d, want 600", free)
	}
	ok(t, g.Allocate("test:allocate", 1000))
}

func TestCloneKeepsUnsyncedState(t *testing.T) {
	d := New()
	create(t, d, "f", "content")
	c := d.Clone()
	if got := content(t, c, "f"); got != "content" {
		t.Errorf("got %q", got)
	}
	if _, exists := c.AfterCrash(nil, 0).Tree("")["f"]; exists {
		t.Error("the clone's file is durable, the original's was not")
	}
	ok(t, c.Remove("test:remove", "f"))
	if got := content(t, d, "f"); got != "content" {
		t.Errorf("the original has %q", got)
	}
}

func TestStepsAndCorrupt(t *testing.T) {
	d := New()
	create(t, d, "f", "abc")
	if got := fmt.Sprint(d.Steps()); got != "[test:create test:write]" {
		t.Errorf("steps: %s", got)
	}
	d.Corrupt("f", 1, 0xff)
	if got := d.Tree("")["f"]; got != "a\x9dc" {
		t.Errorf("got %q", got)
	}
}

// TestFreedFilesComeBackWithForeignBytes removes and replaces a file in
// every way, and crashes before the directory is synced.
func TestFreedFilesComeBackWithForeignBytes(t *testing.T) {
	old := strings.Repeat("o", 3*pageSize)
	replace := func(t *testing.T, d *Disk) { ok(t, d.Rename("test:rename", "new", "f")) }
	cases := []struct {
		name string
		do   func(t *testing.T, d *Disk)
		want bool // foreign bytes
	}{
		{"nothing", func(*testing.T, *Disk) {}, false},
		{"replaced", replace, true},
		{"removed", func(t *testing.T, d *Disk) { ok(t, d.Remove("test:remove", "f")) }, true},
		{"replaced and held open", func(t *testing.T, d *Disk) {
			_, err := d.Open("f")
			ok(t, err)
			replace(t, d)
		}, false},
		{"replaced and closed too early", func(t *testing.T, d *Disk) {
			f, err := d.Open("f")
			ok(t, err)
			replace(t, d)
			ok(t, f.Close())
		}, true},
		{"one of two closed, twice", func(t *testing.T, d *Disk) {
			f, err := d.Open("f")
			ok(t, err)
			_, err = d.Open("f")
			ok(t, err)
			replace(t, d)
			ok(t, f.Close())
			ok(t, f.Close())
		}, false},
		{"another name is left", func(t *testing.T, d *Disk) {
			ok(t, d.Link("test:link", "f", "g"))
			replace(t, d)
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := New(ReuseFreed())
			d.Put("f", old)
			d.Put("new", "new")
			c.do(t, d)
			got := d.AfterCrash(nil, 0).Tree("")["f"]
			if foreign := strings.Contains(got, "foreign"); foreign != c.want || len(got) != len(old) {
				t.Errorf("foreign bytes: %v in %d bytes, want %v in %d", foreign, len(got), c.want, len(old))
			}
			if got := d.Clone().AfterCrash(nil, 0).Tree("")["f"]; strings.Contains(got, "foreign") != c.want {
				t.Error("a clone crashes otherwise")
			}
			ok(t, d.SyncDir("test:sync-dir", ""))
			if got := d.AfterCrash(nil, 0).Tree("")["f"]; strings.Contains(got, "foreign") {
				t.Error("foreign bytes after the directory was synced")
			}
		})
	}
}
