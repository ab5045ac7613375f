package locks

import (
	"cmp"
	"slices"
)

// The functions here need Table.mu.

// file returns the locks of an inode, made if there are none.
func (t *Table) file(ino uint64, sp Space) *file {
	k := key{ino, sp}
	f, ok := t.files[k]
	if !ok {
		f = &file{key: k}
		t.files[k] = f
	}
	return f
}

// drop forgets a file without locks and waiters.
func (t *Table) drop(f *file) {
	if len(f.held) == 0 && len(f.queue) == 0 {
		delete(t.files, f.key)
	}
}

func (f *file) holder(owner uint64) holder { return holder{f.key.sp, owner} }

// blocked tells whether a held lock conflicts with l.
func (f *file) blocked(l Lock) bool { return slices.ContainsFunc(f.held, l.conflicts) }

// mustQueue tells whether fairness makes l wait behind one of the first n in
// the queue. Owners with locks are let past, see the package comment.
func (t *Table) mustQueue(f *file, l Lock, n int) bool {
	if t.counts[f.holder(l.Owner)] > 0 {
		return false
	}
	return slices.ContainsFunc(f.queue[:n], func(w *waiter) bool { return w.l.conflicts(l) })
}

// clear removes the owner from the range, splitting what reaches out of it.
// It tells whether there was anything.
func (t *Table) clear(f *file, owner uint64, start, end uint64) bool {
	var kept, split []Lock
	changed := false
	for _, h := range f.held {
		if h.Owner != owner || !h.overlaps(start, end) {
			kept = append(kept, h)
			continue
		}
		changed = true
		if h.Start < start {
			left := h
			left.End = start - 1
			split = append(split, left)
		}
		if h.End > end {
			right := h
			right.Start = end + 1
			split = append(split, right)
		}
	}
	if changed {
		t.set(f, owner, append(kept, split...))
	}
	return changed
}

// place gives the owner l, in place of what it has in the range. Nobody
// else's lock may conflict.
func (t *Table) place(f *file, l Lock) {
	t.clear(f, l.Owner, l.Start, l.End)
	// What touches it and is of the same type becomes one with it.
	kept := f.held[:0:0]
	for _, h := range f.held {
		same := h.Owner == l.Owner && h.Type == l.Type
		switch {
		case same && h.End+1 == l.Start:
			l.Start = h.Start
		case same && l.End+1 == h.Start:
			l.End = h.End
		default:
			kept = append(kept, h)
		}
	}
	t.set(f, l.Owner, append(kept, l))
}

// set replaces the held locks, of which only the owner's changed.
func (t *Table) set(f *file, owner uint64, held []Lock) {
	h := f.holder(owner)
	before, after := 0, 0
	for _, l := range f.held {
		if l.Owner == owner {
			before++
		}
	}
	for _, l := range held {
		if l.Owner == owner {
			after++
		}
	}
	slices.SortStableFunc(held, func(a, b Lock) int { return cmp.Compare(a.Start, b.Start) })
	f.held = held
	if t.counts[h] += after - before; t.counts[h] == 0 {
		delete(t.counts, h)
	}
}

// affected lists the files where waiters may go on after the owner got a lock
// on f: f itself, as the lock may be a lesser one than before, and where the
// owner waits, as an owner with locks need not queue.
func (t *Table) affected(f *file, owner uint64) []*file {
	all := []*file{f}
	for _, w := range t.waits[f.holder(owner)] {
		if w.f != f {
			all = append(all, w.f)
		}
	}
	return all
}

// serve grants what has become possible on the files, in order of arrival.
func (t *Table) serve(files ...*file) {
	for len(files) > 0 {
		f := files[0]
		i := 0
		for i < len(f.queue) && (f.blocked(f.queue[i].l) || t.mustQueue(f, f.queue[i].l, i)) {
			i++
		}
		if i == len(f.queue) {
			files = files[1:]
			continue
		}
		// One grant can change what stands for all: look from the start.
		w := f.queue[i]
		t.dequeue(w)
		t.place(f, w.l)
		w.done <- nil
		files = append(files, t.affected(f, w.l.Owner)[1:]...)
	}
}

func (t *Table) enqueue(w *waiter) {
	w.f.queue = append(w.f.queue, w)
	h := w.f.holder(w.l.Owner)
	t.waits[h] = append(t.waits[h], w)
}

func (t *Table) dequeue(w *waiter) {
	is := func(o *waiter) bool { return o == w }
	w.f.queue = slices.DeleteFunc(w.f.queue, is)
	h := w.f.holder(w.l.Owner)
	if t.waits[h] = slices.DeleteFunc(t.waits[h], is); len(t.waits[h]) == 0 {
		delete(t.waits, h)
	}
}

// deadlocks tells whether w would wait for itself: for an owner that waits,
// over any number of others, for the owner of w.
func (t *Table) deadlocks(w *waiter) bool {
	seen := map[uint64]bool{}
	var reaches func(w *waiter) bool
	reaches = func(o *waiter) bool {
		for _, h := range o.f.held {
			switch {
			case !h.conflicts(o.l) || seen[h.Owner]:
				continue
			case h.Owner == w.l.Owner:
				return true
			}
			seen[h.Owner] = true
			if slices.ContainsFunc(t.waits[holder{Posix, h.Owner}], reaches) {
				return true
			}
		}
		return false
	}
	return reaches(w)
}
