package control

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// place is where this process may leave notes.
func place(t *testing.T) Runtime {
	t.Helper()
	// Not the system's: the directory of root's is fixed.
	r := Runtime{UID: 1, XDG: filepath.Dir(socketPath(t))}
	if err := os.Mkdir(r.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNotes(t *testing.T) {
	r := place(t)
	a := Note{Socket: "/run/a.sock", Dir: "/a", Mount: "/mnt/a"}
	b := Note{Socket: "/run/b.sock", Dir: "/b", Mount: "/b"}
	for minor, n := range map[int]Note{41: a, 42: b} {
		if err := r.Leave(minor, n); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name       string
		minor      int
		dir, mount string
		want       string
	}{
		{"there", 41, "/a", "/mnt/a", a.Socket},
		{"another", 42, "/b", "/b", b.Socket},
		{"none", 43, "/a", "/mnt/a", ""},
		{"of-another-mount", 41, "/b", "/b", ""},
		{"elsewhere", 41, "/a", "/a", ""},
		{"of-another-directory", 41, "/c", "/mnt/a", ""},
	} {
		if got := r.Noted(tt.minor, tt.dir, tt.mount); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if st, err := os.Stat(r.notePath(41)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the note is %v, %v", st, err)
	}
	if err := r.Unleave(42, a); err != nil || r.Noted(42, "/b", "/b") == "" {
		t.Errorf("another's note was taken away: %v", err)
	}
	for range 2 { // it may be gone already
		if err := r.Unleave(42, b); err != nil || r.Noted(42, "/b", "/b") != "" {
			t.Errorf("the note stays: %v", err)
		}
	}
}

// TestNoteOfTheKilled: whoever listens on a socket now did not make the mount
// that an earlier daemon with the same socket left.
func TestNoteOfTheKilled(t *testing.T) {
	r := place(t)
	killed := Note{Socket: "/run/a.sock", Dir: "/a", Mount: "/mnt/a"}
	now := Note{Socket: "/run/a.sock", Dir: "/a", Mount: "/mnt/b"}
	other := Note{Socket: "/run/b.sock", Dir: "/b", Mount: "/b"}
	for _, step := range []struct {
		minor int
		note  Note
	}{{41, killed}, {42, other}, {43, now}} {
		if err := r.Leave(step.minor, step.note); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.Noted(41, "/a", "/mnt/a"); got != "" {
		t.Errorf("the mount of the killed daemon leads to %s", got)
	}
	if r.Noted(42, "/b", "/b") != other.Socket || r.Noted(43, "/a", "/mnt/b") != now.Socket {
		t.Error("the note of one that lives is gone")
	}
}

// TestNoteThatCannotBeRead is as good as none, and in nobody's way.
func TestNoteThatCannotBeRead(t *testing.T) {
	r := place(t)
	for _, text := range []string{"", "{", `{"dir":"/a","mount":"/a"}`, "[]"} {
		if err := os.WriteFile(r.notePath(41), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := r.Noted(41, "/a", "/a"); got != "" {
			t.Errorf("%q leads to %s", text, got)
		}
		if err := r.Leave(42, Note{Socket: "/s", Dir: "/a", Mount: "/a"}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	nowhere := Runtime{UID: 1, XDG: filepath.Join(r.XDG, "no")}
	if err := nowhere.Leave(41, Note{Socket: "/s"}); err == nil {
		t.Error("a note was left in a directory that is not there")
	}
	if got := nowhere.Noted(41, "/a", "/a"); got != "" {
		t.Errorf("it leads to %s", got)
	}
}

// TestNotesBesideSockets: a note takes no socket's place.
func TestNotesBesideSockets(t *testing.T) {
	own := RuntimeOfProcess()
	if own.UID != 0 {
		own.XDG = filepath.Dir(socketPath(t))
	}
	path := socketPath(t)
	s, err := Listen(own, path, testHandlers(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const minor = 1 << 30 // no device's
	n := Note{Socket: path, Dir: t.TempDir(), Mount: "/m"}
	if err := own.Leave(minor, n); err != nil {
		t.Fatal(err)
	}
	got := own.Noted(minor, n.Dir, n.Mount)
	if err := own.Unleave(minor, n); err != nil || got != path {
		t.Errorf("got %s, %v, want %s", got, err, path)
	}
	dial(t, path)
	if !Listening(path) {
		t.Error("nobody listens")
	}
	if err := s.Close(); err != nil || Listening(path) {
		t.Errorf("somebody listens after the close: %v", err)
	}
}
