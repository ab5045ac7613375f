package disktest

import (
	"fmt"
	"maps"
	"math/rand"
	"syscall"

	"intactfs/journal/disk"
)

// Option shapes a new disk.
type Option func(*Disk)

// fault is an error that changing operations meet.
type fault struct {
	at     int
	step   disk.Step // if not empty: at counts the operations of this step
	errno  syscall.Errno
	sticky bool
	seen   int
}

// CrashAt crashes the disk instead of its n-th changing operation.
func CrashAt(n int) Option {
	return func(d *Disk) { d.crashAt = n }
}

// FailAt makes the n-th changing operation fail with errno; sticky makes
// every later one fail too.
func FailAt(n int, errno syscall.Errno, sticky bool) Option {
	return func(d *Disk) { d.faults = append(d.faults, fault{at: n, errno: errno, sticky: sticky}) }
}

// FailStep is FailAt for the n-th operation with this label.
func FailStep(step disk.Step, n int, errno syscall.Errno, sticky bool) Option {
	return func(d *Disk) {
		d.faults = append(d.faults, fault{at: n, step: step, errno: errno, sticky: sticky})
	}
}

// FailReadAt makes the n-th reading operation fail with errno.
func FailReadAt(n int, errno syscall.Errno, sticky bool) Option {
	return func(d *Disk) { d.readFail = fault{at: n, errno: errno, sticky: sticky} }
}

// ShortWriteAt makes the n-th changing operation, if it is a write, store half
// of its bytes and return io.ErrShortWrite.
func ShortWriteAt(n int) Option {
	return func(d *Disk) { d.shortAt = n }
}

// SwallowSync makes every sync with this label succeed and do nothing, as a
// drive that lies, or code that forgot it. An empty label is none.
func SwallowSync(step disk.Step) Option {
	return func(d *Disk) { d.swallow = step }
}

// Watch calls f before every changing operation: n counts from 1. The disk is
// not locked meanwhile, so that f may take it as it is, with AfterCrash; it
// must not change it. Only for disks that one goroutine uses.
func Watch(f func(n int, step disk.Step)) Option {
	return func(d *Disk) { d.watch = f }
}

// Writeback makes half of what is unsynced, file by file and directory by
// directory, durable before percent of the operations, as a kernel does that
// writes back when it likes.
func Writeback(rng *rand.Rand, percent int) Option {
	return func(d *Disk) { d.flusher, d.flushes = rng, percent }
}

// Capacity limits the bytes that all files hold together.
func Capacity(bytes int64) Option {
	return func(d *Disk) { d.capacity = bytes }
}

// ReuseFreed lets the blocks of freed files be written by others before the
// names are durably gone. The disks that AfterCrash and Clone make do it too.
func ReuseFreed() Option {
	return func(d *Disk) { d.reuse = true }
}

// Free implements disk.Disk.
func (d *Disk) Free() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity == 0 {
		return 1 << 40, nil
	}
	return max(0, d.capacity-d.used), nil
}

// change counts a changing operation, and breaks it if it is its turn.
func (d *Disk) change(step disk.Step) error {
	if d.crashed {
		return ErrCrashed
	}
	d.steps = append(d.steps, step)
	if d.flusher != nil && chance(d.flusher, d.flushes) {
		flush(d.root, d.flusher, map[*node]bool{})
	}
	if d.watch != nil {
		d.mu.Unlock()
		d.watch(len(d.steps), step)
		d.mu.Lock()
	}
	if len(d.steps) == d.crashAt {
		d.crashed = true
		return ErrCrashed
	}
	for i := range d.faults {
		if err := d.faults[i].hit(step); err != nil {
			d.failed = true
			return err
		}
	}
	return nil
}

// flush makes each file and directory below n durable, or not.
func flush(n *node, rng *rand.Rand, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	for _, name := range allNames(n) {
		if child := n.entries[name]; child != nil {
			flush(child, rng, seen)
		}
	}
	if !chance(rng, 50) {
		return
	}
	n.durAttr = n.attr
	if n.isDir() {
		n.durable = maps.Clone(n.entries)
	} else {
		n.sync()
	}
}

// read counts a reading operation.
func (d *Disk) read() error {
	if d.crashed {
		return ErrCrashed
	}
	d.reads++
	if err := d.readFail.hit(""); err != nil {
		d.failed = true
		return err
	}
	return nil
}

// hit counts an operation, and returns the error it meets.
func (f *fault) hit(step disk.Step) error {
	if f.at == 0 || (f.step != "" && f.step != step) {
		return nil
	}
	f.seen++
	if f.seen == f.at || (f.sticky && f.seen > f.at) {
		return f.errno
	}
	return nil
}

// Crashed tells whether the operation of CrashAt was reached.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// Failed tells whether an operation met a fault.
func (d *Disk) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Crash crashes the disk now.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
}

// Heal takes all faults back, and counts operations from 1 again. A crashed
// disk stays crashed.
func (d *Disk) Heal(opts ...Option) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps, d.reads, d.faults, d.readFail, d.failed, d.crashAt = nil, 0, nil, fault{}, false, 0
	d.shortAt, d.watch, d.flusher, d.swallow = 0, nil, nil, ""
	for _, o := range opts {
		o(d)
	}
}

// Steps lists the labels of the changing operations so far, the broken ones
// included.
func (d *Disk) Steps() []disk.Step {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]disk.Step(nil), d.steps...)
}

// pathError wraps err as the real disk does.
func pathError(step disk.Step, op, name string, err error) error {
	if step == "" {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return fmt.Errorf("%s: %s %s: %w", step, op, name, err)
}
