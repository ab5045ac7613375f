package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// calls are all that change something, or make something durable.
func calls(j *Journal) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"commit": func(ctx context.Context) error { _, err := j.Commit(ctx, put("a.json", "x")); return err },
		"a large commit": func(ctx context.Context) error {
			_, err := j.Commit(ctx, put("a.json", text("large", 9000)))
			return err
		},
		"append": func(ctx context.Context) error {
			_, err := j.Append(ctx, AppendPut{Path: "l.jsonl", Bytes: []byte("x")})
			return err
		},
		"a stage":    func(context.Context) error { _, _, err := j.NewStage(); return err },
		"sync":       j.Sync,
		"settle":     func(ctx context.Context) error { return j.Settle(ctx, "a.json") },
		"checkpoint": j.Checkpoint,
	}
}

// TestStatesThatRefuse asks a journal for everything that it must refuse, and
// looks that it changes nothing.
func TestStatesThatRefuse(t *testing.T) {
	cases := []struct {
		name  string
		enter func(t *testing.T, d *disktest.Disk) *Journal
		want  error
		not   string // calls that have nothing to refuse
	}{
		{"read-only", func(t *testing.T, d *disktest.Disk) *Journal {
			o := small(nil)
			o.ReadOnly = true
			return mustOpen(t, d, o)
		}, ErrReadOnly, "sync"},
		{"closed", func(t *testing.T, d *disktest.Disk) *Journal {
			j := mustOpen(t, d, small(nil))
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			return j
		}, ErrClosed, "settle checkpoint"},
		{"stopped", func(t *testing.T, d *disktest.Disk) *Journal {
			j := mustOpen(t, d, small(nil))
			d.Heal(disktest.FailStep("commit:sync", 1, syscall.EIO, false))
			if _, err := j.Commit(background0, put("b.json", "y")); !errors.Is(err, ErrStopped) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v, want ErrStopped because of EIO", err)
			}
			return j
		}, ErrStopped, "settle checkpoint"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, _ := killed(t, 2, 300)
			j := c.enter(t, d)
			d.Heal()
			before := d.Tree("")
			for name, call := range calls(j) {
				if strings.Contains(c.not, name) {
					continue
				}
				if err := call(background0); !errors.Is(err, c.want) {
					t.Errorf("%s: got %v, want %v", name, err, c.want)
				}
			}
			// A stopped journal may still make stages, for nobody.
			if diff := cmp.Diff(before, d.Tree("")); diff != "" && !errors.Is(c.want, ErrStopped) {
				t.Errorf("something changed:\n%s", diff)
			}
		})
	}
}

// TestStoppedDiscardsNothing keeps a stage: a record that names it may be on
// the disk.
func TestStoppedDiscardsNothing(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	name, f, err := j.NewStage()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	d.Heal(disktest.FailStep("commit:sync", 1, syscall.EIO, false))
	p := put("a.json", "")
	p.Stage, p.Inline = name, nil
	if _, err := j.Commit(background0, p); !errors.Is(err, ErrStopped) {
		t.Fatalf("got %v", err)
	}
	if err := j.Discard(name); err != nil {
		t.Error(err)
	}
	if _, ok := d.Tree(stagingDir)[name]; !ok {
		t.Error("the stage is gone")
	}
	again := mustOpen(t, d, small(nil))
	if v, ok := again.Pending("a.json"); !ok || v.Size != 0 {
		t.Errorf("the next process has %+v, %v", v, ok)
	}
}

func TestDiscardRefuses(t *testing.T) {
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	d.Put("a.json", "a user's")
	for _, name := range []string{"a.json", "", stagePrefix, stagePrefix + "../a.json", temporaryPrefix + "1-0", stagePrefix + strings.Repeat("x", 300)} {
		if err := j.Discard(name); !errors.Is(err, ErrStage) {
			t.Errorf("%.40q: got %v, want ErrStage", name, err)
		}
	}
	if err := j.Discard(stagePrefix + "1-gone"); err != nil {
		t.Errorf("a stage that is gone: %v", err)
	}
	name, _, err := j.NewStage()
	if err != nil {
		t.Fatal(err)
	}
	d.Heal(disktest.FailStep("stage:discard", 1, syscall.EIO, false))
	if err := j.Discard(name); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	o := small(nil)
	o.ReadOnly = true
	if err := mustOpen(t, d, o).Discard(name); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: got %v", err)
	}
}

