package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Note is what a daemon leaves about its mount for those who look for the
// daemon. The mount could tell too, but a question that it has taken and does
// not answer can't be called back, not even by the end of who asked.
type Note struct {
	Socket string `json:"socket"`
	Dir    string `json:"dir"`   // beneath, absolute
	Mount  string `json:"mount"` // where the daemon mounted it
}

const noteEnd = ".mount"

// notePath is where the note of a mount is, by the minor number of its device.
// Its major number is 0, as for all file systems without a disk of their own.
func (r Runtime) notePath(minor int) string {
	return filepath.Join(r.Dir(), strconv.Itoa(minor)+noteEnd)
}

// Leave writes the note of a mount, after Listen, and takes away what earlier
// daemons left that had the same socket: they were killed. The caller holds the
// lock of the directory.
func (r Runtime) Leave(minor int, n Note) error {
	names, err := filepath.Glob(filepath.Join(r.Dir(), "*"+noteEnd))
	if err != nil {
		return fmt.Errorf("list the notes of mounts: %w", err)
	}
	for _, name := range names {
		if old, ok := readNote(name); ok && old.Socket == n.Socket {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove the note of a mount: %w", err)
			}
		}
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	// Whoever reads it finds all of it, or what was there before.
	half := r.notePath(minor) + ".new"
	if err := os.WriteFile(half, text, 0o600); err != nil {
		return fmt.Errorf("leave the note of a mount: %w", err)
	}
	if err := os.Rename(half, r.notePath(minor)); err != nil {
		return errors.Join(fmt.Errorf("leave the note of a mount: %w", err), os.Remove(half))
	}
	return nil
}

// Unleave takes a note away, if it is still there and the same.
func (r Runtime) Unleave(minor int, n Note) error {
	if now, ok := readNote(r.notePath(minor)); !ok || now != n {
		return nil
	}
	if err := os.Remove(r.notePath(minor)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the note of a mount: %w", err)
	}
	return nil
}

// Noted is the socket of the daemon that made a mount, "" if it left no note
// that this user may read. Nobody may listen there any more.
func (r Runtime) Noted(minor int, dir, mount string) string {
	n, ok := readNote(r.notePath(minor))
	if !ok || n.Dir != dir || n.Mount != mount {
		return "" // numbers are used again
	}
	return n.Socket
}

func readNote(name string) (Note, bool) {
	var n Note
	text, err := os.ReadFile(name)
	return n, err == nil && json.Unmarshal(text, &n) == nil && n.Socket != ""
}
