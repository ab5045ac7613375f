package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRuntimeDirectory(t *testing.T) {
	for _, tt := range []struct {
		r    Runtime
		want string
	}{
		{Runtime{UID: 0, XDG: "/run/user/0"}, "/run/intact"},
		{Runtime{UID: 1000, XDG: "/run/user/1000"}, "/run/user/1000/intact"},
		{Runtime{UID: 1000}, "/tmp/intact-1000"},
	} {
		if got := tt.r.Dir(); got != tt.want {
			t.Errorf("%+v is %s, want %s", tt.r, got, tt.want)
		}
	}
	base := t.TempDir()
	r := Runtime{UID: os.Getuid() + 1, XDG: base}
	if err := r.prepareDir(); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("another user's directory: %v", err)
	}
	if os.Getuid() != 0 {
		open := Runtime{UID: os.Getuid(), XDG: t.TempDir()}
		if err := os.Mkdir(open.Dir(), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(open.Dir(), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := open.prepareDir(); err == nil || !strings.Contains(err.Error(), "open to other users") {
			t.Errorf("an open directory: %v", err)
		}
	}
	dir, err := os.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	one, err := r.Socket(dir)
	if err != nil || filepath.Dir(one) != r.Dir() || !strings.HasSuffix(one, ".sock") {
		t.Errorf("socket is %s, %v", one, err)
	}
}

// TestPlacesOfOthers refuses directories that another user could have made.
func TestPlacesOfOthers(t *testing.T) {
	base := t.TempDir()
	for _, tt := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"a-file", "is not a directory", func(p string) error { return os.WriteFile(p, nil, 0o600) }},
		{"a-link", "is not a directory", func(p string) error { return os.Symlink(base, p) }},
		{"open", "is open to other users", func(p string) error {
			return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o755))
		}},
		{"of-another", "belongs to user", func(p string) error { return os.Mkdir(p, 0o700) }},
		{"own", "", func(p string) error { return os.Mkdir(p, 0o700) }},
		{"missing", "", func(string) error { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Root has a directory of the machine: a user is played.
			r := Runtime{UID: 4711, XDG: filepath.Join(base, tt.name)}
			if os.Getuid() != 0 {
				r.UID = os.Getuid()
			}
			if err := errors.Join(os.Mkdir(r.XDG, 0o755), tt.make(r.Dir())); err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.name == "of-another" && os.Getuid() != 0:
				r.UID++
			case tt.name == "of-another":
			case os.Getuid() == 0:
				if err := os.Lchown(r.Dir(), r.UID, -1); err != nil && !errors.Is(err, unix.ENOENT) {
					t.Fatal(err)
				}
			}
			err := r.prepareDir()
			if tt.name == "missing" && os.Getuid() == 0 {
				tt.want = "belongs to user" // root made it, for a user who is not
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
