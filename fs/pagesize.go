package fs

import (
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The kernel has one size for a file too. Writers move it: a truncating open
// makes it nothing, a write that goes further makes it more, whatever others
// have committed; and who reads through pages ends there. A size that is too
// large does no harm, as the short answer to who asks for more sets it right. So
// it must not be less than what is committed, from before a reader asks for the
// size until it is done:
//
//   - What the process that writes is told of its own size stays with it: the
//     kernel drops from an answer what was changed since the question.
//   - A truncating open is followed by a store of the last committed byte, which
//     makes the size grow again. Until then no reader is let in.
//   - So is a commit.
//   - A truncation by ftruncate is answered with what is committed.

// attributesFor is attributes for a question that may come with a handle: the
// kernel asks so for lseek with SEEK_END, and goes by the size of the inode then.
func (s *fileSystem) attributesFor(n *node, in *fuse.GetAttrIn, out *fuse.Attr) (time.Duration, error) {
	d := n.doc.Load()
	if d == nil || in.Flags()&fuse.FUSE_GETATTR_FH == 0 {
		return s.attributes(n, &in.InHeader, out)
	}
	now, w, err := d.seenBy(&in.InHeader, out)
	if err == nil && w != nil && out.Size < now.attr.Size && d.transfers.used.Load() {
		w.pause(in.Pid)()
		time.AfterFunc(s.pace.reply, d.regrow)
	}
	return 0, err
}

// unshared has the answer to a question about a size, that is still to come, be
// told to who asked and to nobody else.
func (d *document) unshared(tid uint32) {
	if d.transfers.used.Load() {
		d.seenFrom(tid)
		_ = d.s.server.InodeNotify(d.node.id, -1, 0)
	}
}

// readFill serves what goes into the kernel's pages: mappings, sendfile and
// splice, of whatever handle. It is the newest committed version always, so
// that no stage shows through the pages that all handles share.
func (d *document) readFill(x *transfer, in *fuse.ReadIn, buf []byte) (int, error) {
	d.transfers.begin(x, in.Pid, &d.s.pace)
	defer d.transfers.end(x)
	d.filled.Store(true)
	p, err := d.pin()
	if err != nil {
		return 0, err
	}
	defer p.close()
	return p.ReadAt(buf, int64(in.Offset))
}

// storeLast makes the kernel's size at least that of the newest version. It may
// wait for requests for pages; the size has grown before that.
func (d *document) storeLast() {
	p, err := d.pin()
	if err != nil {
		return
	}
	defer p.close()
	last := make([]byte, 1)
	if n, err := p.ReadAt(last, p.size()-1); p.size() == 0 || n == 0 || err != nil {
		return
	}
	d.transfers.store()
	_ = d.s.server.InodeNotifyStoreCache(d.node.id, p.size()-1, last)
}

// regrow is storeLast outside a commit; one that runs does it itself.
func (d *document) regrow() {
	var x transfer
	if !d.transfers.alone(&x) {
		return
	}
	defer d.transfers.leave(&x)
	d.storeLast()
}

// turn waits for those who read through pages before a commit through the handle,
// and keeps others off until what it returns is called, which is told whether
// something was committed. Where nobody ever read so it does nothing. The caller
// holds mu, which no such read needs, and no lock of the document.
func (w *writer) turn() func(committed bool) {
	d, s := w.d, w.s
	w.dropped = false
	if !d.transfers.used.Load() {
		return func(bool) {}
	}
	d.transfers.saving.Lock()
	if d.filled.Swap(false) {
		d.transfers.store()
	}
	ok := d.transfers.shut(w.tid.Load(), &s.pace, func() {
		_ = s.server.InodeNotify(d.node.id, 0, 0)
	})
	w.dropped = ok
	if !ok {
		d.filled.Store(true) // they are dropped after the commit
		s.counts.unwaited.Add(1)
		s.log.Debug("a commit goes on in the middle of a sendfile or the like", "path", d.name())
	}
	return func(committed bool) {
		if committed {
			d.grown()
		}
		d.transfers.reopen()
		d.transfers.saving.Unlock()
	}
}

// grown has the kernel forget the size that it was told before a commit, and know
// one that is large enough. The pages that it has locked are not answered before
// it returns: it does not wait for them long.
func (d *document) grown() {
	_ = d.s.server.InodeNotify(d.node.id, -1, 0)
	x := &transfer{paged: true, active: 1}
	d.transfers.mu.Lock()
	d.transfers.add(x)
	d.transfers.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer d.transfers.leave(x)
		d.storeLast()
	}()
	timer := time.NewTimer(d.s.pace.store)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// opening waits for those who read through pages before an open for writing that
// empties. What it returns is called with the handle before the kernel is answered.
func (s *fileSystem) opening(d *document, tid uint32, cut bool) func(*writer) {
	t := &d.transfers
	if !cut || !t.used.Load() {
		return func(*writer) {}
	}
	t.keepOut(tid, &s.pace, s.pace.most)
	return func(w *writer) {
		w.once(func() {
			d.regrow()
			t.letIn()
		})
	}
}

// pause waits for those who read through pages before a request of a thread that
// changes the size that they go by. What it returns is called before the kernel is
// answered.
func (w *writer) pause(tid uint32) func() {
	w.seen()
	w.tid.Store(tid)
	t := &w.d.transfers
	most := w.s.pace.most - time.Duration(w.paused.Load())
	if !t.used.Load() || most <= 0 {
		return func() {}
	}
	w.paused.Add(int64(t.keepOut(tid, &w.s.pace, most)))
	return func() { w.once(t.letIn) }
}

// once has something done when the kernel has done what the next answer tells it.
func (w *writer) once(do func()) {
	do = sync.OnceFunc(do)
	if before := w.then.Swap(&do); before != nil {
		(*before)()
	}
	time.AfterFunc(w.s.pace.reply, do)
}

// seen is told of a request that shows that the kernel did what the last answer
// told it.
func (w *writer) seen() {
	if then := w.then.Swap(nil); then != nil {
		(*then)()
	}
}

// seenFrom is seen of the handles that a thread used last.
func (d *document) seenFrom(tid uint32) {
	if !d.transfers.used.Load() {
		return
	}
	var all []*writer
	d.mu.Lock()
	for w := range d.writers {
		if w.tid.Load() == tid {
			all = append(all, w)
		}
	}
	d.mu.Unlock()
	for _, w := range all {
		w.seen()
	}
}

// cutting is pause for a truncation, which waits for nobody: as long as it isn't
// answered the kernel takes no size from anybody else. It keeps off who would ask.
func (w *writer) cutting(tid uint32) func() {
	t := &w.d.transfers
	if !t.used.Load() {
		return func() {}
	}
	t.keepOut(tid, &w.s.pace, 0)
	w.seen()
	w.tid.Store(tid)
	return func() { w.once(t.letIn) }
}

// attributesSet is attributes for the answer to a change of them, which nobody is
// told, and whose size the kernel takes for everybody's.
func (s *fileSystem) attributesSet(n *node, in *fuse.InHeader, out *fuse.Attr) (time.Duration, error) {
	d := n.doc.Load()
	if d == nil || !d.transfers.used.Load() {
		return s.attributes(n, in, out)
	}
	now, err := d.committed()
	*out = now.attr
	return 0, err
}
