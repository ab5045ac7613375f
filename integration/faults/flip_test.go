package faults

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intactfs/integration/harness"
)

// TestFlippedBytes changes one byte of every file below .intact, at many
// offsets (the long form: at all of them up to a bound): nothing crashes, what
// is not what was saved is never passed off as it, and what was lost is told
// with the name of the file.
func TestFlippedBytes(t *testing.T) {
	r := newRig(t, "")
	r.configure("[quarantine]\nmax_files = 5\n")
	r.mustStart()
	for _, do := range []op{
		save("a.json", small), save("b.json", small), saveInvalid("a.json", "one", small), checkpoint, save("a.json", small),
		checkpoint, command("pin", "MNT/a.json@~1"), save("b.json", small), save("c.json", large),
	} {
		if err := do(r); err != nil {
			t.Fatal(err)
		}
	}
	r.kill()
	for _, name := range privateFiles(t, r.Dir) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []string
			harmless, lost := 0, 0
			for _, off := range offsets(t, filepath.Join(r.Dir, name)) {
				f := flip{name: name, off: off, dir: filepath.Join(t.TempDir(), "data")}
				text := f.check(t, r)
				if text == "" {
					harmless++
					continue
				}
				lost++
				told = append(told, text)
			}
			line := row{fault: "`" + generic(name) + "`", saw: "–",
				left: fmt.Sprintf("%d bytes tried: %d told of, %d without any effect", lost+harmless, lost, harmless)}
			if len(told) > 0 {
				line.told = told[len(told)/2]
			}
			table.add("A byte changed on the disk", line)
		})
	}
}

// generic leaves out of a name what differs from run to run.
func generic(name string) string {
	if strings.Contains(name, "/quarantine/") || strings.Contains(name, "/staging/") {
		return filepath.Dir(name) + "/*" + filepath.Ext(name)
	}
	return name
}

// privateFiles are the files below .intact whose bytes mean something.
func privateFiles(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(filepath.Join(dir, ".intact"), func(path string, e iofs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != "lock" && e.Name() != "log" {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// offsets are where a file is changed: all over its used part.
func offsets(t *testing.T, path string) []int64 {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(content)
	for end > 0 && content[end-1] == 0 {
		end--
	}
	stride := max(1, end/harness.Scale(9, 4096))
	var all []int64
	for off := 0; off < end; off += stride {
		all = append(all, int64(off))
	}
	if end > 0 {
		all = append(all, int64(end-1))
	}
	return all
}

// flip is one changed byte, in a copy of the directory.
type flip struct {
	name string
	off  int64
	dir  string
}

func (f flip) make(t *testing.T, from string) {
	t.Helper()
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	harness.Must(t, "cp", "-a", "--sparse=always", from, f.dir)
	file, err := os.OpenFile(filepath.Join(f.dir, f.name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = file.ReadAt(b, f.off)
	b[0] ^= 0x55
	if err == nil {
		_, err = file.WriteAt(b, f.off)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// check returns what a person is told; empty: nothing, and nothing is lost.
func (f flip) check(t *testing.T, r *rig) string {
	t.Helper()
	f.make(t, r.Dir)
	defer func() { _ = os.RemoveAll(f.dir) }()
	verified := harness.Run(t, harness.Binary(t), "verify", f.dir)
	recovered := harness.Run(t, harness.Binary(t), "recover", f.dir)
	at := fmt.Sprintf("byte %d of %s", f.off, f.name)
	for what, res := range map[string]harness.Result{"verify": verified, "recover": recovered} {
		if res.Code < 0 || res.Code == 2 || strings.Contains(res.Stderr, "goroutine ") {
			t.Errorf("%s: intact %s crashes: %s", at, what, res.Stderr)
		}
	}
	if err := r.checkPlain(f.dir); err != nil {
		t.Errorf("%s: %v", at, err)
	}
	if verified.Code == 0 && recovered.Code == 0 && strings.HasSuffix(f.name, ".seg") && r.checkSaved(f.dir) != nil {
		// The last record before a kill looks like a write that was not
		// finished: exactly that commit may be missing, and no other.
		if err := r.withoutLast().checkSaved(f.dir); err != nil {
			t.Errorf("%s: nothing was told, and %v", at, err)
		}
		return "nothing, in the last record before a kill: dropped like a write that was not finished"
	}
	if verified.Code == 0 && recovered.Code == 0 {
		for _, err := range []error{r.checkSaved(f.dir), r.checkHistory(f.dir)} {
			if err != nil {
				t.Errorf("%s: nothing was told, and %v", at, err)
			}
		}
		return ""
	}
	said := verified.Stdout + verified.Stderr + recovered.Stderr
	if code := verified.Code; code != exitDone && code != exitDamaged && code != exitInvalid && code != exitUsage && code != exitFailed {
		t.Errorf("%s: intact verify: exit %d\n%s", at, code, said)
	}
	if base := filepath.Base(f.name); !strings.Contains(said, base) {
		t.Errorf("%s: the file is not named:\n%s", at, said)
	}
	return fmt.Sprintf("`verify` exits with %d: %s", verified.Code, firstLine(strings.ReplaceAll(said, f.dir, "DIR")))
}

// TestFlippedBytesMounted mounts a directory with a changed byte in each kind
// of file: the mount is refused, or serves only what was saved.
func TestFlippedBytesMounted(t *testing.T) {
	for _, kind := range []string{".intact/FORMAT", ".intact/config.toml", ".intact/journal", ".intact/history", ".intact/staging"} {
		t.Run(filepath.Base(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			r.configure("[quarantine]\nmax_files = 5\n")
			r.mustStart()
			for _, do := range []op{save("a.json", small), save("a.json", small), checkpoint, save("a.json", small), save("c.json", large)} {
				if err := do(r); err != nil {
					t.Fatal(err)
				}
			}
			r.kill()
			for _, name := range privateFiles(t, r.Dir) {
				if strings.HasPrefix(name, kind) {
					f := flip{name: name, off: 0, dir: r.Dir}
					f.inPlace(t)
				}
			}
			if !r.start() {
				res := r.proc.Wait(t, 0)
				if res.Stderr == "" || strings.Contains(res.Stderr, "goroutine ") {
					t.Errorf("the mount is refused without a word, or by a crash:\n%s", res.Stderr)
				}
				return
			}
			for _, name := range []string{"a.json", "c.json"} {
				content, err := os.ReadFile(r.file(name))
				if err == nil {
					if err := (&ledger{tried: r.tried}).current(name, content); err != nil {
						t.Error(err)
					}
				}
			}
			r.stop()
			if err := r.checkPlain(r.Dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// inPlace changes the byte without a copy.
func (f flip) inPlace(t *testing.T) {
	t.Helper()
	path := filepath.Join(f.dir, f.name)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) == 0 {
		return
	}
	content[f.off] ^= 0x55
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
