package differential

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"intactfs/integration/harness"
)

// linkNames are protected by two rules, and the last two by none.
var linkNames = []string{"a.json", "b.json", "s/a.json", "s/c.json", "t/a.json", "l.jsonl", "s/l.jsonl", "u", "s/u"}

// linkedRun is a mount and a native directory with files that have several names.
type linkedRun struct {
	t              reporter
	mount, native  string
	done           []string
	saves, skipped int
}

// TestHardLinksLikeNative saves files whole by any of their names, links, renames
// and removes them, beside kills of the daemon. Where all names are under one rule
// the mount has to do just what the native file system does: the same errors,
// contents, and names of the same files.
func TestHardLinksLikeNative(t *testing.T) {
	for _, delay := range []string{"1ms", "1h", "20ms"} {
		t.Run("published after "+delay, func(t *testing.T) {
			m := harness.Start(t, harness.Options{Flags: []string{"--idle-commit=1h", "--publish-delay=" + delay, "--log-file=" + filepath.Join(t.TempDir(), "log")}, Lifetime: lifetime()})
			native, runs, kills := t.TempDir(), 0, 0
			check(t, 4, number(t, 15, 150), func(t *rapid.T) {
				runs++
				name := fmt.Sprintf("run%05d", runs)
				r := &linkedRun{t: t, mount: m.File(name), native: filepath.Join(native, name)}
				for _, dir := range []string{r.mount, r.native} {
					if err := os.MkdirAll(filepath.Join(dir, "s"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				r.save("a.json", "[0]")
				r.both("link", "s/a.json", func(root string) error { return os.Link(root+"/a.json", root+"/s/a.json") })
				t.Repeat(map[string]func(*rapid.T){"": func(t *rapid.T) {
					if rapid.IntRange(0, 3).Draw(t, "look") == 0 { // what nobody looked up must be found too
						r.compare()
					}
				}, "operation": r.step, "kill": func(t *rapid.T) {
					if rapid.IntRange(0, 9).Draw(t, "kill") == 0 {
						r.done = append(r.done, "kill")
						kills++
						m.Kill()
						m.Start()
					}
				}})
				r.compare()
			})
			m.Unmount()
			m.Verify()
			t.Logf("%d sequences, %d kills", runs, kills)
		})
	}
}

func lifetime() time.Duration {
	if harness.Long() || os.Getenv(numberVar) != "" {
		return 12 * time.Hour
	}
	return 4 * time.Minute
}

// rule is what protects a name: its extension, none for others.
func rule(name string) string { return path.Ext(name) }

func (r *linkedRun) step(t *rapid.T) {
	r.t = t
	from, to := rapid.SampledFrom(linkNames).Draw(t, "name"), rapid.SampledFrom(linkNames).Draw(t, "other")
	switch rapid.SampledFrom([]string{"save", "save", "save", "append", "link", "link", "rename", "rename", "exchange", "unlink", "chmod", "dir"}).Draw(t, "kind") {
	case "save":
		r.save(from, "")
	case "append":
		if rule(from) == ".jsonl" {
			r.saves++
			r.both("append", from, func(root string) error { return r.write(root+"/"+from, fmt.Sprintf("%d\n", r.saves), os.O_APPEND) })
		}
	case "link":
		if rule(from) == rule(to) {
			r.both("link", from+" "+to, func(root string) error { return os.Link(root+"/"+from, root+"/"+to) })
		}
	case "rename":
		r.rename(from, to, 0)
	case "exchange":
		r.rename(from, to, unix.RENAME_EXCHANGE)
	case "unlink":
		r.both("unlink", from, func(root string) error { return unix.Unlink(root + "/" + from) })
	case "chmod":
		mode := []uint32{0o600, 0o644}[r.saves%2]
		r.both("chmod", from, func(root string) error { return unix.Chmod(root+"/"+from, mode) })
	case "dir":
		dirs := []string{"s", "t"}
		slices.SortFunc(dirs, func(a, b string) int { return len(from) - len(to) })
		r.both("rename", dirs[0]+" "+dirs[1], func(root string) error { return os.Rename(root+"/"+dirs[0], root+"/"+dirs[1]) })
	}
}

// rename leaves out what the mount does otherwise: a file that has several names
// and gets one that another rule protects, or none.
func (r *linkedRun) rename(from, to string, flags uint) {
	for _, p := range [][2]string{{from, to}, {to, from}} {
		var st unix.Stat_t
		if rule(p[0]) != rule(p[1]) && unix.Stat(r.native+"/"+p[0], &st) == nil && st.Nlink > 1 && (p[0] == from || flags != 0) {
			r.skipped++
			return
		}
	}
	r.both("rename", fmt.Sprint(from, " ", to, " ", flags), func(root string) error {
		return unix.Renameat2(unix.AT_FDCWD, root+"/"+from, unix.AT_FDCWD, root+"/"+to, flags)
	})
}

// save writes a document that both formats take.
func (r *linkedRun) save(name, content string) {
	r.saves++
	if content == "" {
		content = fmt.Sprintf("[%d,%q]\n", r.saves, strings.Repeat("x", r.saves*7919%40))
	}
	r.both("save", name, func(root string) error { return r.write(root+"/"+name, content, os.O_TRUNC) })
}

func (r *linkedRun) write(name, content string, flag int) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (r *linkedRun) both(what, of string, do func(root string) error) {
	r.t.Helper()
	r.done = append(r.done, what+" "+of)
	errno := func(err error) syscall.Errno {
		if err == nil {
			return 0
		}
		var n syscall.Errno
		if !errors.As(err, &n) {
			r.t.Fatalf("%v: %v", r.done, err)
		}
		return n
	}
	want := errno(do(r.native))
	if got := errno(do(r.mount)); got != want {
		r.t.Fatalf("got %v, want %v, after\n%s", got, want, strings.Join(r.done, "\n"))
	}
}

// compare looks at all names of both sides.
func (r *linkedRun) compare() {
	r.t.Helper()
	if got, want := r.look(r.mount), r.look(r.native); got != want {
		r.t.Fatalf("got\n%swant\n%safter\n%s", got, want, strings.Join(r.done, "\n"))
	}
}

// look tells of each name its content, mode, and the first name that is the same
// file. The number of links counts a name that was given to another file until that
// is published.
func (r *linkedRun) look(root string) string {
	var out strings.Builder
	first := map[uint64]string{}
	for _, name := range linkNames {
		var st unix.Stat_t
		if err := unix.Lstat(root+"/"+name, &st); err != nil {
			fmt.Fprintf(&out, "%s: %v\n", name, err)
			continue
		}
		if first[st.Ino] == "" {
			first[st.Ino] = name
		}
		content, err := os.ReadFile(root + "/" + name)
		fmt.Fprintf(&out, "%s: %q %v %o, is %s\n", name, content, err, st.Mode, first[st.Ino])
	}
	return strings.ReplaceAll(out.String(), root+"/", "")
}