// TestEndedContexts wait for nothing, and change nothing.
func TestEndedContexts(t *testing.T) {
	ended, cancel := context.WithCancel(background0)
	cancel()
	d := disktest.New()
	j := mustOpen(t, d, small(nil))
	mustCommit(t, j, "a.json", "x")
	for name, call := range map[string]func() error{
		"sync":       func() error { return j.Sync(ended) },
		"settle":     func() error { return j.Settle(ended, "a.json") },
		"checkpoint": func() error { return j.Checkpoint(ended) },
		"check":      func() error { _, err := Check(ended, d); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if s := j.Stats(); s.Pending != 1 || s.PublishFailing != nil || s.PublishErrors != 0 {
		t.Errorf("it counts as a failure: %+v", s)
	}
	mustCheckpoint(t, j)
}

// brokenRand is a source of chance that ends after n bytes.
type brokenRand struct{ n int }

func (r *brokenRand) Read(p []byte) (int, error) {
	if r.n < len(p) {
		return 0, io.ErrUnexpectedEOF
	}
	r.n -= len(p)
	return len(p), nil
}

// TestNoChance lets the source of chance fail at every place: what needs a
// name or a salt fails, and nothing else.
func TestNoChance(t *testing.T) {
	done := map[string]bool{}
	for n := 0; len(done) < 4 && n < 4000; n += 8 {
		d := disktest.New()
		o := small(nil)
		o.Rand = &brokenRand{n}
		j, _, err := Open(d, o)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			done["open"] = true
			continue
		}
		if _, _, err := j.NewStage(); err != nil {
			done["stage"] = errors.Is(err, io.ErrUnexpectedEOF)
		}
		for i := 0; i < 20 && err == nil; i++ {
			_, err = j.Commit(background0, put("a.json", text(fmt.Sprint(i), 1900)))
		}
		if err != nil {
			done["segment"] = errors.Is(err, io.ErrUnexpectedEOF)
		} else if err := j.Checkpoint(background0); err != nil {
			done["publish"] = errors.Is(err, io.ErrUnexpectedEOF)
		} else {
			break
		}
		if v, ok := j.Pending("a.json"); ok {
			if got, _ := current(t, j, d, "a.json"); int64(len(got)) != v.Size {
				t.Errorf("%d bytes of chance: %d bytes are served", n, len(got))
			}
		}
	}
	for _, what := range []string{"open", "stage", "segment", "publish"} {
		if !done[what] {
			t.Errorf("%s never failed for it", what)
		}
	}
}

// plainDisk has neither hard links nor files that clone.
type plainDisk struct {
	disk.Disk
	errno syscall.Errno
}

func (d plainDisk) Link(disk.Step, string, string) error { return d.errno }

func (d plainDisk) Create(step disk.Step, name string, perm uint32) (disk.File, error) {
	f, err := d.Disk.Create(step, name, perm)
	return plainFile{f}, err
}

type plainFile struct{ disk.File }

// TestDiskWithoutLinks publishes staged contents by copying them.
func TestDiskWithoutLinks(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS, syscall.EMLINK} {
		t.Run(errno.Error(), func(t *testing.T) {
			mem := freshDisk()
			j := mustOpen(t, plainDisk{mem, errno}, small(newHistory(mem)))
			content := text("large", 9000)
			if _, err := putStaged(background0, j, put("a.json", content)); err != nil {
				t.Fatal(err)
			}
			mustCheckpoint(t, j)
			if got := userTree(mem)["a.json"]; got != content {
				t.Errorf("published %s", brief(got))
			}
			if left := mem.Tree(stagingDir); len(left) > 0 {
				t.Errorf("%d files are left in staging", len(left))
			}
		})
	}
}

