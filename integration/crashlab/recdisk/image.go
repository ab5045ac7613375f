package recdisk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/blocklog"
)

// image is a disk in a file of memory alone, for crashes that are only looked
// at: the kernel reads and writes it with nobody in between, and nothing is
// recorded. It holds one state after the other; only the pages in which the
// next one differs from what the last examination left are written.
type image struct {
	mu   sync.Mutex
	file *os.File
	mem  []byte // the file, mapped
}

func newImage(size int64) (*image, error) {
	fd, err := unix.MemfdCreate("crash", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	m := &image{file: os.NewFile(uintptr(fd), "crash")}
	if err = m.file.Truncate(size); err == nil {
		m.mem, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		return nil, fmt.Errorf("make image: %w", errors.Join(err, m.file.Close()))
	}
	return m, nil
}

func (m *image) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(unix.Munmap(m.mem), m.file.Close()); err != nil {
		return fmt.Errorf("drop image: %w", err)
	}
	return nil
}

// lay makes the image what the pages are. Nobody else may use it meanwhile.
func (m *image) lay(want blocklog.Pages) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	there, err := m.data()
	if err != nil {
		return err
	}
	stale := int64(-1) // start of a run of pages that must become zeros
	punch := func(end int64) error {
		if stale < 0 {
			return nil
		}
		off, n := stale*blocklog.PageSize, (end-stale)*blocklog.PageSize
		stale = -1
		err := unix.Fallocate(int(m.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if err != nil {
			return fmt.Errorf("clear image: %w", err)
		}
		return nil
	}
	last := int64(-1)
	for _, n := range there {
		if n != last+1 {
			err = punch(last + 1)
		}
		data := want.Page(n)
		switch {
		case data == nil && stale < 0:
			stale = n
		case data != nil:
			err = errors.Join(err, punch(n))
			if page := m.page(n); !bytes.Equal(page, data) {
				copy(page, data)
			}
		}
		if last = n; err != nil {
			return err
		}
	}
	if err := punch(last + 1); err != nil {
		return err
	}
	m.fill(want, there)
	return nil
}

// fill writes the pages that the image has no data for. Its argument is what
// it has, in order.
func (m *image) fill(want blocklog.Pages, there []int64) {
	want.Numbers(func(n int64) {
		if _, ok := slices.BinarySearch(there, n); ok {
			return
		}
		if data := want.Page(n); data != nil {
			copy(m.page(n), data)
		}
	})
}

func (m *image) page(n int64) []byte {
	off := n * blocklog.PageSize
	return m.mem[off:min(off+blocklog.PageSize, int64(len(m.mem)))]
}

// data lists the pages of the file that hold anything, in order: to look at
// the others would make room for them.
func (m *image) data() ([]int64, error) {
	var pages []int64
	for off := int64(0); off < int64(len(m.mem)); {
		start, err := unix.Seek(int(m.file.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("find data of image: %w", err)
		}
		if off, err = unix.Seek(int(m.file.Fd()), start, unix.SEEK_HOLE); err != nil {
			return nil, fmt.Errorf("find hole of image: %w", err)
		}
		for n := start / blocklog.PageSize; n*blocklog.PageSize < off; n++ {
			pages = append(pages, n)
		}
	}
	return pages, nil
}
