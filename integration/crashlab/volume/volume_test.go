package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if err := Isolate(); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" {
			fmt.Fprintln(os.Stderr, "the laboratory needs root:", err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stderr, "skipped:", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// need is labtest.Need, which knows this package.
func need(t *testing.T, kind Type) {
	t.Helper()
	err := kind.Available()
	switch {
	case err == nil:
	case (os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "") && !errors.Is(err, unix.ENODEV):
		t.Fatalf("this file system must be there: %v", err)
	default:
		t.Skip(err)
	}
}

func image(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMakeMountUnmount(t *testing.T) {
	for _, kind := range Types {
		t.Run(kind.Name, func(t *testing.T) {
			need(t, kind)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			file, dir := image(t, kind.Size), t.TempDir()
			if err := kind.Make(ctx, file); err != nil {
				t.Fatal(err)
			}
			for round := range 3 { // what one mount wrote, the next one reads
				v, err := kind.Mount(file, dir)
				if err != nil {
					t.Fatal(err)
				}
				names, err := filepath.Glob(filepath.Join(dir, "round*"))
				if len(names) != round || err != nil {
					t.Errorf("round %d: got %v, %v", round, names, err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("round", round)), nil, 0o644); err != nil {
					t.Error(err)
				}
				device := v.loop.Path()
				if err := v.Unmount(); err != nil {
					t.Fatal(err)
				}
				waitFree(t, device, file)
			}
		})
	}
}

// waitFree waits until the loop device no longer has the file: the kernel
// frees it behind the last close.
func waitFree(t *testing.T, device, file string) {
	t.Helper()
	backing := filepath.Join("/sys/block", filepath.Base(device), "loop/backing_file")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		p, err := os.ReadFile(backing)
		if err != nil || strings.TrimSpace(string(p)) != file {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still has %s", device, file)
		}
	}
}

// TestBusyVolume: a file system that somebody holds open is reported, and
// detached nevertheless.
func TestBusyVolume(t *testing.T) {
	kind := Types[0]
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	file, dir := image(t, kind.Size), t.TempDir()
	if err := kind.Make(ctx, file); err != nil {
		t.Fatal(err)
	}
	v, err := kind.Mount(file, dir)
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Create(filepath.Join(dir, "held"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Unmount(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a busy file system: got %v, want %v", err, unix.EBUSY)
	}
	if _, err := os.Stat(filepath.Join(dir, "held")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the busy file system is still there: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := Attach(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v, want %v", err, os.ErrNotExist)
	}
	kind := Types[0]
	if _, err := kind.Mount(image(t, kind.Size), t.TempDir()); !errors.Is(err, unix.EINVAL) || !errors.Is(err, ErrMount) {
		t.Errorf("no file system: got %v, want %v and %v", err, unix.EINVAL, ErrMount)
	}
	if _, err := kind.Mount(filepath.Join(t.TempDir(), "none"), t.TempDir()); err == nil || errors.Is(err, ErrMount) {
		t.Errorf("no file: got %v, want another error than %v", err, ErrMount)
	}
	if err := kind.Make(ctx, image(t, 1024)); err == nil {
		t.Error("a disk of 1 KiB: mkfs found room")
	}
	if _, err := Find("minix"); err == nil {
		t.Error("an unknown file system: got no error")
	}
	unknown := Type{Name: "x", FS: "nosuchfs", mkfs: []string{"true"}}
	if err := unknown.Available(); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a file system the kernel does not have: got %v, want %v", err, unix.ENODEV)
	}
	unknown.mkfs[0] = "no-such-mkfs"
	if err := unknown.Available(); err == nil {
		t.Error("no mkfs: got no error")
	}
}

func TestWith(t *testing.T) {
	kind := Types[0].With("barrier=0")
	if kind.Name != Types[0].Name+",barrier=0" || kind.options != "barrier=0" || Types[0].options == "barrier=0" {
		t.Errorf("got %+v beside %+v", kind, Types[0])
	}
}
