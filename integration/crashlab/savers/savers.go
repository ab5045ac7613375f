// Package savers saves files in the ways that programs do, good and bad, and
// drives a workload of such saves that records in a log when each was
// started and acknowledged.
package savers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"intactfs/integration/crashlab/ledger"
)

// Synced are the ways that end with a fsync of what was saved, and of its name
// where that is new: natively, what they saved is durable.
var Synced = map[string]bool{"atomic": true, "atomic-held": true, "fsync": true, "append-fsync": true}

// Step is called between the system calls of a save, for the laboratory to
// force what was done so far out to the disk.
type Step func()

// Way is one way to save a file: it brings version n of the file to dir and
// returns nil when a program would tell its user that it is saved.
type Way func(dir, name string, n int, step Step) error

// Ways are the ways to save, by name. On a bare file system only "atomic"
// survives every crash, where data=writeback is not set, and "atomic-held"
// everywhere; the others are what the product is for, or, as
// controls, what the laboratory must catch.
var Ways = map[string]Way{
	"atomic":        recipe{sync: true, syncDir: true}.save,
	"atomic-held":   recipe{sync: true, syncDir: true, hold: true}.save,
	"rename":        recipe{}.save,
	"rename-fsync":  recipe{sync: true}.save,
	"rename-dir":    recipe{syncDir: true}.save,
	"unlink-rename": recipe{unlink: true, syncDir: true}.save,
	"truncate":      truncate,
	"overwrite":     overwrite,
	"fsync":         truncateFsync,
	"append":        appendLine,
	"append-fsync":  appendFsync,
}

// chunk is how much a save writes with one call, in bytes.
const chunk = 32 << 10

// write writes a content in pieces, as buffered programs do.
func write(f *os.File, content []byte, step Step) error {
	for len(content) > 0 {
		n := min(chunk, len(content))
		if _, err := f.Write(content[:n]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		content = content[n:]
		step()
	}
	return nil
}

// recipe is a temporary file renamed over the old one, with or without the
// steps that make it safe.
type recipe struct {
	sync    bool // fsync the temporary file first
	unlink  bool // remove the old file first
	syncDir bool // fsync the directory last
	hold    bool // keep the old file open until then, so that its blocks are not freed
}

func (r recipe) save(dir, name string, n int, step Step) error {
	path := filepath.Join(dir, name)
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	step()
	err = write(f, ledger.Content(name, n), step)
	if err == nil && r.sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	step()
	if r.unlink {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("unlink: %w", err)
		}
		step()
	}
	if r.hold {
		old, err := os.Open(path)
		if err == nil {
			defer func() { _ = old.Close() }() // only held
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if !r.syncDir {
		return nil
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// truncate empties the file at open and fills it: what most programs do.
func truncate(dir, name string, n int, step Step) error {
	return inPlace(dir, name, n, os.O_TRUNC, step, false)
}

// truncateFsync makes the new content durable before it closes.
func truncateFsync(dir, name string, n int, step Step) error {
	return inPlace(dir, name, n, os.O_TRUNC, step, true)
}

// overwrite opens for update, writes over the old content and cuts the rest.
func overwrite(dir, name string, n int, step Step) error {
	return inPlace(dir, name, n, 0, step, false)
}

func inPlace(dir, name string, n, flag int, step Step, sync bool) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|flag, 0o644)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	step()
	content := ledger.Content(name, n)
	err = write(f, content, step)
	if err == nil && flag&os.O_TRUNC == 0 {
		err = f.Truncate(int64(len(content)))
	}
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// appendLine adds the n-th line to a JSON Lines file of n-1.
func appendLine(dir, name string, n int, _ Step) error {
	return addLine(dir, name, n, false)
}

func appendFsync(dir, name string, n int, _ Step) error {
	return addLine(dir, name, n, true)
}

func addLine(dir, name string, n int, sync bool) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	_, err = f.Write(ledger.Line(name, n))
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
