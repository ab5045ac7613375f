package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// memStore is a Store that keeps what is committed in memory until Settle
// publishes it into a directory.
type memStore struct {
	root string

	mu       sync.Mutex
	tx       uint64
	synced   uint64 // the newest transaction at the last Sync
	pending  map[string]memVersion
	commits  []Commit
	refusals []Refusal
	removed  []string
	moved    []string
	walks    int
	adopted  []string // "path content", of those that were there
	collided []string
	// fail is what Commit answers, if not nil.
	fail error
	// appended is what Append was given.
	appended []string
	// maxAppend is the longest append; 0: any.
	maxAppend int
	// stage makes NewStage's files what a test wants, if not nil.
	stage func(memStage) Stage
	// moveOnce runs in the next Append, with the lock held.
	moveOnce func()
	// beforeCommit runs in Commit with no lock held.
	beforeCommit func(Commit)
	// beforePending runs in Pending with no lock held.
	beforePending func(path string)
}

type memVersion struct {
	Version
	content []byte
}

func newMemStore(root string) *memStore {
	return &memStore{root: root, pending: map[string]memVersion{}}
}

func (m *memStore) Pending(path string) (Version, bool) {
	m.mu.Lock()
	before := m.beforePending
	m.mu.Unlock()
	if before != nil {
		before(path)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.find(path)
	return v.Version, ok
}

// find is the pending version of a file by any of its names. The caller holds mu.
func (m *memStore) find(name string) (memVersion, bool) {
	if v, ok := m.pending[name]; ok {
		return v, true
	}
	for _, v := range m.pending {
		if slices.Contains(v.Names, name) {
			return v, true
		}
	}
	return memVersion{}, false
}

func (m *memStore) Links(_ context.Context, name string, known []string) (links []string, all bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of, err := os.Stat(filepath.Join(m.root, name))
	if err != nil {
		return nil, false, err
	}
	left := int(of.Sys().(*syscall.Stat_t).Nlink) - len(known)
	staged, err := filepath.Glob(filepath.Join(m.root, ".intact", "staging", "*"))
	for _, p := range staged {
		if info, err := os.Stat(p); err == nil && os.SameFile(info, of) {
			left--
		}
	}
	if err != nil || left <= 0 {
		return nil, true, err
	}
	m.walks++
	err = filepath.WalkDir(m.root, func(p string, e iofs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, path.Ext(name)) {
			return err
		}
		info, err := e.Info()
		rel := strings.TrimPrefix(p, m.root+"/")
		if err != nil || !os.SameFile(info, of) {
			return err
		}
		if _, pending := m.find(rel); pending { // another file by now
			left--
		} else if rel != name {
			links = append(links, rel)
		}
		return nil
	})
	for _, l := range links {
		if !slices.Contains(known, l) {
			left--
		}
	}
	return links, left <= 0, err
}

// walked is how often all of the directory was looked at.
func (m *memStore) walked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.walks
}

// failWith sets what Commit answers.
func (m *memStore) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// namesOf are all names of a commit if there are several.
func namesOf(path string, links []string) []string {
	if len(links) == 0 {
		return nil
	}
	return append([]string{path}, links...)
}

type memContent struct{ *bytes.Reader }

func (memContent) Close() error { return nil }

func (m *memStore) OpenPending(path string) (Version, Content, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.find(path)
	if !ok {
		return Version{}, nil, false, nil
	}
	return v.Version, memContent{bytes.NewReader(v.content)}, true, nil
}

