package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"intactfs/backup"
)

// A likeness is what a rename leaves of a file as it is, and what tells
// published versions apart: they have the time of their commit, to the
// nanosecond.
type likeness struct {
	size  int64
	mtime int64
}

func likenessOf(size int64, mtime time.Time) likeness { return likeness{size, mtime.UnixNano()} }

// strays are the protected files of the directory by their likeness.
type strays map[likeness][]string

// strays looks at all of the directory, without reading a file. What can't be
// looked at is left out.
func (s *Store) strays(ctx context.Context) (strays, error) {
	found := strays{}
	dirs := []string{""}
	for len(dirs) > 0 {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		names, err := s.disk.ReadDir(dir)
		if err != nil {
			s.log.Debug("look for files that were renamed", "dir", dir, "err", err)
		}
		for _, e := range names {
			path := e.Name
			if dir != "" {
				path = dir + "/" + e.Name
			}
			switch {
			case e.Type.IsDir() && path != Dir:
				dirs = append(dirs, path)
			case e.Type.IsRegular() && s.rule(path) != nil:
				if info, err := s.disk.Stat(path); err == nil && info.Mode.IsRegular() {
					like := likenessOf(info.Size, info.Mtime)
					found[like] = append(found[like], path)
				}
			}
		}
	}
	return found, nil
}

// follow gives the history of a path whose file is missing to the name that the
// file has now: a crash came between a rename and its entry in history, or
// somebody renamed it beneath. It tells whether there is such a name. A file
// that is what its own history has last is none.
func (s *Store) follow(ctx context.Context, path string, last backup.Entry, found strays) (bool, error) {
	like := likenessOf(last.Size, last.Attr.Mtime)
	for i, name := range found[like] {
		same, err := s.holds(name, last)
		if err != nil || !same {
			if err != nil {
				return false, err
			}
			continue
		}
		found[like] = append(found[like][:i:i], found[like][i+1:]...)
		if err := s.Moved(path, name); err != nil {
			return false, fmt.Errorf("follow to %s: %w", name, err)
		}
		// Where the name had a history of its own that may have newer versions.
		if _, err := s.adopt(ctx, name, false); err != nil {
			return true, fmt.Errorf("follow to %s: %w", name, err)
		}
		s.note(Event{Kind: Adopted, Path: name, Tx: last.Tx, Message: "has the versions of " + path + " now, which was renamed to it"})
		return true, nil
	}
	return false, nil
}

// holds tells whether the file at name, which is not what its own history has
// last, has the content of a version of another path.
func (s *Store) holds(name string, e backup.Entry) (bool, error) {
	if _, pending := s.journal.Pending(name); pending {
		return false, nil
	}
	own, known, err := s.history.Newest(name)
	if err != nil && !errors.Is(err, backup.ErrNotFound) {
		return false, fmt.Errorf("history of %s: %w", name, err)
	}
	f, info, err := s.openRegular(name)
	if f == nil || err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	if known && sameStat(own, info) {
		return false, nil
	}
	sum, err := digest(f, info.Size)
	return err == nil && sum == e.SHA256, err
}
