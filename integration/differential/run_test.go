package differential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"intactfs/backup"
	"intactfs/control"
	"intactfs/store"
)

// op is one step of a sequence. Fields that a kind does not use are empty.
type op struct {
	Kind string
	W    int    `json:",omitempty"` // which worker, or which holder of a handle
	S    int    `json:",omitempty"` // which of the open handles
	S2   int    `json:",omitempty"`
	Name string `json:",omitempty"`
	To   string `json:",omitempty"`
	How  string `json:",omitempty"`
	Data string `json:",omitempty"`
	Off  int64  `json:",omitempty"`
	Len  int64  `json:",omitempty"`
}

// reporter is *testing.T or *rapid.T.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// run is one sequence in progress, in a directory of its own on either side.
type run struct {
	t      reporter
	e      *env
	m      *model
	ops    []op
	mount  string // directory in the mount
	native string
	below  string // the directory's path below the mount
	same   bool   // protected names have to be as they are natively, too

	workers  [3]*process
	children []*process
	handles  []*handle
	opened   int
	placed   map[string]bool // names in the native directory that stand for protected ones
	trace    []string
	checks   map[string]int // names of refused contents that were looked for
}

// link is a symbolic link to a protected name, in every directory of a run.
const link, linked = "ln", "a.json"

func (r *run) fail(format string, args ...any) {
	r.t.Helper()
	lines, _ := json.Marshal(r.ops)
	sequence := fmt.Sprintf("the sequence:\n%s\nto run it again, INTACT_REPLAY=FILE with this in it:\n{\"Same\":%v,\"Ops\":%s}",
		strings.Join(r.trace, "\n"), r.same, lines)
	r.t.Logf("%s", sequence)
	if !r.e.failed { // in case it does not fail again
		r.e.t.Logf("the first failure: "+format+"\n%s", append(args, sequence)...)
	}
	r.e.failed, r.e.dirty = true, true
	r.t.Fatalf(format, args...)
}

// note adds to what a person reads of the sequence.
func (r *run) note(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf("%3d  ", len(r.trace)+1)+fmt.Sprintf(format, args...))
}

func (r *run) got(a answer) { r.trace[len(r.trace)-1] += " = " + a.String() }

// String tells an answer in a line.
func (a answer) String() string {
	switch {
	case a.Errno != 0:
		return unix.ErrnoName(a.Errno)
	case a.Names != nil:
		return strings.Join(a.Names, " ")
	case a.Data != nil:
		return fmt.Sprintf("%q", a.Data)
	case a.Mode != 0:
		return fmt.Sprintf("size %d mode %o", a.N, a.Mode)
	}
	return fmt.Sprint(a.N)
}

func (r *run) do(p *process, c call) answer {
	r.t.Helper()
	a, err := p.do(c)
	if err != nil {
		r.fail("%s: %v", c.Call, err)
	}
	return a
}

// side makes a call's paths ones of a side.
func side(c call, dir string) call {
	if c.Path != "" {
		c.Path = filepath.Join(dir, c.Path)
	}
	if c.Path2 != "" {
		c.Path2 = filepath.Join(dir, c.Path2)
	}
	return c
}

// both makes a call on either side and demands the same answer, which is
// returned for the mount and the native side. f and f2 are the descriptors.
func (r *run) both(p *process, c call, f, f2 descriptor) (answer, answer) {
	r.t.Helper()
	a := r.mounted(p, c, f, f2)
	n := side(c, r.native)
	n.FD, n.FD2 = f.native, f2.native
	b := r.do(p, n)
	x, y := a, b
	x.Ino, y.Ino = 0, 0
	if c.Call == "open" || c.Call == "dup" {
		x.N, y.N = 0, 0
	}
	if !x.equal(y) {
		r.fail("%s: %v in the mount, %v natively", c.Call, a, b)
	}
	return a, b
}

func (a answer) equal(b answer) bool {
	return a.Errno == b.Errno && a.N == b.N && string(a.Data) == string(b.Data) && a.Mode == b.Mode && slices.Equal(a.Names, b.Names)
}