// TestDiskWithoutClones publishes appends to a long file by writing all of it.
func TestDiskWithoutClones(t *testing.T) {
	mem := disktest.New()
	base := text("base", 3*cloneFrom)
	mem.Put("l.jsonl", base)
	j := mustOpen(t, plainDisk{mem, syscall.EPERM}, small(newHistory(mem)))
	mustAppend(t, j, "l.jsonl", "more\n", int64(len(base)))
	mustCheckpoint(t, j)
	if got := userTree(mem)["l.jsonl"]; got != base+"more\n" {
		t.Errorf("published %s", brief(got))
	}
}

// TestLinkFails keeps the version when there is no room for a second name.
func TestLinkFails(t *testing.T) {
	mem := freshDisk()
	j := mustOpen(t, plainDisk{mem, syscall.ENOSPC}, small(newHistory(mem)))
	if _, err := putStaged(background0, j, put("a.json", text("large", 9000))); err != nil {
		t.Fatal(err)
	}
	if err := j.Checkpoint(background0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if got := userTree(mem)["a.json"]; got != before["a.json"] {
		t.Errorf("the file is %s", brief(got))
	}
	if s := j.Stats(); s.Pending != 1 || s.PublishErrors == 0 {
		t.Errorf("%+v", s)
	}
}

// TestDirectoryThatIsGone makes it again rather than lose a version.
func TestDirectoryThatIsGone(t *testing.T) {
	steps := []disk.Step{"", "publish:make-dir", "publish:sync-above", "publish:sync-dir"}
	for _, fail := range steps {
		t.Run("fails: "+string(fail), func(t *testing.T) {
			d := disktest.New()
			j := mustOpen(t, d, small(nil))
			mustCommit(t, j, "x/y/z/a.json", "content")
			if fail != "" {
				d.Heal(disktest.FailStep(fail, 1, syscall.EIO, false))
				if err := j.Checkpoint(background0); !errors.Is(err, syscall.EIO) {
					t.Errorf("got %v, want EIO", err)
				}
				if _, ok := j.Pending("x/y/z/a.json"); !ok {
					t.Error("it is forgotten")
				}
			}
			mustCheckpoint(t, j)
			after := d.AfterCrash(nil, 0)
			if got := userTree(after)["x/y/z/a.json"]; got != "content" {
				t.Errorf("after a crash: %q", got)
			}
		})
	}
}

// TestDirectoriesOfOthers publishes into directories that nobody synced: the
// file is there after a crash, and later rounds sync none of them again.
func TestDirectoriesOfOthers(t *testing.T) {
	d := disktest.New()
	if err := d.MkdirAll("test:mkdir", "x/y", 0o755); err != nil {
		t.Fatal(err)
	}
	j := mustOpen(t, d, small(nil))
	above := func() (n int) {
		d.Heal()
		mustCommit(t, j, "x/y/a.json", "content")
		mustCheckpoint(t, j)
		for _, step := range d.Steps() {
			if step == "publish:sync-above" {
				n++
			}
		}
		return n
	}
	if n := above(); n != 2 {
		t.Errorf("%d directories were synced, want the two above", n)
	}
	if got := userTree(d.AfterCrash(nil, 0))["x/y/a.json"]; got != "content" {
		t.Errorf("after a crash: %q", got)
	}
	if n := above(); n != 0 {
		t.Errorf("%d directories were synced again", n)
	}
	if err := d.Rename("test:rename", "x", "z"); err != nil {
		t.Fatal(err)
	}
	if n := above(); n != 2 { // they were made again
		t.Errorf("%d directories were synced after they had been gone", n)
	}
	if got := userTree(d.AfterCrash(nil, 0))["x/y/a.json"]; got != "content" {
		t.Errorf("after they were made again: %q", got)
	}
}
