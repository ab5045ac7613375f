package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"intactfs/integration/harness"
	"intactfs/journal/disk"
)

// smallVolume is an ext4 file system on a file.
type smallVolume struct {
	image, point string
}

// newVolume makes and mounts one.
func newVolume(t *testing.T, megabytes string) smallVolume {
	t.Helper()
	harness.NeedRoot(t)
	base := t.TempDir()
	v := smallVolume{filepath.Join(base, "image"), filepath.Join(base, "disk")}
	if err := os.Mkdir(v.point, 0o755); err != nil {
		t.Fatal(err)
	}
	harness.Must(t, "truncate", "-s", megabytes+"M", v.image)
	harness.Must(t, "mkfs.ext4", "-q", "-F", "-m", "0", v.image)
	v.mount(t)
	t.Cleanup(func() {
		if r := harness.Run(t, "umount", v.point); r.Code != 0 {
			harness.Run(t, "umount", "-l", v.point)
		}
	})
	return v
}

func (v smallVolume) mount(t *testing.T) {
	t.Helper()
	if r := harness.Run(t, "mount", "-o", "loop,errors=remount-ro", v.image, v.point); r.Code != 0 {
		harness.Lacks(t, "no loop device: %s", r.Stderr)
	}
}

// TestNoSpace fills a small file system at the moment an operation begins.
func TestNoSpace(t *testing.T) {
	tests := []struct {
		step disk.Step
		do   op
		want string // what the program sees; empty: the work is done behind its back
	}{
		{"commit:append", save("a.json", small), "success"}, // room was reserved
		{"stage:create", save("a.json", large), "ENOSPC"},
		{"stage:write", save("a.json", large), "ENOSPC"},
		{"commit:stage-sync", save("a.json", large), "success"},
		{"publish:create", save("a.json", small), ""},
		{"publish:write", save("a.json", 200_000), ""},
		{"history:append", save("a.json", 200_000), ""},
		{"history:mkdir", save("new.json", 200_000), ""},
		{"refuse:create", writeInvalid("a.json", "one", 200_000), "EBADMSG"},
		{"refuse:write", writeInvalid("a.json", "two", 200_000), "EBADMSG"},
	}
	for _, tt := range tests {
		t.Run(string(tt.step), func(t *testing.T) {
			v := newVolume(t, "96")
			r := newRig(t, v.point)
			r.mustStart()
			for _, do := range []op{save("a.json", small), checkpoint} {
				if err := do(r); err != nil {
					t.Fatal(err)
				}
			}
			filler := filepath.Join(v.point, "filler")
			r.plan.set(t, rule{Step: tt.step, Nth: 1, Act: fill, Path: filler})
			var o outcome
			err := o.try(r, tt.do)
			if tt.want == "" {
				if err != nil {
					t.Errorf("the save: %v", err)
				}
				res := r.intact("verify", r.Point)
				o.told = append(o.told, "`intact verify` exits with "+string(rune('0'+res.Code))+": "+firstLine(res.Stderr))
			} else if got := errnoOf(err); got != tt.want {
				t.Errorf("the save: %v, want %s", err, tt.want)
			}
			if !r.struck() {
				t.Errorf("%s was not reached", tt.step)
			}
			r.stillReads(t)
			if st := r.intact("status", r.Point); st.Code != 0 {
				t.Errorf("intact status: exit %d\n%s", st.Code, st.Stderr)
			}
			o.told = append(o.told, r.told()...)
			r.plan.set(t)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, "saves work when there is room", func() bool { return save("a.json", large)(r) == nil })
			harness.Eventually(t, "all is published when there is room", func() bool { return checkpoint(r) == nil })
			r.mustStop()
			r.checkAfter(t)
			o.left = "the old file; with room again all works, verify 0"
			if err == nil {
				o.left = "the new file; with room again all works, verify 0"
			}
			o.enter("No space left", "at `"+string(tt.step)+"`")
		})
	}
}

func firstLine(s string) string {
	l, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return l
}

// TestReadOnlyDisk takes the right to write away from below a mount, as ext4
// does when it meets an error.
func TestReadOnlyDisk(t *testing.T) {
	v := newVolume(t, "96")
	r := newRig(t, v.point)
	r.mustStart()
	for _, do := range []op{save("a.json", small), checkpoint, save("a.json", small), save("b.json", large)} {
		if err := do(r); err != nil {
			t.Fatal(err)
		}
	}
	if res := harness.Run(t, "mount", "-o", "remount,ro", v.point); res.Code == 0 {
		t.Error("the kernel remounted read-only what the journal has open")
	} else {
		outcome{saw: []string{"nothing"}, told: []string{"`mount`: " + res.Stderr}, left: "all goes on"}.enter(
			"A read-only disk", "`mount -o remount,ro`")
	}
	source := strings.TrimSpace(harness.Must(t, "findmnt", "-n", "-o", "SOURCE", v.point))
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(source), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("1"), 0o200); err != nil {
		harness.Lacks(t, "ext4 can't be told to fail: %v", err)
	}
	var o outcome
	for _, size := range []int{small, large} {
		err := o.try(r, save("a.json", size))
		if !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO) {
			t.Errorf("a save on a read-only disk: %v, want EROFS or EIO", err)
		}
	}
	r.stillReads(t)
	if st := r.intact("status", r.Point); st.Code != 0 || !strings.Contains(st.Stdout, "read-only") {
		t.Errorf("intact status says nothing of it: exit %d\n%s", st.Code, st.Stdout)
	}
	o.told = append(o.told, r.told()...)
	r.stop()
	harness.Must(t, "umount", v.point)
	harness.Run(t, "e2fsck", "-fy", v.image) // it corrects what was triggered, and says so with its status
	v.mount(t)
	r.mustStart()
	r.stillReads(t)
	if err := save("a.json", small)(r); err != nil {
		t.Errorf("a save after the repair: %v", err)
	}
	r.mustStop()
	r.checkAfter(t)
	o.left = "reads go on; after e2fsck and a remount all that was acknowledged, verify 0"
	o.enter("A read-only disk", "ext4 meets an error, `errors=remount-ro`")
}

// TestNoDescriptors opens more files than the daemon may have descriptors.
func TestNoDescriptors(t *testing.T) {
	r := newRig(t, "")
	r.order.Files = 64
	r.mustStart()
	for _, do := range []op{save("a.json", small), checkpoint, save("a.json", small)} {
		if err := do(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(r.file("plain.txt"), []byte("plain"), 0o644); err != nil {
		t.Fatal(err)
	}
	var o outcome
	var open []*os.File
	for i := range 300 {
		name := []string{"a.json", "plain.txt"}[i%2]
		f, err := os.Open(r.file(name))
		o.saw = append(o.saw, errnoOf(err))
		if err == nil {
			open = append(open, f)
		}
	}
	for _, size := range []int{small, large} {
		err := o.try(r, save("b.json", size))
		if err != nil && !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.EIO) {
			t.Errorf("a save without descriptors: %v", err)
		}
	}
	for _, f := range open {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	harness.Eventually(t, "a save works with descriptors again", func() bool { return save("b.json", large)(r) == nil })
	harness.Eventually(t, "all is published", func() bool { return checkpoint(r) == nil })
	r.stillReads(t)
	o.told = append(o.told, r.told()...)
	r.mustStop()
	r.checkAfter(t)
	o.left = "works again when files are closed, verify 0"
	o.enter("No descriptors left", "`ulimit -n 64` and 300 opens")
}
