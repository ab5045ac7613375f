package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal/disk"
)

// inoXattr is where package fs remembers the inode number of a name: it
// belongs to the name now, not to a version.
const inoXattr = "user.intact.ino"

// Restore makes an old version the newest one: a commit like any other, that
// can be undone like any other. Where the file was removed it comes back,
// with the directories above it.
func (s *Store) Restore(ctx context.Context, name string, tx uint64, who fs.Writer) (fs.Version, error) {
	e, c, err := s.OpenVersion(ctx, name, tx)
	if err != nil {
		return fs.Version{}, err
	}
	defer func() { _ = c.Close() }()
	attr := fs.Attr{Mode: e.Mode, UID: e.UID, GID: e.GID}
	if entries, err := s.entries(name); err == nil {
		for _, old := range entries {
			if old.Tx == tx && !old.Removed {
				attr = fs.Attr(old.Attr)
			}
		}
	}
	note := "restored from " + e.Version
	v, err := s.put(ctx, name, c, attr, who, note)
	if err != nil {
		return fs.Version{}, fmt.Errorf("restore %s: %w", name, s.kind(err))
	}
	s.note(Event{Kind: Restored, Path: name, Tx: v.Tx, Who: who, Message: note})
	return v, nil
}

// maxInline is the largest content that put hands over in memory.
const maxInline = 128 << 10

// put commits a content that did not come through the mount.
func (s *Store) put(ctx context.Context, name string, c fs.Content, attr fs.Attr, who fs.Writer, note string) (fs.Version, error) {
	if s.readOnly {
		return fs.Version{}, ErrReadOnly
	}
	if s.rule(name) == nil {
		return fs.Version{}, ErrNotProtected
	}
	if err := s.makeParents(name); err != nil {
		return fs.Version{}, err
	}
	attr.Atime, attr.Mtime = s.now(), s.now()
	attr.Xattrs = s.xattrsFor(name, attr.Xattrs)
	commit := fs.Commit{Path: name, Attr: attr, Size: c.Size(), Who: who, Note: note}
	if v, ok := s.Pending(name); ok {
		commit.Base = v.Tx
	}
	commit, err := s.joined(ctx, commit)
	if err != nil {
		return fs.Version{}, err
	}
	if c.Size() <= maxInline {
		commit.Inline = make([]byte, c.Size())
		if n, err := c.ReadAt(commit.Inline, 0); int64(n) < c.Size() {
			return fs.Version{}, errors.Join(err, io.ErrUnexpectedEOF)
		}
		commit.SHA256 = sha256.Sum256(commit.Inline)
		return s.Commit(ctx, commit)
	}
	return s.putStage(ctx, commit, c)
}

func (s *Store) putStage(ctx context.Context, commit fs.Commit, c fs.Content) (fs.Version, error) {
	st, err := s.NewStage()
	if err != nil {
		return fs.Version{}, err
	}
	h := sha256.New()
	to := io.MultiWriter(io.NewOffsetWriter(st, 0), h)
	if _, err = io.Copy(to, io.NewSectionReader(c, 0, c.Size())); err == nil {
		h.Sum(commit.SHA256[:0])
		commit.Stage = st
		var v fs.Version
		if v, err = s.Commit(ctx, commit); err == nil {
			return v, st.Close()
		}
	}
	err = errors.Join(err, st.Close())
	s.Discard(st)
	return fs.Version{}, err
}

// makeParents brings back the directories of a removed file. Publishing needs
// them.
func (s *Store) makeParents(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	if _, err := s.disk.Stat(dir); err == nil {
		return nil
	}
	if err := s.disk.MkdirAll("restore:mkdir", dir, 0o755); err != nil {
		return fmt.Errorf("create directory %s: %w", dir, err)
	}
	return nil
}

// xattrsFor is the extended attributes of a version, with those that belong
// to the name as it is now.
func (s *Store) xattrsFor(name string, of map[string][]byte) map[string][]byte {
	xattrs := make(map[string][]byte, len(of))
	for k, v := range of {
		if k != inoXattr {
			xattrs[k] = v
		}
	}
	if ino, ok := s.currentAttr(name).Xattrs[inoXattr]; ok {
		xattrs[inoXattr] = ino
	}
	return xattrs
}

