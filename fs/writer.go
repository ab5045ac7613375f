package fs

import (
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/caller"
	"intactfs/fs/decide"
	"intactfs/fs/stage"
)

// writer is a protected file open for writing. It has a stage of its own from
// its first read or write on, or from its open if that truncated: what was
// committed between open and then is seen, so that a read-modify-write under a
// lock starts from what the lock protects.
type writer struct {
	s      *fileSystem
	d      *document
	opener Writer
	// appends says that the handle was opened with O_APPEND on a file of
	// lines.
	appends bool
	// idles says that a whole document is committed when the handle is
	// quiet: it was not opened to be rewritten from nothing.
	idles bool

	// mu is held shared to use the stage and exclusively to make, decide on
	// or end it.
	mu    sync.RWMutex
	stage *stage.Stage // nil: none yet
	// lines says that what is in the stage is added to the newest version,
	// whatever that is by then. A handle that appends begins so, and ends it
	// when it changes what was there before.
	lines bool
	// base is what the stage starts from; nil: nothing, or with lines that
	// it was not opened, as only reading needs it.
	base *pinned
	// baseVersion is the newest version when the stage began.
	baseVersion Version
	// fresh says that the stage is something to commit though nothing was
	// written: opened with O_TRUNC, or created, and not committed since.
	fresh bool
	// cut says that the stage replaces all there was: opened with O_TRUNC,
	// and not committed since.
	cut   bool
	draft bool // the stage continues an emptied version
	armed bool // an fsync came while the content was not whole
	// source is what the stage is filled from, and formerIno the number that its
	// file had, if that got its protected name when it was open; see late.go.
	source    *plainFile
	formerIno uint64
	// flushed says that a descriptor was closed, so that there was one.
	flushed bool
	fate    caller.Fate
	// fateAt is the number of changes when fate was found out.
	fateAt int64
	// refused is the number of changes at the last refusal, failed that at
	// the last commit that failed; -1: none.
	refused, failed int64

	flags atomic.Uint32 // of the open, and what fcntl made of them
	shut  atomic.Bool   // a descriptor was closed by who opened it
	next  atomic.Int64  // the position, as far as reads and writes tell; -1: not known
	kin   kin

	x       transfer
	tid     atomic.Uint32          // the thread that used it last
	paused  atomic.Int64           // how long its writes have waited, in ns
	then    atomic.Pointer[func()] // see once
	dropped bool                   // the last commit found no pages in the kernel; guarded by mu

	changes atomic.Int64 // writes and truncations so far
	// viewed is the stage for those who only want its size.
	viewed atomic.Pointer[stage.Stage]
	// end is where the last write to the stage ended; atTheEnd if none did
	// before the end of the content.
	end    atomic.Int64
	baseSz atomic.Int64 // what a lines stage is added to, for its size
	staged atomic.Bool
	killed atomic.Bool  // set-id bits were dropped for this handle
	mtime  atomic.Int64 // of the content, ns since 1970; 0: not changed

	idleMu sync.Mutex
	timer  *time.Timer
	closed bool
}

var _ openFile = (*writer)(nil)

// newWriter makes the handle of an open for writing.
func (s *fileSystem) newWriter(d *document, in *fuse.InHeader, flags uint32, fresh bool) *writer {
	rule := d.rule.Load()
	w := &writer{s: s, d: d, opener: s.writerOf(in), fresh: fresh, refused: -1, failed: -1}
	w.flags.Store(flags)
	w.tid.Store(in.Pid)
	if flags&unix.O_APPEND != 0 {
		w.next.Store(-1)
	}
	w.cut = flags&unix.O_TRUNC != 0
	w.appends = rule != nil && rule.Lines && flags&unix.O_APPEND != 0
	w.idles = !w.cut && s.idle > 0
	if fresh {
		d.mu.Lock()
		w.baseVersion = d.head
		d.mu.Unlock()
		w.lines, w.base = w.appends, &pinned{}
		w.attach(stage.New(s.stageOptions(rule)))
	}
	w.join()
	return w
}

// atTheEnd is behind every content.
const atTheEnd = math.MaxInt64