func (r *run) mounted(p *process, c call, f, f2 descriptor) answer {
	r.t.Helper()
	r.e.ops++
	r.e.seen[c.Call]++
	c = side(c, r.mount)
	c.FD, c.FD2 = f.mount, f2.mount
	a := r.do(p, c)
	if a.Errno != 0 {
		r.e.seen[c.Call+" "+unix.ErrnoName(a.Errno)]++
	}
	r.got(a)
	return a
}

// guarded makes a call on a protected name. Where the native side has to be
// the same it is made there, too.
func (r *run) guarded(p *process, c call, f, f2 descriptor) (answer, answer) {
	r.t.Helper()
	if r.same {
		return r.both(p, c, f, f2)
	}
	return r.mounted(p, c, f, f2), answer{}
}

// want demands an errno.
func (r *run) want(a answer, errno syscall.Errno) bool {
	r.t.Helper()
	if a.Errno != errno {
		want := "success"
		if errno != 0 {
			want = unix.ErrnoName(errno)
		}
		r.fail("got %v, want %s", a, want)
	}
	return errno == 0
}

// settle waits until the daemon has answered everything, releases included.
func (r *run) settle() {
	r.t.Helper()
	if err := r.e.settle(); err != nil {
		r.fail("wait for the daemon: %v", err)
	}
}

