package stage

import (
	"fmt"
	"io"
	"sync"
)

// body is a stage's own bytes, [0, w) of its content: in memory first, in a
// file once they outgrew it. There is no way back into memory.
type body struct {
	o    *Options
	mem  []byte // length w while file is nil
	file File
	w    int64
}

// writeAt writes p at off, which must not be beyond w.
func (b *body) writeAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if err := b.room(end); err != nil {
		return 0, err
	}
	if b.file == nil {
		if end > b.w {
			b.mem, b.w = b.mem[:end], end
		}
		return copy(b.mem[off:], p), nil
	}
	n, err := b.file.WriteAt(p, off)
	return b.wrote(p, off, n, err)
}

// wrote notes the outcome of writing p into the file at off.
func (b *body) wrote(p []byte, off int64, n int, err error) (int, error) {
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	b.w = max(b.w, off+int64(max(n, 0)))
	if err != nil {
		return n, fmt.Errorf("write stage: %w", err)
	}
	return n, nil
}

// resize cuts the bytes to n, or extends them with zeros.
func (b *body) resize(n int64) error {
	if err := b.room(n); err != nil {
		return err
	}
	if b.file == nil {
		old := b.w
		b.mem, b.w = b.mem[:n], n
		if n > old {
			clear(b.mem[old:])
		}
		return nil
	}
	if err := b.file.Truncate(n); err != nil {
		return fmt.Errorf("truncate stage: %w", err)
	}
	b.w = n
	return nil
}

// room makes [0, n) writable: in a larger buffer, or in a file.
func (b *body) room(n int64) error {
	switch {
	case b.file != nil || n <= int64(cap(b.mem)) && n <= b.o.MemoryLimit:
		return nil
	case n > b.o.MemoryLimit:
		return b.spill()
	}
	bigger := newBuffer(n)[:len(b.mem)]
	copy(bigger, b.mem)
	freeBuffer(b.mem)
	b.mem = bigger
	return nil
}

// spill moves the bytes from memory into a new file.
func (b *body) spill() error {
	f, err := b.o.NewFile()
	if err != nil {
		return fmt.Errorf("make stage file: %w", err)
	}
	n, err := len(b.mem), error(nil)
	if n > 0 {
		n, err = f.WriteAt(b.mem, 0)
	}
	if err == nil && n < len(b.mem) {
		err = io.ErrShortWrite
	}
	if err != nil {
		// Memory still has every byte, for quarantine.
		b.o.DiscardFile(f)
		return fmt.Errorf("spill stage: %w", err)
	}
	freeBuffer(b.mem)
	b.mem, b.file = nil, f
	return nil
}

// readAt fills p from off; [off, off+len(p)) must be below w.
func (b *body) readAt(p []byte, off int64) error {
	if b.file == nil {
		copy(p, b.mem[off:])
		return nil
	}
	return readFull(b.file, p, off)
}

// take hands the bytes over and leaves the body empty.
func (b *body) take() Sealed {
	s := Sealed{File: b.file, Size: b.w}
	if b.file == nil {
		s.Inline = b.mem[:b.w:b.w]
	}
	b.mem, b.file, b.w = nil, nil, 0
	return s
}

// readFull reads exactly len(p) bytes; less is io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// Buffers come in powers of four from 4 to 256 KiB, so that a content grows a
// few times only and a small one is small. Larger ones are not pooled.
const (
	minBuffer = 4 << 10
	classes   = 4
)

var buffers [classes]sync.Pool

// newBuffer returns an empty buffer with room for n bytes. Its bytes are not
// zero.
func newBuffer(n int64) []byte {
	size := int64(minBuffer)
	for c := range classes {
		if n <= size {
			if p, ok := buffers[c].Get().(*[]byte); ok {
				return (*p)[:0]
			}
			return make([]byte, 0, size)
		}
		size *= 4
	}
	return make([]byte, 0, n+n/4)
}

// freeBuffer gives a buffer of newBuffer back. Nobody may use it afterwards.
func freeBuffer(b []byte) {
	size := minBuffer
	for c := range classes {
		if cap(b) == size {
			b = b[:0]
			buffers[c].Put(&b)
			return
		}
		size *= 4
	}
}
