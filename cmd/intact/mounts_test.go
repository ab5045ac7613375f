package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"intactfs/control"
	"intactfs/control/controltest"
)

func TestMountHelperArgs(t *testing.T) {
	tests := []struct {
		name, argv, want string
	}{
		{"plain", "intact mount d", ""},
		{"no-arguments", "intact", ""},
		{"one-path", "intact /d", ""},
		{"fuse3", "intact /d /m -o rw,noatime", "mount --option=noatime -- /d /m"},
		{"what-is-not-there", "intact nodir /m -o rw", "mount -- nodir /m"},
		{"a-command-with-an-option", "intact mount d -o ro", ""},
		{"flags-first", "intact -x d -o ro", ""},
		{"joined", "intact /d /m -orw,durability=relaxed", "mount --durability=relaxed -- /d /m"},
		{"by-name", "/sbin/mount.fuse.intact d m", "mount -- d m"},
		{"flags", "mount.intact d m -t fuse.intact -v -n -s -o defaults,nofail,x-systemd.automount,idle_commit=1s,verbose",
			"mount --verbose --idle-commit=1s --verbose -- d m"},
		{"fake", "mount.fuse.intact d m -f -o ro", "mount --fake --option=ro -- d m"},
		{"flags-in-one", "mount.fuse.intact d m -sfnv -orw", "mount --verbose --fake -- d m"},
		{"no-flags", "mount.fuse.intact d m -fx", "mount -- d m -fx"},
		{"a-dash", "mount.fuse.intact - m", "mount -- - m"},
		{"rule", "mount.intact d m -o rule=*.cfg=ini,ro", "mount --rule=*.cfg=ini --option=ro -- d m"},
		{"underscores", "mount.intact d m -o on-conflict=refuse,publish_delay=5s,log_file=/var/log/x",
			"mount --on-conflict=refuse --publish-delay=5s --log-file=/var/log/x -- d m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := mountHelperArgs(strings.Fields(tt.argv), func(name string) bool { return name == "mount" })
			if ok != (tt.want != "") || strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

// TestEveryOwnOptionIsAFlag: what mount(8) is given reaches a flag that exists,
// and every flag can be given so.
func TestEveryOwnOptionIsAFlag(t *testing.T) {
	c := newApp().mountCommand()
	named := map[string]bool{"foreground": true, "option": true, "ready-fd": true, "fake": true, "help": true}
	for option, flag := range ownOptions {
		if c.Flags().Lookup(flag) == nil {
			t.Errorf("the option %s is the flag --%s, which is none", option, flag)
		}
		named[flag] = true
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !named[f.Name] {
			t.Errorf("no mount option is the flag --%s", f.Name)
		}
	})
}

func TestMountOf(t *testing.T) {
	mounts := []mounted{{point: "/a"}, {point: "/a/b/c"}, {point: "/x"}, {point: "/x", id: 2}}
	for path, want := range map[string]string{
		"/a": "/a", "/a/b": "/a", "/a/b/c": "/a/b/c", "/a/b/c/d": "/a/b/c", "/ab": "", "/": "", "/x/y": "/x",
	} {
		m, ok := mountOf(mounts, path)
		if ok != (want != "") || m.point != want {
			t.Errorf("%s is in %q, want %q", path, m.point, want)
		}
	}
	if m, _ := mountOf(mounts, "/x"); m.id != 2 {
		t.Errorf("not the mount on top: %+v", m)
	}
	if !within("/", "/a") || !within("/a", "/a") || within("/a", "/ab") {
		t.Error("within is wrong")
	}
}

func TestScanHolders(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("12/comm", "writer\n")
	write("12/fdinfo/3", "pos:\t0\nflags:\t02\nmnt_id:\t77\nino:\t5\n")
	write("13/comm", "other\n")
	write("13/fdinfo/3", "mnt_id:\t7\n")
	write("14/comm", "shell\n")
	if err := os.Symlink("/mnt/sub", filepath.Join(proc, "14", "cwd")); err != nil {
		t.Fatal(err)
	}
	write("self/comm", "self\n")
	got := describe(scanHolders(proc, mounted{point: "/mnt", id: 77}))
	if want := "writer (process 12) has files open, shell (process 14) works in it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	many := make([]holder, 8)
	if got := describe(many); !strings.HasSuffix(got, "and 3 more") {
		t.Errorf("many are %q", got)
	}
}

// TestAskWithoutTheMount: what a daemon left beside its socket is enough, as long
// as somebody listens; then the mount is asked.
func TestAskWithoutTheMount(t *testing.T) {
	dir, socket := lookedAfter(t)
	m := mounted{dir: dir, point: dir, minor: 1<<30 + os.Getpid()} // no device's
	r, note := control.RuntimeOfProcess(), control.Note{Socket: socket, Dir: dir, Mount: dir}
	ask := func() (string, error) { return m.ask(context.Background(), time.Minute) }
	if got, err := ask(); err == nil {
		t.Errorf("a directory that is no mount told %s", got)
	}
	if err := r.Leave(m.minor, note); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Unleave(m.minor, note) }()
	controltest.Stale(t, socket)
	if got, err := ask(); err == nil {
		t.Errorf("the note of a daemon that is gone told %s", got)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	controltest.Peer(t, socket, controltest.Silence)
	if got, err := ask(); err != nil || got != socket {
		t.Errorf("got %s, %v, want %s", got, err, socket)
	}
	a := newApp()
	a.silent = 50 * time.Millisecond
	if a.dead(m) {
		t.Error("somebody listens, and it is called dead")
	}
	if m.point = dir + "/elsewhere"; m.noted() != "" {
		t.Error("the note of another mount was taken")
	}
}
