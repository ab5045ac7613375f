package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// memPast is a Past in memory.
type memPast struct {
	mu       sync.Mutex
	versions map[string][]PastVersion
	contents map[string]string // by path and number
	refusals []PastRefusal
	rejected map[string]string // by ID
	fail     error             // what every call answers, if not nil
	reads    int               // lists that were asked for
	open     int               // contents that are open
	opened   int               // contents that ever were
}

func newMemPast() *memPast {
	return &memPast{versions: map[string][]PastVersion{}, contents: map[string]string{}, rejected: map[string]string{}}
}

// pastBegin is the time from which tests count seconds.
var pastBegin = time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)

func second(n int) time.Time { return pastBegin.Add(time.Duration(n) * time.Second) }

// keep adds a version of a path, committed so many seconds after pastBegin.
func (p *memPast) keep(path string, at int, content string, attr Attr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	attr.Mtime = second(at).Add(-time.Hour)
	v := PastVersion{Tx: uint64(len(p.contents) + 1), Time: second(at), Size: int64(len(content)), Attr: attr}
	v.Number = fmt.Sprint(v.Tx)
	p.versions[path] = append(p.versions[path], v)
	p.contents[path+"@"+v.Number] = content
}

func (p *memPast) remove(path string, at int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.versions[path][len(p.versions[path])-1]
	p.versions[path] = append(p.versions[path], PastVersion{Tx: last.Tx, Number: last.Number, Time: second(at), Removed: true})
}

func (p *memPast) refuse(path string, at int, content string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := fmt.Sprintf("%s@%04x", path, len(p.refusals)+1)
	p.rejected[id] = content
	p.refusals = append(p.refusals, PastRefusal{
		ID: id, Path: path, Number: id[len(path)+1:], Time: second(at), Last: second(at),
		Size: int64(len(content)), UID: 4711, Note: []byte("{\"path\":\"" + path + "\"}\n"),
	})
}

func (p *memPast) failWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

func (p *memPast) counts() (reads, open, opened int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads, p.open, p.opened
}

func (p *memPast) Names(_ context.Context, dir string) ([]PastName, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	found := map[string]*PastName{}
	for path := range p.versions {
		rest := path
		if dir != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(path, dir+"/"); !ok {
				continue
			}
		}
		name, _, below := strings.Cut(rest, "/")
		if found[name] == nil {
			found[name] = &PastName{Name: name}
		}
		found[name].Dir = found[name].Dir || below
		found[name].File = found[name].File || !below
	}
	var names []PastName
	for _, n := range found {
		names = append(names, *n)
	}
	slices.SortFunc(names, func(a, b PastName) int { return strings.Compare(a.Name, b.Name) })
	return names, p.fail
}

func (p *memPast) Versions(_ context.Context, path string) ([]PastVersion, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	return slices.Clone(p.versions[path]), p.fail
}

func (p *memPast) Refused(context.Context) ([]PastRefusal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	return slices.Clone(p.refusals), p.fail
}

// pastContent counts itself among the open ones.
type pastContent struct {
	*bytes.Reader
	p *memPast
}

func (c pastContent) Close() error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.open--
	return nil
}

func (p *memPast) content(text string, ok bool) (Content, error) {
	if p.fail != nil {
		return nil, p.fail
	}
	if !ok {
		return nil, fmt.Errorf("expired: %w", iofs.ErrNotExist)
	}
	p.open++
	p.opened++
	return pastContent{bytes.NewReader([]byte(text)), p}, nil
}

func (p *memPast) Open(_ context.Context, path string, tx uint64) (Content, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, ok := p.contents[fmt.Sprintf("%s@%d", path, tx)]
	return p.content(text, ok)
}

func (p *memPast) OpenRefused(_ context.Context, id string) (Content, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, ok := p.rejected[id]
	return p.content(text, ok)
}

// pastSeconds reads times of tests: seconds after pastBegin.
func pastSeconds(text string) (time.Time, error) {
	var n int
	if _, err := fmt.Sscanf(text, "s%d", &n); err != nil {
		return time.Time{}, errors.New("not a time")
	}
	return second(n), nil
}

