package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// unpackers is how many files are written at once.
	unpackers = 4
	// unpackAhead is the largest file, in bytes, that is read before it is
	// written.
	unpackAhead = 1 << 20
)

// unpacking writes the files of an archive below a directory.
type unpacking struct {
	dir  string
	dirs map[string]bool // that are there

	slots chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	err   error // guarded by mu: the first
}

// unpack writes the regular files of a tar archive below dir, each whole or
// not at all. As root it gives them their owners.
func unpack(archive io.Reader, dir string) error {
	u := unpacking{dir: dir, dirs: map[string]bool{}, slots: make(chan struct{}, unpackers)}
	err := u.run(tar.NewReader(archive))
	u.wg.Wait()
	return errors.Join(err, u.err)
}

func (u *unpacking) run(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) || h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%q does not belong into an export", h.Name)
		}
		to := filepath.Join(u.dir, filepath.FromSlash(h.Name))
		if err := u.mkdir(filepath.Dir(to)); err != nil {
			return err
		}
		if err := u.file(archive, h, to); err != nil {
			return err
		}
	}
}

func (u *unpacking) mkdir(dir string) error {
	if u.dirs[dir] {
		return nil
	}
	u.dirs[dir] = true
	return os.MkdirAll(dir, 0o755)
}

// file writes the file that the archive is at: a small one while the next is
// read. It returns an error of any.
func (u *unpacking) file(archive io.Reader, h *tar.Header, to string) error {
	a := attributes{os.FileMode(h.Mode & 0o777), h.Uid, h.Gid, h.ModTime}
	if h.Size > unpackAhead {
		return writeWhole(to, a, func(w io.Writer) error { return copyAll(w, archive) })
	}
	content := make([]byte, h.Size)
	if _, err := io.ReadFull(archive, content); err != nil {
		return err
	}
	u.slots <- struct{}{}
	u.wg.Go(func() {
		defer func() { <-u.slots }()
		err := writeWhole(to, a, func(w io.Writer) error { return copyAll(w, bytes.NewReader(content)) })
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.err == nil {
			u.err = err
		}
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func copyAll(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}

// attributes are those of a version that a copy of it gets.
type attributes struct {
	mode     os.FileMode
	uid, gid int
	mtime    time.Time
}

// writeWhole writes a file that is whole or not there. Its owner is that of
// the version if that is root's to decide.
func writeWhole(to string, a attributes, write func(io.Writer) error) error {
	temp, err := os.CreateTemp(filepath.Dir(to), ".intact-*") // short: names may be as long as they can be
	if err != nil {
		return err
	}
	err = write(temp)
	if err == nil && os.Geteuid() == 0 && (a.uid != 0 || a.gid != os.Getegid()) {
		err = temp.Chown(a.uid, a.gid)
	}
	if err == nil {
		err = temp.Chmod(a.mode)
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Chtimes(temp.Name(), a.mtime, a.mtime)
	}
	if err == nil {
		err = os.Rename(temp.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}
