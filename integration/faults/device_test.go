package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/labtest"
	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
	"intactfs/integration/harness"
)

// device is a file system on a block device of ours, which fails as it is
// told. Everything of it goes with the test, or with the namespace.
type device struct {
	t      *testing.T
	kind   volume.Type
	disk   *recdisk.Disk
	volume *volume.Volume // nil: not mounted
	dir    string
}

func newDevice(t *testing.T, fs string) *device {
	t.Helper()
	harness.NeedRoot(t)
	kind, err := volume.Find(fs)
	if err != nil {
		t.Fatal(err)
	}
	labtest.Need(t, kind)
	server, err := recdisk.Start(t.TempDir())
	if err != nil {
		harness.Lacks(t, "no recording disk: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &device{t: t, kind: kind, dir: t.TempDir()}
	if d.disk, err = server.New(kind.Size); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := kind.Make(ctx, d.disk.Path()); err != nil {
		t.Fatal(err)
	}
	d.mount()
	t.Cleanup(func() {
		d.breaks()
		d.unmount()
	})
	return d
}

func (d *device) mount() {
	d.t.Helper()
	v, err := d.kind.Mount(d.disk.Path(), d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	d.volume = v
}

func (d *device) unmount() {
	d.t.Helper()
	if d.volume == nil {
		return
	}
	if err := d.volume.Unmount(); err != nil {
		d.t.Error(err)
	}
	d.volume = nil
}

// breaks sets the faults of the device; without any it is healed.
func (d *device) breaks(faults ...recdisk.Fault) {
	d.t.Helper()
	if err := d.disk.Break(faults...); err != nil {
		d.t.Error(err)
	}
}

func (d *device) struck() bool {
	d.t.Helper()
	n, err := d.disk.Struck()
	if err != nil {
		d.t.Fatal(err)
	}
	return n > 0
}

// rigged is a rig on the device, with saves that are on the disk and some that
// only the journal has.
func (d *device) rigged() *rig {
	d.t.Helper()
	r := newRig(d.t, d.dir)
	r.mustStart()
	for _, do := range []op{save("a.json", small), save("old.json", large), save("other.json", small), checkpoint, save("a.json", small), save("b.json", large)} {
		if err := do(r); err != nil {
			d.t.Fatal(err)
		}
	}
	return r
}

// healed ends the daemon and the file system in any way, heals the device,
// mounts both again and checks everything.
func (d *device) healed(r *rig) {
	d.t.Helper()
	r.stop()
	d.unmount()
	d.breaks()
	d.mount()
	r.remountedFrom(d.t)
}

// remountedFrom is remounted for a rig whose daemon has ended.
func (r *rig) remountedFrom(t *testing.T) {
	t.Helper()
	if err := r.checkPlain(r.Dir); err != nil {
		t.Errorf("before recovery: %v", err)
	}
	r.mustStart()
	r.stillReads(t)
	if err := save("after.json", small)(r); err != nil {
		t.Errorf("a save after the remount: %v", err)
	}
	r.mustStop()
	r.checkAfter(t)
}

// reads is stillReads on a disk that may refuse: what is read is right, and
// the number of files that can be read is told.
func (r *rig) reads(t *testing.T) string {
	t.Helper()
	good := 0
	for name := range r.acked {
		content, err := os.ReadFile(r.file(name))
		if errors.Is(err, syscall.EIO) {
			continue
		}
		if err == nil {
			err = r.current(name, content)
		}
		if err != nil {
			t.Errorf("read %s: %v", name, err)
		}
		good++
	}
	if good == len(r.acked) {
		return "reads go on"
	}
	return fmt.Sprintf("%d of %d files can be read, the others give EIO", good, len(r.acked))
}

// TestFailingDevice makes writes and flushes of the device fail: whatever the
// file system makes of it, the program that saves is told, nothing wrong is
// ever read, and nothing acknowledged is lost when the device is healed.
func TestFailingDevice(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		for _, tt := range []struct {
			name    string
			on      recdisk.Access
			content bool // only of the content that is saved
			size    int
		}{
			{"writes fail", recdisk.Write, false, small},
			{"flushes fail", recdisk.Flush, false, small},
			{"writes of the content fail", recdisk.Write, true, large},
		} {
			t.Run(fs+"/"+strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				d := newDevice(t, fs)
				r := d.rigged()
				fault := recdisk.Fault{On: tt.on}
				if tt.content {
					fault.Holding = []byte(filler(r.n+1, 40))
				}
				d.breaks(fault)
				var o outcome
				if err := o.try(r, save("a.json", tt.size)); !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
					t.Errorf("the save: %v, want EIO or EROFS", err)
				}
				if !d.struck() {
					t.Error("the device was not used")
				}
				o.left = r.reads(t)
				if err := save("c.json", small)(r); err != nil {
					o.left += ", saves fail with " + errnoOf(err)
				} else {
					o.left += ", saves go on"
				}
				o.told = r.told()
				// A file system that shut itself down may not even tell the
				// attributes of its root, over which the daemon is found.
				if st := r.intact("status", r.Point); st.Code != 0 && !strings.Contains(st.Stderr, "input/output error") {
					t.Errorf("intact status: exit %d\n%s", st.Code, st.Stderr)
				}
				if len(o.told) == 0 && strings.Contains(o.left, "saves fail") {
					t.Error("nobody is told that saves fail")
				}
				d.healed(r)
				o.left += "; healed and mounted again: all that was acknowledged"
				o.enter("A failing device", fs+": "+tt.name)
			})
		}
	}
}