// attach makes st the handle's stage. The caller holds mu exclusively, or
// nobody else has the handle yet.
func (w *writer) attach(st *stage.Stage) {
	w.stage = st
	w.end.Store(atTheEnd)
	w.viewed.Store(st)
	w.staged.Store(true)
}

// detach ends the stage: the next use begins another.
func (w *writer) detach() {
	w.staged.Store(false)
	w.viewed.Store(nil)
	if w.stage != nil {
		w.stage.Discard()
	}
	w.base.close()
	w.stage, w.base = nil, nil
	w.fresh, w.cut, w.draft, w.armed = false, false, false, false
	w.baseSz.Store(0)
	w.mtime.Store(0)
}

func (s *fileSystem) openWriter(d *document, in *fuse.OpenIn, out *fuse.OpenOut) error {
	d.mu.Lock()
	gone := d.gone
	d.mu.Unlock()
	if gone {
		return syscall.ESTALE
	}
	if in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		if err := s.killDocSuid(d); err != nil {
			return err
		}
	}
	cut := in.Flags&unix.O_TRUNC != 0
	opened := s.opening(d, in.Pid, cut)
	w := s.newWriter(d, &in.InHeader, in.Flags, cut)
	opened(w)
	s.openedWriter(w, out)
	return nil
}

func (s *fileSystem) openedWriter(w *writer, out *fuse.OpenOut) {
	s.tree.pin(w.d.node)
	out.Fh = s.handles.add(w)
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
}

func (w *writer) owner() *node { return w.d.node }

// begin makes the stage at the first use of the handle: from the draft if the
// name was emptied, else from the newest version.
func (w *writer) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage != nil {
		return nil
	}
	d := w.d
	options := w.s.stageOptions(d.rule.Load())
	d.mu.Lock()
	draft, head, resume := d.draft, d.head, d.resume
	d.mu.Unlock()
	w.baseVersion, w.lines = head, w.appends
	if draft || w.cut {
		w.draft, w.base = draft, &pinned{}
		w.attach(stage.New(options))
		return nil
	}
	if w.lines {
		t, err := d.extent()
		if err != nil {
			return err
		}
		w.baseVersion.Tx = t.tx
		w.baseSz.Store(t.size)
		w.attach(stage.New(options))
		return nil
	}
	p, err := d.pin()
	if err != nil {
		return err
	}
	w.base = p
	w.baseVersion.Tx = p.tx
	base := stage.Base{Content: p, Size: p.size()}
	if p.tx == head.Tx && p.tx != 0 {
		base.Resume = resume
	}
	w.attach(stage.NewOn(options, base))
	return nil
}

// use runs call with the stage, which it begins if there is none.
func (w *writer) use(call func(*stage.Stage) error) error {
	for {
		w.mu.RLock()
		if w.stage != nil {
			defer w.mu.RUnlock()
			return call(w.stage)
		}
		w.mu.RUnlock()
		if err := w.begin(); err != nil {
			return err
		}
	}
}

func (w *writer) read(in *fuse.ReadIn, buf []byte) (int, error) {
	if in.ReadFlags&fuse.READ_LOCKOWNER == 0 {
		w.next.Store(-1)
		return w.d.readFill(&w.x, in, buf)
	}
	if in.Offset == 0 {
		w.renew()
	}
	n, err := w.readStage(in, buf)
	w.moved(int64(in.Offset), int64(n))
	return n, err
}

// readStage reads what the holder of the stage sees.
func (w *writer) readStage(in *fuse.ReadIn, buf []byte) (int, error) {
	for {
		n, lines := 0, false
		err := w.use(func(st *stage.Stage) error {
			var err error
			if lines = w.lines; !lines {
				n, err = readAt(st, buf, int64(in.Offset))
			}
			return err
		})
		if err != nil || !lines {
			return n, err
		}
		n, again, err := w.readLines(buf, int64(in.Offset))
		if !again || err != nil {
			return n, err
		}
	}
}

