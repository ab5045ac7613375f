package store

import (
	"context"
	"errors"
	"path"
	"slices"
	"syscall"

	"intactfs/fs"
	"intactfs/journal/disk"
)

// Links implements fs.Store. Names in directories that can't be read are left
// out, and so are those that something else is pending for.
func (s *Store) Links(ctx context.Context, name string, known []string) (links []string, all bool, err error) {
	of, left, err := s.others(name, known)
	if err != nil || left <= 0 {
		return nil, true, s.errno(err)
	}
	rule := s.rule(name)
	if rule == nil {
		return nil, false, nil
	}
	dirs := []string{"."}
	for len(dirs) > 0 && left > 0 {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		entries, err := s.disk.ReadDir(dir)
		if missing(err) || errors.Is(err, syscall.EACCES) {
			continue
		}
		if err != nil {
			return nil, false, s.errno(err)
		}
		for _, e := range entries {
			at := path.Join(dir, e.Name)
			switch {
			case at == Dir, slices.Contains(known, at):
			case e.Type.IsDir():
				dirs = append(dirs, at)
			case e.Type.IsRegular() && s.rule(at) == rule && s.same(at, of):
				left--
				if _, pending := s.journal.Pending(at); !pending {
					links = append(links, at)
				}
			}
		}
	}
	return links, left <= 0, nil
}

// others is a file and how many names it has beside those that are known and such
// below the store's own directory: what is published from a stage keeps the name
// of that for a moment.
func (s *Store) others(name string, known []string) (disk.Info, int, error) {
	for {
		of, err := s.disk.Stat(name)
		if missing(err) {
			return of, 0, nil
		}
		if err != nil || of.Nlink <= uint64(len(known)) {
			return of, 0, err
		}
		own, err := s.stagesOf(of)
		if err != nil {
			return of, 0, err
		}
		now, err := s.disk.Stat(name)
		if err == nil && now.Ino == of.Ino && now.Nlink == of.Nlink {
			return of, int(of.Nlink) - len(known) - own, nil
		}
	}
}

// stagesOf counts the names that a file has in the staging directory.
func (s *Store) stagesOf(of disk.Info) (int, error) {
	const staging = Dir + "/staging"
	entries, err := s.disk.ReadDir(staging)
	if err != nil && !missing(err) {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		if s.same(staging+"/"+e.Name, of) {
			n++
		}
	}
	return n, nil
}

func (s *Store) same(name string, of disk.Info) bool {
	info, err := s.disk.Stat(name)
	return err == nil && info.Ino == of.Ino && info.Dev == of.Dev
}

// joined makes a commit by one name of a file, which did not come through the
// mount, one to all its names.
func (s *Store) joined(ctx context.Context, c fs.Commit) (fs.Commit, error) {
	if v, ok := s.journal.Pending(c.Path); ok {
		c.Path, c.Links = v.Path, v.Links
		return c, nil
	}
	links, _, err := s.Links(ctx, c.Path, []string{c.Path})
	n := fs.FitNames(append([]string{c.Path}, links...))
	c.Links = links[:n-1]
	return c, err
}
