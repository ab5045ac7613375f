package store

import (
	"context"

	"intactfs/fs"
)

// Links implements fs.Store. Names in directories that can't be read are left out.
func (s *Store) Links(ctx context.Context, path string) ([]string, error) {
	of, err := s.disk.Stat(path)
	if missing(err) {
		return nil, nil
	}
	rule := s.rule(path)
	if err != nil || of.Nlink < 2 || rule == nil {
		return nil, s.errno(err)
	}
	files, err := s.protected(ctx)
	if err != nil {
		return nil, err
	}
	var links []string
	for _, name := range files {
		if uint64(len(links)+1) == of.Nlink {
			break
		}
		if name == path || s.rule(name) != rule {
			continue
		}
		info, err := s.disk.Stat(name)
		if err == nil && info.Ino == of.Ino && info.Dev == of.Dev {
			links = append(links, name)
		}
	}
	return links, nil
}

// joined makes a commit by one name of a file, which did not come through the
// mount, one to all its names.
func (s *Store) joined(ctx context.Context, c fs.Commit) (fs.Commit, error) {
	if v, ok := s.journal.Pending(c.Path); ok {
		c.Path, c.Links = v.Path, v.Links
		return c, nil
	}
	links, err := s.Links(ctx, c.Path)
	c.Links = links
	return c, err
}
