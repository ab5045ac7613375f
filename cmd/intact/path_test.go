package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// links is a directory with links in it, by its real name.
func links(t *testing.T) string {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(base, "real", "sub", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"link": "real", "abs": filepath.Join(base, "link"), "chain": "abs/sub/", "up": "link/sub/deep/..",
		"out": "link/sub/../..", "dangling": "no/such", "loop": "loop", "into": "mnt/sub", "real/above": "..",
	} {
		if err := os.Symlink(target, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

// TestResolve follows links as far as a path exists, and never into a mount.
func TestResolve(t *testing.T) {
	base := links(t)
	mounts := []mounted{{point: filepath.Join(base, "mnt")}, {point: filepath.Join(base, "real", "sub", "deep")}}
	for path, want := range map[string]string{
		"real": "real", "link": "real", "link/sub": "real/sub", "link/no/file": "real/no/file",
		"no/such": "no/such", "no/such/../x": "no/x", "real/": "real",
		"abs": "real", "chain/x": "real/sub/x", "out": "", "dangling": "no/such", "dangling/x": "no/such/x",
		"loop": "loop", "loop/x": "loop/x", "real/above/link": "real",
		"mnt/link": "mnt/link", "into": "mnt/sub", "into/link": "mnt/sub/link", "mntx": "mntx",
		// The end of this link is reached through a mount, where nobody looks.
		"link/sub/deep/x": "real/sub/deep/x", "up": "real/sub", "up/x": "real/sub/x",
	} {
		if got := resolve(base+"/"+path, mounts); got != filepath.Join(base, want) {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// TestResolveAsTheKernel: where everything is there and nothing is mounted, it
// is what the kernel finds.
func TestResolveAsTheKernel(t *testing.T) {
	base := links(t)
	for _, path := range []string{"real", "link", "abs", "chain", "up", "out", "real/above", "link/above/chain/deep", "."} {
		want, err := filepath.EvalSymlinks(base + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := resolve(base+"/"+path, nil); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestAbsolute(t *testing.T) {
	base := links(t)
	t.Chdir(filepath.Join(base, "link"))
	for path, want := range map[string]string{
		".": "real", "sub": "real/sub", "../abs/sub": "real/sub", "..": "", base + "/link/./sub//x": "real/sub/x",
	} {
		if got, _, err := absolute(path); err != nil || got != filepath.Join(base, want) {
			t.Errorf("%s is %s, %v, want %s", path, got, err, want)
		}
	}
	if err := os.Remove(filepath.Join(base, "real", "sub", "deep")); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(base, "gone")
	if err := os.Mkdir(gone, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if got, _, err := absolute("x"); err == nil || !strings.Contains(err.Error(), "getcwd") {
		t.Errorf("in a directory that was removed it is %s, %v", got, err)
	}
	if got, _, err := absolute(base); err != nil || got != base {
		t.Errorf("an absolute path there is %s, %v", got, err)
	}
}
