package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"intactfs/integration/harness"
)

// smallDisk makes an ext4 file system of some megabytes and returns an empty
// directory on it. Where there is no loop device a tmpfs stands in.
func smallDisk(t *testing.T, megabytes string) string {
	t.Helper()
	harness.NeedRoot(t)
	base := t.TempDir()
	image, point := filepath.Join(base, "image"), filepath.Join(base, "disk")
	if err := os.Mkdir(point, 0o755); err != nil {
		t.Fatal(err)
	}
	harness.Must(t, "truncate", "-s", megabytes+"M", image)
	harness.Must(t, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	if r := harness.Run(t, "mount", "-o", "loop", image, point); r.Code != 0 {
		t.Logf("no loop device (%s): a tmpfs stands in", strings.TrimSpace(r.Stderr))
		harness.Must(t, "mount", "-t", "tmpfs", "-o", "size="+megabytes+"M", "tmpfs", point)
	}
	t.Cleanup(func() {
		if r := harness.Run(t, "umount", point); r.Code != 0 {
			t.Logf("umount: %s", r.Stderr)
			harness.Run(t, "umount", "-l", point)
		}
	})
	dir := filepath.Join(point, "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// incompressible is a document of n bytes and some that don't get smaller.
func incompressible(n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return fmt.Sprintf(`{"noise": "%x"}`, b)
}

// fill takes what space there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size >= 512; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull fills a small file system: the save that finds no room fails,
// the old file stays, and saves work again when there is room.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, "96")
	m := harness.Start(t, harness.Options{Dir: dir})
	path := m.File("state.json")
	save(t, path, []byte(old))

	t.Run("too-big", func(t *testing.T) {
		r := runPython(t, `
import sys, errno
try:
    with open(sys.argv[1], "w") as f:
        f.write('["' + "x" * 200_000_000 + '"]')
except OSError as e:
    print(errno.errorcode[e.errno])
`, path)
		if got := strings.TrimSpace(r.Stdout); got != "ENOSPC" {
			t.Errorf("the save said %q, want ENOSPC\n%s", got, r.Stderr)
		}
		wantContent(t, path, old)
	})
	t.Run("no-room", func(t *testing.T) {
		filler := filepath.Join(filepath.Dir(dir), "filler")
		last, failed := old, false
		// Room that was promised before, or is given back late, may last for
		// some saves: what is free in between goes, too.
		for round := 0; round < 400 && !failed; round++ {
			fill(t, filler)
			next := incompressible(100_000)
			switch err := os.WriteFile(path, []byte(next), 0o644); {
			case errors.Is(err, syscall.ENOSPC):
				failed = true
			case err != nil:
				t.Fatalf("a save without room: %v, want ENOSPC", err)
			default:
				last = next
			}
		}
		if !failed {
			t.Error("400 saves of 100 KB found room on a full disk")
		}
		wantContent(t, path, last)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "a save works when there is room again", func() bool {
			return os.WriteFile(path, makeDocument(9999, 10), 0o644) == nil
		})
		wantContent(t, path, string(makeDocument(9999, 10)))
	})
	m.Unmount()
	wantContent(t, m.Backing("state.json"), string(makeDocument(9999, 10)))
	m.Verify()
}

// TestReadOnlyDirectory mounts what can't be written.
func TestReadOnlyDirectory(t *testing.T) {
	harness.NeedRoot(t)
	m := harness.New(t, harness.Options{Damaged: true})
	mustWrite(t, m.Backing("state.json"), old)
	harness.Must(t, "mount", "--bind", m.Dir, m.Dir)
	t.Cleanup(func() { harness.Run(t, "umount", m.Dir) })
	harness.Must(t, "mount", "-o", "remount,bind,ro", m.Dir)

	r := harness.Cmd{Args: m.Args()}.Run(t)
	wantRefused(t, r, exitMountRefused, "error: ", "read-only")
	wantContent(t, m.Backing("state.json"), old)
}
