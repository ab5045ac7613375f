package blocklog

import (
	"fmt"
	"io"
	"sort"
	"sync"
	"time"
)

// Disk is a sparse disk in memory that logs what is done to it. It starts
// with the content of another one, shared and never copied as a whole. All
// methods may be called from several goroutines.
type Disk struct {
	size  int64
	base  Pages                // what lies beneath; nil: zeros
	clock func() time.Duration // nil: operations have no time

	mu    sync.RWMutex
	ops   []Op
	pages map[int64][]version // every content a page had, oldest first
	sums  []Sum               // sums[i]: of the content after the first i ops
}

// version is the content of a page from the operation with index op on.
type version struct {
	op   int
	data []byte
}

// NewDisk makes a disk of size bytes over base, which may be nil.
func NewDisk(size int64, base Pages) *Disk {
	return &Disk{size: size, base: base, pages: map[int64][]version{}}
}

// Timed makes the log say when each operation came, by a clock that never goes
// back. It is called before the first one.
func (d *Disk) Timed(clock func() time.Duration) *Disk {
	d.clock = clock
	return d
}

// Size is the size of the disk in bytes.
func (d *Disk) Size() int64 { return d.size }

// WriteAt logs a write and applies it. It keeps a copy of p.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > d.size {
		return 0, fmt.Errorf("write %d bytes at %d of a disk of %d: %w", len(p), off, d.size, io.ErrShortWrite)
	}
	data := zeros[:min(len(p), len(zeros))]
	if len(p) > len(zeros) || !allZero(p) {
		data = append([]byte(nil), p...)
	}
	d.append(Op{Kind: Write, Off: off, Len: int64(len(p)), Data: data})
	return len(p), nil
}

// zeros stands for every write of zeros, of which file systems and
// preallocated journals make many.
var zeros = make([]byte, 1<<20)

// ZeroAt logs that a range became zeros, by a discard or a write of zeros.
func (d *Disk) ZeroAt(off, length int64) {
	d.append(Op{Kind: Zero, Off: off, Len: min(length, d.size-off)})
}

// Flush logs that everything written so far is durable.
func (d *Disk) Flush() { d.append(Op{Kind: Flush}) }

// Mark puts a label into the log.
func (d *Disk) Mark(label string) { d.append(Op{Kind: Mark, Label: label}) }

func (d *Disk) append(o Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clock != nil {
		o.Time = d.clock()
	}
	index := len(d.ops)
	d.ops = append(d.ops, o)
	if !o.Changes() {
		return
	}
	spread(o.Off, o.Len, func(page, at, from, n int64) {
		var part []byte
		if o.Data != nil {
			part = o.Data[from : from+n]
		}
		old := d.latest(page)
		next := version{op: index, data: patch(old, at, n, part)}
		if old == nil && next.data == nil {
			return // zeros over zeros: a preallocated journal is full of them
		}
		d.pages[page] = append(d.pages[page], next)
	})
}

// latest is the newest content of a page. The caller holds mu.
func (d *Disk) latest(page int64) []byte {
	if vs := d.pages[page]; len(vs) > 0 {
		return vs[len(vs)-1].data
	}
	return d.beneath(page)
}

func (d *Disk) beneath(page int64) []byte {
	if d.base == nil {
		return nil
	}
	return d.base.Page(page)
}

// before is the content of a page when the first n operations were applied.
// The caller holds mu.
func (d *Disk) before(page int64, n int) []byte {
	vs := d.pages[page]
	i := sort.Search(len(vs), func(i int) bool { return vs[i].op >= n })
	if i == 0 {
		return d.beneath(page)
	}
	return vs[i-1].data
}

// ReadAt reads the newest content. It follows io.ReaderAt.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := min(int64(len(p)), d.size-off)
	if n <= 0 {
		return 0, io.EOF
	}
	spread(off, n, func(page, at, from, n int64) {
		copyPage(p[from:from+n], d.latest(page), at)
	})
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func copyPage(dst, page []byte, at int64) {
	if page == nil {
		clear(dst)
		return
	}
	copy(dst, page[at:])
}

// Len is the number of operations logged so far.
func (d *Disk) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.ops)
}

// Headers returns the log without the data, for States and for the bounds of
// a checker.
func (d *Disk) Headers() []Op {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]Op, len(d.ops))
	for i, o := range d.ops {
		o.Data = nil
		out[i] = o
	}
	return out
}