// viewBed is a view without a mount, asked as the kernel would.
type viewBed struct {
	t     testing.TB
	w     viewed
	past  *memPast
	back  string
	clock time.Time
}

func newViewBed(t testing.TB) *viewBed {
	t.Helper()
	b := &viewBed{t: t, past: newMemPast(), back: t.TempDir(), clock: second(1000)}
	root, err := os.Open(b.back)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Root: root, RootPath: b.back, Store: newMemStore(b.back), Rules: testRules{},
		Past: b.past, PastTime: pastSeconds, Now: func() time.Time { return b.clock },
	}
	s, err := newFileSystem(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.tree.atRoot.closeFDs()
		_ = root.Close()
	})
	b.w = viewed{s, newView(s, o)}
	return b
}

// file makes a file outside of the view.
func (b *viewBed) file(name, content string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.back, name)
	if err := os.MkdirAll(filepath.Dir(path), 0755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		b.t.Fatal(err)
	}
}

// walk looks a path below .intact up, one name after the other.
func (b *viewBed) walk(path string) (fuse.EntryOut, fuse.Status) {
	b.t.Helper()
	var out fuse.EntryOut
	id := uint64(rootID)
	for _, name := range append([]string{ownDir}, strings.FieldsFunc(path, func(r rune) bool { return r == '/' })...) {
		out = fuse.EntryOut{}
		if status := b.w.Lookup(nil, &fuse.InHeader{NodeId: id}, name, &out); !status.Ok() {
			return out, status
		}
		id = out.NodeId
	}
	return out, fuse.OK
}

// found is walk for what must be there.
func (b *viewBed) found(path string) fuse.EntryOut {
	b.t.Helper()
	out, status := b.walk(path)
	if !status.Ok() {
		b.t.Fatalf("look up %s: %v", path, status)
	}
	return out
}

// ls lists a directory, directories with a slash behind.
func (b *viewBed) ls(path string) string {
	b.t.Helper()
	entry := b.found(path)
	var names []string
	for _, e := range b.entries(entry.NodeId) {
		if e.Name == "." || e.Name == ".." {
			continue
		}
		if e.Mode == unix.S_IFDIR {
			e.Name += "/"
		}
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

func (b *viewBed) entries(id uint64) []fuse.DirEntry {
	b.t.Helper()
	var out fuse.OpenOut
	if status := b.w.OpenDir(nil, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: id}}, &out); !status.Ok() {
		b.t.Fatalf("open directory: %v", status)
	}
	defer b.w.ReleaseDir(&fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: id}, Fh: out.Fh})
	entries, err := b.w.v.read(&fuse.ReadIn{Fh: out.Fh})
	if err != nil {
		b.t.Fatalf("read directory: %v", err)
	}
	return entries
}

// open opens a file for reading.
func (b *viewBed) open(path string) (fuse.EntryOut, uint64, fuse.Status) {
	b.t.Helper()
	entry := b.found(path)
	var out fuse.OpenOut
	status := b.w.Open(nil, &fuse.OpenIn{InHeader: fuse.InHeader{NodeId: entry.NodeId}, Flags: unix.O_RDONLY}, &out)
	return entry, out.Fh, status
}

func (b *viewBed) release(id, fh uint64) {
	b.w.Release(nil, &fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: id}, Fh: fh})
}

// cat reads a file, or tells the errno.
func (b *viewBed) cat(path string) string {
	b.t.Helper()
	entry, fh, status := b.open(path)
	if !status.Ok() {
		return unix.ErrnoName(unix.Errno(status))
	}
	defer b.release(entry.NodeId, fh)
	buf := make([]byte, entry.Size+10)
	result, status := b.w.Read(nil, &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: entry.NodeId}, Fh: fh}, buf)
	if !status.Ok() {
		return unix.ErrnoName(unix.Errno(status))
	}
	data, _ := result.Bytes(nil)
	if uint64(len(data)) != entry.Size {
		b.t.Errorf("%s has %d bytes and says %d", path, len(data), entry.Size)
	}
	return string(data)
}