// renew lets go of a stage that nothing was written to when a newer version
// is there, for those who read from the start before they write.
func (w *writer) renew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stage == nil || w.changed() || w.draft || w.d.headTx() == w.baseVersion.Tx {
		return
	}
	w.detach()
}

// changed tells whether there is something to commit. The caller holds mu.
func (w *writer) changed() bool {
	return w.stage != nil && (w.fresh || w.stage.Changed())
}

func (w *writer) write(in *fuse.WriteIn, data []byte) (int, error) {
	w.noteFlags(in.Flags)
	defer w.pause(in.Pid)()
	change := w.useWhole
	if in.Flags&unix.O_APPEND != 0 {
		change = w.use
	}
	err := change(func(st *stage.Stage) error {
		defer w.touch()
		if in.Flags&unix.O_APPEND != 0 {
			w.end.Store(atTheEnd)
			_, err := st.Append(data) // the kernel's offset is another view's end
			return err
		}
		w.end.Store(int64(in.Offset) + int64(len(data)))
		w.moved(int64(in.Offset), int64(len(data)))
		_, err := st.WriteAt(data, int64(in.Offset))
		return err
	})
	if err == nil && in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 && !w.killed.Swap(true) {
		err = w.s.killDocSuid(w.d)
	}
	if err != nil {
		return 0, err
	}
	return len(data), nil
}

// touch notes a change.
func (w *writer) touch() {
	w.changes.Add(1)
	w.mtime.Store(w.s.now().UnixNano())
	w.restartIdle()
}

func (w *writer) truncate(in *fuse.InHeader, size int64) error {
	defer w.cutting(in.Pid)()
	err := w.useWhole(func(st *stage.Stage) error {
		defer w.touch()
		return st.Truncate(size)
	})
	if err != nil {
		return err
	}
	return w.event(decide.Ftruncate, in.Pid)
}

func (w *writer) allocate(mode uint32, off, n int64) error {
	defer w.pause(w.tid.Load())()
	return w.useWhole(func(st *stage.Stage) error {
		defer w.touch()
		return st.Allocate(mode, off, n)
	})
}

func (w *writer) seek(off int64, whence int) (int64, error) {
	size := int64(0)
	err := w.use(func(st *stage.Stage) error {
		size = w.baseSz.Load() + st.Size()
		return nil
	})
	if err != nil {
		return 0, err
	}
	return seekIn(size, off, whence)
}

func (w *writer) flush(in *fuse.FlushIn) error {
	w.noteShut(in)
	w.tid.Store(in.Pid)
	w.seen()
	return w.eventBy(decide.Flush, closing{in.Pid, in.LockOwner})
}

// fsync makes durable what it commits too: a store may take its time with that,
// but not when it was asked for. There is nothing left to do where it does not.
func (w *writer) fsync(in *fuse.FsyncIn) error {
	if err := w.event(decide.Fsync, in.Pid); err != nil {
		return err
	}
	return w.s.store.Sync(w.s.ctx)
}

// release settles what no close could: descriptors that were passed on, the
// last of several holders, a process that died.
func (w *writer) release() {
	w.stopIdle()
	w.d.transfers.leave(&w.x)
	if err := w.event(decide.Release, 0); err != nil {
		w.s.log.Error("what a closed file held is lost", "path", w.d.name(), "error", err)
	}
	w.mu.Lock()
	w.detach()
	if !w.flushed {
		w.unopened()
	}
	w.mu.Unlock()
	w.d.mu.Lock()
	delete(w.d.writers, w)
	left := w.d.draft && !w.d.exists
	w.d.mu.Unlock()
	if left {
		w.d.keepEmpty(w.opener)
	}
}

// view puts what the holder of the stage sees over the committed attributes.
func (w *writer) view(out *fuse.Attr) {
	out.Blksize = blockSize
	size, staged := w.size()
	if !staged {
		return
	}
	out.Size, out.Blocks = uint64(size), blocksOf(size)
	if ns := w.mtime.Load(); ns != 0 {
		putTime(&out.Mtime, &out.Mtimensec, time.Unix(0, ns))
		putTime(&out.Ctime, &out.Ctimensec, time.Unix(0, ns))
	}
}
