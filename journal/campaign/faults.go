package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"syscall"

	"intactfs/journal"
	"intactfs/journal/disk/disktest"
)

// A fault is what an operation of the disk meets instead of success.
type fault struct {
	name   string
	errno  syscall.Errno // 0: a short write
	sticky bool          // and all operations after it
}

// faults are all kinds. EINTR comes from a disk that does not repeat by
// itself; sticky ones of it would repeat for ever on one that does.
var faults = func() (all []fault) {
	for _, e := range []struct {
		name  string
		errno syscall.Errno
	}{{"ENOSPC", syscall.ENOSPC}, {"EIO", syscall.EIO}, {"EDQUOT", syscall.EDQUOT}, {"EMFILE", syscall.EMFILE},
		{"EROFS", syscall.EROFS}, {"EINTR", syscall.EINTR}} {
		all = append(all, fault{e.name, e.errno, false}, fault{e.name + " from there on", e.errno, true})
	}
	return append(all, fault{name: "short write"})
}()

func (f fault) at(n int) disktest.Option {
	if f.errno == 0 {
		return disktest.ShortWriteAt(n)
	}
	return disktest.FailAt(n, f.errno, f.sticky)
}

// explains says whether err is what a caller should be told of the fault.
func (f fault) explains(err error) bool {
	if f.errno == 0 {
		return errors.Is(err, io.ErrShortWrite)
	}
	return errors.Is(err, f.errno)
}

// failEverywhere lets each operation of each workload fail in every way.
func failEverywhere(c config) (r result) {
	for i := 0; r.states < c.states && len(r.wrong) < maxWrong && !c.stopped(); i++ {
		number := c.number(i)
		w := newWorkload(c.seed, number)
		for kind, f := range faults {
			n, wrong := w.failAtEach(f, kind, 1, 0, c.real)
			r.states += n
			r.wrong = append(r.wrong, wrong...)
		}
		if exhaustive(number) {
			r.sequences++
		} else {
			r.random++
		}
	}
	return r
}

// failAtEach lets every stride-th operation fail with f, from the first
// behind skip on, and checks what the program saw and what is left: for the
// next process, and after a crash.
func (w workload) failAtEach(f fault, kind, stride, skip int, real bool) (count int64, wrong []violation) {
	for n := 1 + skip; ; n += stride {
		d := w.newDisk(f.at(n))
		b := newBook(w.linked)
		if !real {
			w.perfect = &perfect{sums: map[string]map[uint64][32]byte{}}
		}
		err := w.suffer(d, b, f, n)
		steps := d.Steps()
		if len(steps) < n {
			return count, wrong
		}
		count++
		rng := rand.New(rand.NewSource(mix(w.seed, int64(n), int64(kind))))
		after := d.AfterCrash(rng, variants[n%len(variants)])
		if err == nil {
			err = w.examine(after, b, rng)
		}
		if err == nil {
			d.Heal() // no crash: the disk is fine again, and another process starts
			if err = w.examine(d, b, rng); err != nil {
				err = fmt.Errorf("without a crash: %w", err)
			}
		}
		if err != nil {
			wrong = append(wrong, violation{state{w.number, n, kind}, steps[n-1], w, fmt.Errorf("%s: %w", f.name, err)})
		}
	}
}

// suffer does the workload as a program does that goes on after errors. It
// returns what was wrong with an answer.
func (w workload) suffer(d *disktest.Disk, b *book, f fault, seed int) error {
	rng := rand.New(rand.NewSource(int64(seed)))
	s, err := w.open(d, rng)
	if err != nil {
		return w.judge(f, "open", err)
	}
	for _, o := range w.ops {
		err := w.step(s, b, o, rng)
		if err != nil {
			if err := w.judge(f, o.String(), err); err != nil {
				return err
			}
			b.refused(o)
		}
		if o.kind == reopen && err != nil {
			return nil // there is no journal now
		}
		if err := b.present(s, f); err != nil {
			return fmt.Errorf("after %s: %w", o, err)
		}
	}
	if err := s.j.Close(); err != nil {
		return w.judge(f, "close", err)
	}
	return nil
}

// judge accepts an error that names the fault, or says that the journal
// stopped because of it, or that the base of an append was not committed.
func (workload) judge(f fault, what string, err error) error {
	if f.explains(err) || errors.Is(err, journal.ErrStopped) {
		return nil
	}
	return fmt.Errorf("%s: told: %w", what, err)
}

// refused enters that an operation failed. A version that was asked for may
// still be found by a recovery; now the one before is the newest again.
func (b *book) refused(o op) {
	for _, name := range strings.Fields(o.names) {
		if f := b.files[name]; o.kind <= grow && len(f.versions)-1 > f.acked {
			again := f.versions[f.acked]
			again.tx = 0 // it is expected once
			f.versions = append(f.versions, again)
		}
	}
}

// present checks that a reader of this process finds the acknowledged
// versions, unless reading fails too.
func (b *book) present(s *session, f fault) error {
	for path, file := range b.files {
		content, mode, exists := onDisk(s.d, path)
		v, c, ok, err := s.j.OpenPending(path)
		if err != nil && f.explains(err) {
			continue
		}
		if err != nil {
			return err
		}
		if ok {
			content = make([]byte, c.Size())
			if _, err := c.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			mode, exists = v.Attr.Mode, true
			_ = c.Close() // was only read
		}
		if !file.versions[file.acked].is(content, mode, exists) {
			return fmt.Errorf("a reader finds %.40q of %s, acknowledged was %.40q", content, path, file.versions[file.acked].content)
		}
	}
	return nil
}
