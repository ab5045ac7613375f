package backup

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"intactfs/journal/disk/disktest"
)

// TestRemovedFilesAreHeld takes names away and crashes before the directory is
// synced: what comes back is what was there.
func TestRemovedFilesAreHeld(t *testing.T) {
	take := map[string]func(d *holdingDisk) error{
		"remove": func(d *holdingDisk) error { return d.Remove("x:remove", "d/a") },
		"rename": func(d *holdingDisk) error { return d.Rename("x:rename", "d/b", "d/a") },
	}
	for name, f := range take {
		t.Run(name, func(t *testing.T) {
			mem := disktest.New(disktest.ReuseFreed())
			mem.Put("d/a", "what was there")
			mem.Put("d/b", "another")
			d := newHoldingDisk(mem)
			if err := f(d); err != nil {
				t.Fatal(err)
			}
			if got := mem.AfterCrash(nil, 0).Tree("d")["d/a"]; got != "what was there" {
				t.Errorf("after a crash: %q", got)
			}
			mem.Heal(disktest.FailStep("x:sync", 1, syscall.EIO, false))
			if err := d.SyncDir("x:sync", "d"); !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v, want EIO", err)
			}
			if len(d.held) != 1 {
				t.Errorf("%d files are held after a failed sync", len(d.held))
			}
			d.letGo()
			if len(d.held) != 0 {
				t.Errorf("%d files are held after a sync", len(d.held))
			}
		})
	}
}

func TestWhatIsNotHeld(t *testing.T) {
	mem := disktest.New(disktest.ReuseFreed())
	mem.Put("d/a.tmp", "nothing yet")
	mem.Put("d/e/f", "x")
	mem.Put("d/g", "x")
	d := newHoldingDisk(mem)
	for _, tt := range []struct {
		name string
		f    func() error
		want error
	}{
		{"a temporary file", func() error { return d.Remove("x:remove", "d/a.tmp") }, nil},
		{"no file", func() error { return d.Remove("x:remove", "d/none") }, syscall.ENOENT},
		{"a directory", func() error { return d.Remove("x:remove", "d/e") }, syscall.ENOTEMPTY},
		{"a new name", func() error { return d.Rename("x:rename", "d/g", "d/h") }, nil},
		{"a rename of nothing", func() error { return d.Rename("x:rename", "d/none", "d/h") }, syscall.ENOENT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.f(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if len(d.held) != 0 {
				t.Errorf("%d files are held", len(d.held))
			}
		})
	}
	mem.Heal(disktest.FailReadAt(1, syscall.EMFILE, true))
	if err := d.Remove("x:remove", "d/h"); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("a file that can't be held: got %v, want EMFILE", err)
	}
}

// TestHeldFilesAreBounded takes more names away than may be open.
func TestHeldFilesAreBounded(t *testing.T) {
	mem := disktest.New()
	d := newHoldingDisk(mem)
	for i := range maxHeld + 10 {
		name := fmt.Sprintf("d%d/a", i%3)
		mem.Put(name, "x")
		if err := d.Remove("x:remove", name); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.held) != maxHeld {
		t.Errorf("%d files are held", len(d.held))
	}
	if err := d.SyncDir("x:sync", "d0"); err != nil {
		t.Fatal(err)
	}
	for _, h := range d.held {
		if h.dir == "d0" {
			t.Error("a file of a directory that was synced is held")
		}
	}
}
