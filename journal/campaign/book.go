package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"intactfs/journal"
	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// version is one content that a program asked for.
type version struct {
	content []byte // nil: no file
	mode    uint32
	sum     [32]byte
	tx      uint64   // in the history, if acknowledged; 0: not, or an append
	n       int      // its number, the same by all names and no other's by any of them
	names   []string // of the file
}

// file is all that was asked for of one path, and told about it. The numbers
// are indexes of versions.
type file struct {
	versions []version
	promised int // survives a crash: acknowledged, and synced if relaxed
	acked    int // acknowledged
	settled  int // in the backing directory, with no recovery
}

// book is what a workload did so far.
type book struct {
	files map[string]*file
	maxTx journal.TxID
}

func newBook(linked bool) *book {
	b := &book{files: map[string]*file{
		oldPath: {versions: []version{{content: []byte(firstContent), mode: 0o644, names: []string{oldPath}}}},
		newPath: {versions: []version{{}}},
	}}
	if linked {
		first := version{content: []byte(firstContent), mode: 0o644, names: []string{oldPath, linkPath}}
		b.files[oldPath].versions[0] = first
		b.files[linkPath] = &file{versions: []version{first}}
	}
	for _, f := range b.files {
		f.versions[0].sum = sha256.Sum256(f.versions[0].content)
	}
	return b
}

func (f *file) newest() *version { return &f.versions[len(f.versions)-1] }

// index is where the version with number n is; -1: this name never had it.
func (f *file) index(n int) int {
	return slices.IndexFunc(f.versions, func(v version) bool { return v.n == n })
}

// next is the number of a new version.
func (b *book) next(o op) int {
	n := 0
	for _, name := range strings.Fields(o.names) {
		for _, v := range b.files[name].versions {
			n = max(n, v.n)
		}
	}
	return n + 1
}

// start enters a version by all its names before it is asked for. Every other
// one has another mode, so that the attributes tell whose they are.
func (b *book) start(o op, content []byte) *version {
	n, names := b.next(o), strings.Fields(o.names)
	for _, name := range names {
		f := b.files[name]
		f.versions = append(f.versions, version{content: content, mode: 0o600 + uint32(n)%8, sum: sha256.Sum256(content), n: n, names: names})
	}
	return b.files[o.path()].newest()
}

// acknowledged enters the success of the newest version. kept is its number in
// the history; 0: perhaps it is not there.
func (b *book) acknowledged(o op, tx journal.TxID, kept uint64, durable bool) {
	b.maxTx = max(b.maxTx, tx)
	for _, name := range strings.Fields(o.names) {
		f := b.files[name]
		f.newest().tx = kept
		f.acked = len(f.versions) - 1
		if durable {
			f.promised = f.acked
		}
	}
}

// is says whether v is what a file looks like.
func (v *version) is(content []byte, mode uint32, exists bool) bool {
	if !exists || v.content == nil {
		return !exists && v.content == nil
	}
	return v.mode == mode && bytes.Equal(v.content, content)
}

// find requires one of the versions from the one with index least on, and says
// which it is.
func (f *file) find(path string, least int, content []byte, mode uint32, exists bool) (int, error) {
	for i := len(f.versions) - 1; i >= least; i-- {
		if f.versions[i].is(content, mode, exists) {
			return i, nil
		}
	}
	for i := range f.versions[:least] {
		if f.versions[i].is(content, mode, exists) {
			return i, fmt.Errorf("%s is version %d, and %d was promised", path, i, least)
		}
	}
	return 0, fmt.Errorf("%s is no version: %d bytes %.40q, mode %o, exists %v", path, len(content), content, mode, exists)
}

// whole checks the plain directory of d, as somebody finds it who has no
// intact.
func (b *book) whole(d *disktest.Disk) error {
	for name, text := range d.Tree("") {
		f := b.files[name]
		switch {
		case f != nil || len(name) > 8 && name[:8] == ".intact/":
		case path.Base(name) == "other.txt" && text == otherContent:
		default:
			return fmt.Errorf("%s: nobody made that, %.40q", name, text)
		}
	}
	for path, f := range b.files {
		content, mode, exists := onDisk(d, path)
		if _, err := f.find(path, f.settled, content, mode, exists); err != nil {
			return err
		}
	}
	return nil
}

