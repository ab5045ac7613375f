package fs

import (
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// openFile is what a handle number stands for. Errors are errno values or
// wrap one.
type openFile interface {
	owner() *node
	read(in *fuse.ReadIn, buf []byte) (int, error)
	write(in *fuse.WriteIn, data []byte) (int, error)
	flush(in *fuse.FlushIn) error
	fsync(in *fuse.FsyncIn) error
	truncate(caller *fuse.InHeader, size int64) error
	allocate(mode uint32, off, n int64) error
	seek(off int64, whence int) (int64, error)
	// release is told once, after the last descriptor is gone and every
	// other call has returned.
	release()
}

// handleTable is all open files by number. Numbers are counted up and never
// used again.
type handleTable struct {
	mu   sync.RWMutex
	next uint64
	open map[uint64]openFile
	dirs map[uint64]*dirStream
}

func (t *handleTable) init() {
	t.open = map[uint64]openFile{}
	t.dirs = map[uint64]*dirStream{}
}

func (t *handleTable) add(f openFile) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	t.open[t.next] = f
	return t.next
}

func (t *handleTable) get(fh uint64) (openFile, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	f := t.open[fh]
	if f == nil {
		return nil, syscall.EBADF
	}
	return f, nil
}

func (t *handleTable) remove(fh uint64) openFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.open[fh]
	delete(t.open, fh)
	return f
}

func (t *handleTable) addDir(d *dirStream) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	t.dirs[t.next] = d
	return t.next
}

func (t *handleTable) dir(fh uint64) (*dirStream, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := t.dirs[fh]
	if d == nil {
		return nil, syscall.EBADF
	}
	return d, nil
}

func (t *handleTable) removeDir(fh uint64) *dirStream {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.dirs[fh]
	delete(t.dirs, fh)
	return d
}

func (t *handleTable) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.open) + len(t.dirs)
}

// each calls visit for every open file, without the table's lock held.
func (t *handleTable) each(visit func(openFile)) {
	t.mu.RLock()
	files := make([]openFile, 0, len(t.open))
	for _, f := range t.open {
		files = append(files, f)
	}
	t.mu.RUnlock()
	for _, f := range files {
		visit(f)
	}
}
