package recdisk

import (
	"bytes"
	"fmt"
	"os"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Access is a way to use a disk.
type Access uint8

// The accesses that may go wrong.
const (
	Read Access = iota + 1
	Write
	Flush
)

// Fault is what a disk does wrong from the moment on at which it is set.
type Fault struct {
	On Access
	// Holding makes only those reads and writes fail whose data contain it;
	// nil: all. Flushes have no data.
	Holding []byte
	// Hang keeps the access waiting until other faults, or none, are set;
	// without it the access fails with EIO, and changes nothing.
	Hang bool
}

// faults are those of one disk. The zero value has none.
type faults struct {
	mu     sync.Mutex
	set    []Fault       // guarded by mu
	struck int           // accesses that met a fault; guarded by mu
	lifted chan struct{} // closed when set is replaced; guarded by mu
}

// replace sets other faults, and lets go who hangs.
func (f *faults) replace(set []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lifted != nil {
		close(f.lifted)
	}
	f.set, f.lifted = set, make(chan struct{})
}

// meet waits, or says that the access fails.
func (f *faults) meet(on Access, data []byte) fuse.Status {
	f.mu.Lock()
	for _, fault := range f.set {
		if fault.On != on || fault.Holding != nil && !bytes.Contains(data, fault.Holding) {
			continue
		}
		f.struck++
		lifted := f.lifted
		f.mu.Unlock()
		if !fault.Hang {
			return fuse.EIO
		}
		<-lifted
		return fuse.OK
	}
	f.mu.Unlock()
	return fuse.OK
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

// FaultArgs names a disk and its faults from now on.
type FaultArgs struct {
	Disk   uint64
	Faults []Fault
}

// Break sets the faults of a disk.
func (s *service) Break(args FaultArgs, _ *bool) error {
	d := s.fs.disk(args.Disk)
	if d == nil {
		return fmt.Errorf("disk %d: %w", args.Disk, os.ErrNotExist)
	}
	d.faults.replace(args.Faults)
	return nil
}

// Struck answers how many accesses met a fault so far.
func (s *service) Struck(id uint64, n *int) error {
	d := s.fs.disk(id)
	if d == nil {
		return fmt.Errorf("disk %d: %w", id, os.ErrNotExist)
	}
	*n = d.faults.count()
	return nil
}

// Break makes the disk fail as the faults say, in place of those before: none
// heals it. What hangs goes on.
func (d *Disk) Break(set ...Fault) error {
	return d.server.call("Break", FaultArgs{Disk: d.id, Faults: set}, new(bool))
}

// Struck is how many accesses met a fault so far.
func (d *Disk) Struck() (int, error) {
	var n int
	err := d.server.call("Struck", d.id, &n)
	return n, err
}