func onDisk(d *disktest.Disk, path string) (content []byte, mode uint32, exists bool) {
	info, err := d.Stat(path)
	if err != nil {
		return nil, 0, false
	}
	f, err := d.Open(path)
	if err != nil {
		return nil, 0, false
	}
	defer func() { _ = f.Close() }() // was only read
	content = make([]byte, info.Size)
	if _, err := f.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, false
	}
	return content, uint32(info.Mode.Perm()), true
}

// read checks what a reader finds through the journal, and that it is the same
// version by all names of a file, or by some of them a newer one.
func (b *book) read(j *journal.Journal, d *disktest.Disk) error {
	found := map[string]int{}
	for path, f := range b.files {
		content, mode, exists := onDisk(d, path)
		v, c, ok, err := j.OpenPending(path)
		if err != nil {
			return err
		}
		if ok {
			content = make([]byte, c.Size())
			if _, err := c.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			mode, exists = v.Attr.Mode, true
			if err := c.Close(); err != nil {
				return err
			}
		}
		if found[path], err = f.find(path, f.promised, content, mode, exists); err != nil {
			return fmt.Errorf("a reader: %w", err)
		}
	}
	return b.together(found)
}

// together checks the names of each file that has several against each other,
// when these versions were found.
func (b *book) together(found map[string]int) error {
	for path, at := range found {
		v := b.files[path].versions[at]
		for _, name := range v.names {
			if f := b.files[name]; found[name] < f.index(v.n) {
				return fmt.Errorf("%s has version %d and its other name %s the older %d", path, v.n, name, f.versions[found[name]].n)
			}
		}
	}
	return nil
}

// published checks the plain directory when nothing is pending: each file is in
// its history, and its names have one inode.
func (b *book) published(d *disktest.Disk, h keeper) error {
	inos := map[int]map[string]uint64{} // by number of the version and name
	for path, f := range b.files {
		content, mode, exists := onDisk(d, path)
		at, err := f.find(path, f.promised, content, mode, exists)
		if err != nil {
			return err
		}
		if !exists {
			continue
		}
		v := f.versions[at]
		txs, err := h.list(path)
		if err != nil {
			return err
		}
		if v.n > 0 && !slices.Contains(slices.Collect(maps.Values(txs)), v.sum) {
			return fmt.Errorf("history of %s has not what it is, version %d", path, v.n)
		}
		info, err := d.Stat(path)
		if err != nil {
			return err
		}
		if inos[v.n] == nil {
			inos[v.n] = map[string]uint64{}
		}
		inos[v.n][path] = info.Ino
		for name, ino := range inos[v.n] {
			if slices.Contains(v.names, name) && ino != info.Ino {
				return fmt.Errorf("version %d of %s and its other name %s are two files", v.n, path, name)
			}
		}
	}
	return nil
}

// kept checks that the history has everything that was acknowledged.
func (b *book) kept(h keeper) error {
	for path, f := range b.files {
		txs, err := h.list(path)
		if err != nil {
			return err
		}
		sums := map[[32]byte]bool{}
		for _, sum := range txs {
			sums[sum] = true
		}
		for i, v := range f.versions {
			switch {
			case v.tx != 0 && i <= f.promised && txs[v.tx] != v.sum:
				return fmt.Errorf("history of %s has not version %d (number %d)", path, i, v.tx)
			case i == 0 && v.content != nil && f.promised > 0 && !sums[v.sum]:
				return fmt.Errorf("history of %s has not what was there before", path)
			}
		}
		if f.promised > 0 && len(txs) == 0 {
			return fmt.Errorf("history of %s is empty", path)
		}
	}
	return h.verify()
}

// put is the commit of v.
func put(o op, v *version, base int64) journal.Put {
	return journal.Put{Path: o.path(), Links: v.names[1:], Inline: v.content[base:], Size: int64(len(v.content)) - base, SHA256: v.sum,
		Attr: disk.Attr{Mode: v.mode, Mtime: time.Unix(1_600_000_000, 0)}, Who: journal.Writer{PID: 1, Program: "campaign"}}
}
