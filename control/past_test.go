package control

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intactfs/store"
)

// untar is the names and contents of an archive.
func untar(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 || h.Uid != os.Getuid() || h.ModTime.IsZero() {
			t.Errorf("%s has mode %o, owner %d, time %v", h.Name, h.Mode, h.Uid, h.ModTime)
		}
		files[h.Name] = string(content)
	}
}

func TestExportAndRestoreAt(t *testing.T) {
	v, c := service(t)
	ctx := context.Background()
	long := `["` + strings.Repeat("0123456789", 3*chunkSize/20) + `"]`
	commit(t, v.Store, "a.json", `{"n":1}`)
	commit(t, v.Store, "d/b.json", long)
	early := time.Now()
	second := commit(t, v.Store, "a.json", `{"n":2}`)

	var archive bytes.Buffer
	var done Exported
	steps := 0
	sink := Sink{
		Content: func(p []byte) error {
			if len(p) > chunkSize {
				t.Errorf("a chunk of %d bytes", len(p))
			}
			archive.Write(p)
			return nil
		},
		Progress: func(int64, int64) { steps++ },
	}
	if err := c.Call(ctx, OpExport, AtArgs{"", early}, &done, sink); err != nil {
		t.Fatal(err)
	}
	if files := untar(t, &archive); files["a.json"] != `{"n":1}` || files["d/b.json"] != long || done.Files != 2 || steps != 2 {
		t.Errorf("exported %+v in %d steps", done, steps)
	}
	if err := c.Call(ctx, OpExport, AtArgs{"", early}, nil, Sink{}); err != nil {
		t.Errorf("export to nowhere: %v", err)
	}
	err := c.Call(ctx, OpExport, AtArgs{"", early.Add(-time.Hour)}, nil, Sink{})
	if !errors.Is(err, store.ErrNoVersion) {
		t.Errorf("export of nothing: %v", err)
	}

	var changed []string
	v.Changed = func(path string) { changed = append(changed, path) }
	for _, dry := range []bool{true, false} {
		var all []RestoredPath
		if err := c.Call(ctx, OpRestoreAt, RestoreAtArgs{Time: early, Dry: dry}, &all, sink); err != nil {
			t.Fatal(err)
		}
		if len(all) != 2 || !all[0].Changed || all[1].Changed || (all[0].Version != "") != !dry || all[0].From == store.FormatTx(second) {
			t.Errorf("dry %v: %+v", dry, all)
		}
	}
	if len(changed) != 1 || changed[0] != "a.json" {
		t.Errorf("changed %q", changed)
	}
}

func TestExportNamesWhatIsDamaged(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	first, err := store.Open(dir, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, first, "a.json", `{"n":1}`)
	commit(t, first, "b.json", `{"n":2}`)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	pack := filepath.Join(dir.Name(), store.Dir, "history", "a.json.versions", "0001.zst")
	content, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-3] ^= 1
	if err := os.WriteFile(pack, content, 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := store.Open(dir, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	v := &Service{Store: second, Dir: dir.Name()}
	c := NewLocal(v.Handlers(), second.Close)
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	var archive bytes.Buffer
	var done Exported
	err = c.Call(context.Background(), OpExport, AtArgs{"", time.Now()}, &done,
		Sink{Content: func(p []byte) error { archive.Write(p); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if files := untar(t, &archive); len(files) != 1 || files["b.json"] == "" || done.Files != 1 {
		t.Errorf("exported %q, %+v", files, done)
	}
	if len(done.Failed) != 1 || done.Failed[0].Path != "a.json" || !errors.Is(done.Failed[0].Error, store.ErrDamaged) {
		t.Errorf("failed %+v", done.Failed)
	}
}