// place lets the native directory have a file for each protected name that is
// taken, so that calls on directories end as they have to.
func (r *run) place() {
	r.t.Helper()
	if r.same {
		return
	}
	for name := range r.placed {
		if d := r.m.docs[name]; d == nil || !d.taken() {
			if err := os.Remove(filepath.Join(r.native, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				r.fail("native side: %v", err)
			}
			delete(r.placed, name)
		}
	}
	for name, d := range r.m.docs {
		if d.taken() && !r.placed[name] {
			r.mirror(name, nil, 0o644, "")
			r.placed[name] = true
		}
	}
}

// mirror gives the native directory a file, in place of what has the name.
func (r *run) mirror(name string, content []byte, mode uint32, color string) {
	r.t.Helper()
	temp := r.native + ".temp"
	err := os.WriteFile(temp, content, 0o600)
	if err == nil && color != "" {
		err = unix.Setxattr(temp, "user.color", []byte(color), 0)
	}
	if err = errors.Join(err, os.Chmod(temp, iofs.FileMode(mode))); err == nil {
		err = os.Rename(temp, filepath.Join(r.native, name))
	}
	if err != nil {
		r.fail("native side: %v", err)
	}
}

// plain is what a name that is not protected has, which the native side tells.
type plain struct {
	ok      bool
	content []byte
	mode    uint32
	color   string
	ino     uint64
	links   uint64
}

func (r *run) plain(name string) plain {
	var st unix.Stat_t
	file := filepath.Join(r.native, name)
	if unix.Lstat(file, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return plain{}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return plain{}
	}
	color := make([]byte, 64)
	n, _ := unix.Getxattr(file, "user.color", color)
	return plain{true, content, st.Mode & 07777, string(color[:max(n, 0)]), st.Ino, st.Nlink}
}

// dirThere tells whether the directory of a name is there.
func (r *run) dirThere(name string) bool {
	st, err := os.Stat(filepath.Dir(filepath.Join(r.native, name)))
	return err == nil && st.IsDir()
}

// busy tells whether anybody has the file open.
func (r *run) busy(ino uint64) bool {
	return slices.ContainsFunc(r.handles, func(h *handle) bool { return h.doc == nil && h.ino == ino })
}

// released ends a handle whose last descriptor is gone.
func (r *run) released(h *handle) {
	r.t.Helper()
	if len(h.fds) > 0 {
		return
	}
	r.settle()
	r.handles = slices.DeleteFunc(r.handles, func(o *handle) bool { return o == h })
	if h.doc != nil {
		r.m.release(h)
		r.place()
	}
	r.checkRejected()
}

// checkRejected demands that quarantine has what was refused.
func (r *run) checkRejected() {
	r.t.Helper()
	for name, contents := range r.m.rejected {
		if r.checks[name] == len(contents) {
			continue
		}
		r.checks[name] = len(contents)
		var have []backup.Rejected
		err := r.e.client.Call(context.Background(), control.OpRejected,
			control.PathArgs{Path: path.Join(r.below, name)}, &have, control.Sink{})
		if err != nil {
			r.fail("ask for what was refused: %v", err)
		}
		for _, content := range contents {
			if len(content) == 0 {
				continue // there is nothing to keep
			}
			sum := sha256.Sum256([]byte(content))
			if !slices.ContainsFunc(have, func(k backup.Rejected) bool { return k.SHA256 == sum }) {
				r.fail("quarantine of %s lacks %q", name, content)
			}
		}
	}
}

// finish closes everything and looks at what stands then.
func (r *run) finish() {
	r.t.Helper()
	for len(r.handles) > 0 {
		h := r.handles[0]
		f := h.fds[0]
		if f.p.cmd == nil {
			r.endChild(f.p, 0)
			continue
		}
		r.closeOne(h, f)
	}
	for _, c := range r.children {
		r.endChild(c, 0)
	}
	for dir := range map[string]bool{".": true, "s": true, "t": true} {
		r.note("end readdir %s", dir)
		r.readdir(r.workers[0], dir)
	}
	if err := r.e.client.Call(context.Background(), control.OpCheckpoint, nil, nil, control.Sink{}); err != nil {
		r.fail("checkpoint: %v", err)
	}
	for name, d := range r.m.docs {
		r.standing(name, d)
	}
	for name, contents := range r.m.commits {
		r.kept(name, contents)
	}
}

// standing demands that a version stands: seen through the mount, and beneath.
func (r *run) standing(name string, d *doc) {
	r.t.Helper()
	p := r.workers[1]
	r.note("end read %s", name)
	a, b := r.guarded(p, call{Call: "open", Path: name, Flags: unix.O_RDONLY}, none, none)
	if !r.want(a, 0) {
		return
	}
	f := descriptor{p, int(a.N), int(b.N)}
	a, _ = r.guarded(p, call{Call: "pread", Len: 4096}, f, none)
	r.guarded(p, call{Call: "close"}, f, none)
	if string(a.Data) != string(d.head) {
		r.fail("%s reads as %q, want %q", name, a.Data, d.head)
	}
	if r.same {
		if b := r.plain(name); string(b.content) != string(d.head) || b.mode != d.mode {
			r.fail("%s is %q %o natively, %q %o in the mount", name, b.content, b.mode, d.head, d.mode)
		}
	}
	beneath, err := os.ReadFile(filepath.Join(r.e.dir, r.below, name))
	switch {
	case d.id == 0 && errors.Is(err, os.ErrNotExist):
	case err != nil:
		r.fail("beneath: %v", err)
	case string(beneath) != string(d.head):
		r.fail("%s is %q beneath, want %q", name, beneath, d.head)
	}
}

// kept demands that history has all that was committed.
func (r *run) kept(name string, contents []string) {
	r.t.Helper()
	var log []store.Entry
	err := r.e.client.Call(context.Background(), control.OpLog,
		control.PathArgs{Path: path.Join(r.below, name)}, &log, control.Sink{})
	if err != nil {
		r.fail("log of %s: %v", name, err)
	}
	have := map[string]bool{}
	for _, e := range log {
		have[e.SHA256] = have[e.SHA256] || !e.Removed
	}
	has := func(content string) bool {
		sum := sha256.Sum256([]byte(content))
		return have[hex.EncodeToString(sum[:])]
	}
	for _, content := range contents {
		// Of a run of appends history has the last, which begins with all others.
		if !has(content) && !(linesName(name) && slices.ContainsFunc(contents, func(later string) bool {
			return strings.HasPrefix(later, content) && has(later)
		})) {
			r.fail("history of %s lacks %q among %d versions", name, content, len(log))
		}
	}
}