// TestUnreadableBlocks makes the device fail where a content is read: that
// file gives EIO, the others are served, and when it can be read again so can
// the file.
func TestUnreadableBlocks(t *testing.T) {
	d := newDevice(t, "ext4")
	r := d.rigged()
	if err := checkpoint(r); err != nil {
		t.Fatal(err)
	}
	r.mustStop()
	d.unmount() // nothing is cached
	d.mount()
	r.mustStart()
	d.breaks(recdisk.Fault{On: recdisk.Read, Holding: []byte(filler(r.acked["old.json"], 40))})
	var o outcome
	_, err := os.ReadFile(r.file("old.json"))
	o.saw = []string{errnoOf(err)}
	if !errors.Is(err, syscall.EIO) || !d.struck() {
		t.Errorf("read of what can't be read: %v, want EIO", err)
	}
	for _, name := range []string{"a.json", "b.json"} {
		if content, err := os.ReadFile(r.file(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := r.current(name, content); err != nil {
			t.Error(err)
		}
	}
	if err := save("a.json", small)(r); err != nil {
		t.Errorf("a save of another file: %v", err)
	}
	res := r.intact("verify", r.Point)
	if res.Code == exitDone {
		t.Error("intact verify says nothing of it")
	}
	o.told = append(r.told(), fmt.Sprintf("`intact verify` exits with %d: %s", res.Code, firstLine(res.Stdout+res.Stderr)))
	d.breaks()
	r.stillReads(t)
	r.mustStop()
	r.checkAfter(t)
	o.left = "other files are read and saved; all is there when the block can be read again, verify 0"
	o.enter("A failing device", "ext4: reads of a content fail")
}

// TestHungDevice lets the device answer nothing but reads, so that the daemon
// itself hangs in the kernel: who needs no disk is answered. Then it goes on,
// or a person aborts the connection: every program is answered.
func TestHungDevice(t *testing.T) {
	hang := time.Duration(0)
	if harness.Long() {
		hang = 30 * time.Second
	}
	for _, abort := range []bool{false, true} {
		name := "goes on"
		if abort {
			name = "is given up"
		}
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			d := newDevice(t, "ext4")
			r := d.rigged()
			r.stillReads(t) // so that reads need no disk
			text, n := r.document(small)
			d.breaks(recdisk.Fault{On: recdisk.Write, Hang: true}, recdisk.Fault{On: recdisk.Flush, Hang: true})
			saved := make(chan error, 1)
			go func() { saved <- os.WriteFile(r.file("a.json"), []byte(text), 0o644) }()
			harness.Eventually(t, "the device hangs", d.struck)
			time.Sleep(hang)
			r.look(t)
			for _, name := range []string{"a.json", "old.json"} { // the old content: the save is not acknowledged
				if content, err := os.ReadFile(r.file(name)); err != nil {
					t.Errorf("read %s while the device hangs: %v", name, err)
				} else if err := r.current(name, content); err != nil {
					t.Error(err)
				}
			}
			select {
			case err := <-saved:
				t.Fatalf("the save was answered while the device hangs: %v", err)
			default:
			}
			o := outcome{left: "stat, read, ls, df and ps were answered meanwhile; no task in D state, unmounted, verify 0"}
			var err error
			if abort {
				abortConnection(t, r.Point)
				err = <-saved
				o.saw = []string{errnoOf(err)}
				if err == nil {
					t.Error("a save was acknowledged that was given up")
				}
				d.breaks()
			} else {
				d.breaks()
				if err = <-saved; err != nil {
					t.Errorf("the save: %v", err)
				} else {
					r.saved("a.json", n)
				}
				o.saw = []string{errnoOf(err) + ", late"}
				noneStuck(t, r)
			}
			o.told = r.told()
			r.stop()
			r.remountedFrom(t)
			if abort {
				o.left = "stat, read, ls, df and ps were answered before; the daemon ends when the device answers, verify 0"
			}
			fault := "ext4: the device hangs"
			if hang > 0 {
				fault += " for " + hang.String()
			}
			o.enter("A failing device", fault+" and "+name)
		})
	}
}

// abortConnection does what a person can do to a mount that hangs.
func abortConnection(t *testing.T, point string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(point, &st); err != nil {
		t.Fatal(err)
	}
	control := t.TempDir() // where it is mounted by nobody, as in containers
	if err := unix.Mount("fusectl", control, "fusectl", 0, ""); err != nil {
		harness.Lacks(t, "no way to abort a connection: %v", err)
	}
	path := filepath.Join(control, fmt.Sprint(unix.Minor(st.Dev)), "abort")
	err := os.WriteFile(path, []byte("1"), 0o200)
	if err = errors.Join(err, unix.Unmount(control, 0)); err != nil {
		t.Error(err)
	}
}