func (m *memStore) PendingNames(dir string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for p := range m.pending {
		if d, name := path.Split(p); strings.TrimSuffix(d, "/") == dir {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// memStage is a Stage in a file that has no name.
type memStage struct{ *os.File }

func (memStage) StartWriteback(int64, int64) {}
func (s memStage) Fd() int                   { return int(s.File.Fd()) }

func (m *memStore) NewStage() (Stage, error) {
	f, err := os.CreateTemp("", "intact-fs-stage-")
	if err != nil {
		return nil, err
	}
	if m.stage != nil {
		return m.stage(memStage{f}), os.Remove(f.Name())
	}
	return memStage{f}, os.Remove(f.Name())
}

func (m *memStore) Discard(s Stage) { _ = s.Close() }

func contentOfCommit(inline []byte, s Stage, size int64) ([]byte, error) {
	if s == nil {
		return bytes.Clone(inline), nil
	}
	content := make([]byte, size)
	if _, err := s.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return content, s.Close()
}

func (m *memStore) Commit(_ context.Context, c Commit) (Version, error) {
	m.mu.Lock()
	before, fail := m.beforeCommit, m.fail
	m.mu.Unlock()
	if before != nil {
		before(c)
	}
	if fail != nil {
		return Version{}, fail
	}
	content, err := contentOfCommit(c.Inline, c.Stage, c.Size)
	if err != nil {
		return Version{}, err
	}
	if int64(len(content)) != c.Size {
		return Version{}, fmt.Errorf("commit of %d bytes says %d", len(content), c.Size)
	}
	for _, name := range append([]string{c.Path}, c.Links...) {
		if v, ok := m.Pending(name); ok && !slices.Equal(v.Names, namesOf(c.Path, c.Links)) {
			if err := m.Settle(context.Background(), name); err != nil {
				return Version{}, err
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tx++
	v := Version{Tx: m.tx, Size: c.Size, SHA256: c.SHA256, Time: time.Now(), Attr: c.Attr, Names: namesOf(c.Path, c.Links)}
	m.pending[c.Path] = memVersion{v, content}
	m.commits = append(m.commits, c)
	return v, nil
}

func (m *memStore) Append(_ context.Context, a Append) (Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moveOnce != nil {
		move := m.moveOnce
		m.moveOnce = nil
		move()
	}
	base, ok := m.pending[a.Path]
	if !ok {
		content, err := os.ReadFile(filepath.Join(m.root, a.Path))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return Version{}, err
		}
		base.content = content
	}
	switch {
	case m.fail != nil:
		return Version{}, m.fail
	case int64(len(base.content)) != a.BaseSize, ok && a.Base != 0 && a.Base != base.Tx:
		return Version{}, ErrMoved
	case m.maxAppend > 0 && len(a.Bytes) > m.maxAppend:
		return Version{}, ErrTooLong
	}
	m.tx++
	content := append(bytes.Clone(base.content), a.Bytes...)
	v := Version{Tx: m.tx, Size: int64(len(content)), Time: time.Now(), Attr: a.Attr, Names: namesOf(a.Path, a.Links)}
	m.pending[a.Path] = memVersion{v, content}
	m.commits = append(m.commits, Commit{Path: a.Path, Attr: a.Attr, Inline: content, Size: v.Size, Base: a.Base, Who: a.Who, Note: a.Note})
	m.appended = append(m.appended, string(a.Bytes))
	return v, nil
}

func (m *memStore) Refuse(_ context.Context, r Refusal) error {
	content, err := contentOfCommit(r.Inline, r.Stage, r.Size)
	if err != nil {
		return err
	}
	r.Inline, r.Stage = content, nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusals = append(m.refusals, r)
	return nil
}

func (m *memStore) Sync(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced = m.tx
	return nil
}

func (m *memStore) Settle(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, v := range maps.Clone(m.pending) {
		below := func(p string) bool { return p == name || name == "" || strings.HasPrefix(p, name+"/") }
		if !below(p) && !slices.ContainsFunc(v.Names, below) {
			continue
		}
		if err := m.publish(p, v); err != nil {
			return err
		}
		for _, other := range v.Names {
			if other == p {
				continue
			}
			temp := filepath.Join(m.root, ".intact", "staging", "link")
			if err := os.Link(filepath.Join(m.root, p), temp); err != nil {
				return err
			}
			if err := os.Rename(temp, filepath.Join(m.root, other)); err != nil {
				return err
			}
		}
		delete(m.pending, p)
	}
	return nil
}

// publish replaces the backing file as the journal's checkpointer does: by a
// new inode with the attributes of the version.
func (m *memStore) publish(p string, v memVersion) error {
	target := filepath.Join(m.root, p)
	temp := filepath.Join(m.root, ".intact", "staging", fmt.Sprint(v.Tx))
	if err := os.WriteFile(temp, v.content, 0600); err != nil {
		return err
	}
	a := v.Attr
	if err := os.Chown(temp, int(a.UID), int(a.GID)); err != nil {
		return err
	}
	for name, value := range a.Xattrs {
		if err := unix.Setxattr(temp, name, value, 0); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := syscall.Chmod(temp, a.Mode); err != nil {
		return err
	}
	if err := os.Chtimes(temp, a.Atime, a.Mtime); err != nil {
		return err
	}
	return os.Rename(temp, target)
}

func (m *memStore) Adopt(_ context.Context, path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, err := os.ReadFile(filepath.Join(m.root, path))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		return nil
	}
	m.adopted = append(m.adopted, path+" "+string(content))
	return err
}

func (m *memStore) Moved(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moved = append(m.moved, from+" "+to)
	return nil
}

func (m *memStore) Removed(path string, _ Writer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed = append(m.removed, path)
	return nil
}

func (m *memStore) Collided(path string, _, _ Version, _ Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collided = append(m.collided, path)
}

// committed lists what was committed to a path, oldest first.
func (m *memStore) committed(path string) []Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Commit
	for _, c := range m.commits {
		if c.Path == path {
			out = append(out, c)
		}
	}
	return out
}

func (m *memStore) refused() []Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.refusals)
}