// currentAttr is the attributes of the committed version, empty if there is
// none.
func (s *Store) currentAttr(name string) disk.Attr {
	if v, ok := s.journal.Pending(name); ok {
		return v.Attr
	}
	f, _, err := s.openRegular(name)
	if f == nil || err != nil {
		return disk.Attr{}
	}
	defer func() { _ = f.Close() }()
	attr, err := f.Attr()
	if err != nil {
		return disk.Attr{}
	}
	return attr
}

// attrFor is the attributes for a content that has none of its own.
func (s *Store) attrFor(name string) fs.Attr {
	attr := fs.Attr(s.currentAttr(name))
	if attr.Mode == 0 && attr.Mtime.IsZero() {
		attr.Mode = 0o644
	}
	return attr
}

// Rejected lists what was refused for path, oldest first; "" lists all.
func (s *Store) Rejected(name string) ([]backup.Rejected, error) {
	all, err := s.history.Rejected(name)
	if errors.Is(err, backup.ErrNotFound) {
		return nil, nil
	}
	return all, s.kind(err)
}

// OpenRejected opens a refused content. The id may be cut short, as long as
// it names one.
func (s *Store) OpenRejected(id string) (backup.Rejected, fs.Content, error) {
	r, err := s.findRejected(id)
	if err != nil {
		return r, nil, err
	}
	c, err := s.history.OpenRejected(r.ID)
	if err != nil {
		return r, nil, s.kind(err)
	}
	return r, c, nil
}

func (s *Store) findRejected(id string) (backup.Rejected, error) {
	all, err := s.Rejected("")
	if err != nil {
		return backup.Rejected{}, err
	}
	var found []backup.Rejected
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
		// A path alone names its latest content; a few digits the content.
		_, digits, _ := strings.Cut(r.ID[len(r.Path):], "@")
		if r.Path == id || strings.HasPrefix(r.ID, id) && strings.Contains(id, "@") ||
			len(id) >= 4 && strings.HasPrefix(digits, id) {
			found = append(found, r)
		}
	}
	if len(found) > 1 && found[0].Path != id {
		return backup.Rejected{}, fmt.Errorf("%w: %q names %d of them", ErrNotRejected, id, len(found))
	}
	if len(found) == 0 {
		return backup.Rejected{}, fmt.Errorf("%w: %q", ErrNotRejected, id)
	}
	return found[len(found)-1], nil
}

// DropRejected removes a refused content for good.
func (s *Store) DropRejected(id string) (backup.Rejected, error) {
	if s.readOnly {
		return backup.Rejected{}, ErrReadOnly
	}
	r, err := s.findRejected(id)
	if err != nil {
		return r, err
	}
	return r, s.kind(s.history.DropRejected(r.ID))
}

// AcceptRejected commits a refused content after all, valid or not. What it
// replaces is in history. The content stays in quarantine.
func (s *Store) AcceptRejected(ctx context.Context, id string, who fs.Writer) (fs.Version, error) {
	r, c, err := s.OpenRejected(id)
	if err != nil {
		return fs.Version{}, err
	}
	defer func() { _ = c.Close() }()
	if r.Truncated {
		return fs.Version{}, fmt.Errorf("accept %s: only its first %d bytes were kept: %w", r.ID, r.Held, syscall.EFBIG)
	}
	v, err := s.PutContent(ctx, r.Path, c, who, "accepted from quarantine")
	if err != nil {
		return v, err
	}
	s.forgetPast(r.Path)
	return v, nil
}

// PutContent commits a content with the attributes that the path has now.
func (s *Store) PutContent(ctx context.Context, name string, c fs.Content, who fs.Writer, note string) (fs.Version, error) {
	v, err := s.put(ctx, name, c, s.attrFor(name), who, note)
	if err != nil {
		return v, fmt.Errorf("commit %s: %w", name, s.kind(err))
	}
	s.note(Event{Kind: Restored, Path: name, Tx: v.Tx, Who: who, Message: note})
	return v, nil
}
