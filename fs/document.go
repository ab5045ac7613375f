package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/stage"
)

// blockSize is what a program that has the file open for writing is told to
// write in: large enough that a saved document comes in a few requests instead
// of thousands.
const blockSize = 1 << 20

// readSize is what all others are told: enough for the whole file, up to
// blockSize. Not more: the pages of a buffer are made present for every direct
// read, whatever it finds.
func readSize(size int64) uint32 {
	block := uint32(4096)
	for int64(block) <= size && block < blockSize {
		block *= 2
	}
	return block
}

// document is a protected file: its names, one line of committed versions, any
// number of private stages.
type document struct {
	s    *fileSystem
	node *node
	ino  uint64
	rule atomic.Pointer[Rule]

	// commit is held by whoever commits to, removes or renames the name.
	commit sync.Mutex
	// filled is set when the kernel may have pages of a committed version.
	filled atomic.Bool
	// transfers are those who read through these pages.
	transfers transfers
	// linked is set while the file has other names, or may have.
	linked atomic.Bool
	// counted is set while the tree has all names of the file, if it has several:
	// beneath are those too that what is pending for them will take.
	counted atomic.Bool
	// kept is the last version of a name that is gone, for who was on the
	// way to it meanwhile.
	kept atomic.Pointer[pinned]

	mu      sync.Mutex // guards what follows
	writers map[*writer]struct{}
	head    Version       // newest version committed here, as far as known
	resume  *stage.Resume // digest of head's content
	tail    tail          // how some version ended, for who appends to it
	ctime   time.Time     // of the last change here; zero: as the backing file has it
	// exists says that something was committed to the name once.
	exists bool
	// born is what a name has that nothing was committed to.
	born Attr
	// draft says that the name was emptied and left so: the next writer
	// that doesn't truncate continues from nothing.
	draft bool
	// shown says that a name with only a draft is there for everybody: the
	// one who made it has closed it.
	shown bool
	// gone says that the name was removed or given to another file; last is
	// what can still be told of it.
	gone bool
	last fuse.Attr
	// leaving says that the name is about to be given to another file: what
	// is kept and last are all that is told, as if it were gone.
	leaving bool
}

func (s *fileSystem) newDocument(rule *Rule, ino uint64) *document {
	d := &document{s: s, ino: ino, writers: map[*writer]struct{}{}}
	d.rule.Store(rule)
	return d
}

// pendingDocument is a document whose newest version is in the journal.
func (s *fileSystem) pendingDocument(rule *Rule, v Version) *document {
	ino, ok := inoOf(v.Attr)
	if !ok {
		ino = freshIno()
	}
	d := s.newDocument(rule, ino)
	d.head, d.exists = v, true
	return d
}

// backedDocument is a document whose newest version is beneath.
func (s *fileSystem) backedDocument(rule *Rule, ino uint64) *document {
	d := s.newDocument(rule, ino)
	d.exists = true
	return d
}

// settled tells whether something was committed to the name.
func (d *document) settled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exists
}

// taken tells whether the name is in use: committed, drafted or being written.
func (d *document) taken() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.gone && (d.exists || d.shown || len(d.writers) > 0)
}

// visibleTo tells whether the caller may see the name: it was complete once,
// or closed empty, or the caller is who writes it.
func (d *document) visibleTo(in *fuse.InHeader) bool {
	d.mu.Lock()
	visible, writing := !d.gone && (d.exists || d.shown), len(d.writers) > 0
	d.mu.Unlock()
	return visible || writing && d.writerFor(in) != nil
}

// writerFor returns an open writer of the calling process, one with a stage if
// there is any; nil if the process has none.
func (d *document) writerFor(in *fuse.InHeader) *writer {
	d.mu.Lock()
	writers := make([]*writer, 0, len(d.writers))
	for w := range d.writers {
		writers = append(writers, w)
	}
	d.mu.Unlock()
	if len(writers) == 0 || in == nil {
		return nil
	}
	tgid, ok := d.s.who.TGID(in.Pid)
	if !ok {
		return nil
	}
	var found *writer
	for _, w := range writers {
		if w.opener.PID == tgid && (found == nil || w.staged.Load()) {
			found = w
		}
	}
	return found
}

// state is the newest committed version of a document as it can be told.
type state struct {
	attr    fuse.Attr
	pending bool
	idle    bool // nobody writes
}

// committed tells the attributes of the newest committed version.
func (d *document) committed() (state, error) {
	s := d.s
	s.names.RLock()
	defer s.names.RUnlock()
	d.mu.Lock()
	gone, exists, ctime, born, last := d.gone || d.leaving, d.exists, d.ctime, d.born, d.last
	d.mu.Unlock()
	if gone {
		return state{attr: last}, nil
	}
	path, ok := s.tree.path(d.node)
	if !ok {
		return state{}, syscall.ESTALE
	}
	if v, ok := s.store.Pending(path); ok {
		if ctime.Before(v.Time) {
			ctime = v.Time
		}
		out := state{attr: attrOf(v.Attr, v.Size, ctime, d.ino), pending: true}
		out.attr.Nlink = uint32(max(1, len(v.Names)))
		return out, nil
	}
	if !exists {
		return state{attr: attrOf(born, 0, ctime, d.ino)}, nil
	}
	st, err := s.stat(d.node)
	if err != nil {
		return state{}, err
	}
	var out state
	fillAttr(&out.attr, &st)
	out.attr.Ino, out.attr.Blksize = d.ino, readSize(st.Size)
	if !d.linked.Load() || d.counted.Load() {
		out.attr.Nlink = uint32(s.tree.count(d.node))
	}
	if !ctime.IsZero() {
		putTime(&out.attr.Ctime, &out.attr.Ctimensec, ctime)
	}
	return out, nil
}

// attrOf is the attributes of a version that is not beneath.
func attrOf(a Attr, size int64, ctime time.Time, ino uint64) fuse.Attr {
	out := fuse.Attr{
		Ino: ino, Size: uint64(size), Blocks: blocksOf(size),
		Mode: unix.S_IFREG | a.Mode&07777, Nlink: 1,
		Owner:   fuse.Owner{Uid: a.UID, Gid: a.GID},
		Blksize: readSize(size),
	}
	putTime(&out.Atime, &out.Atimensec, a.Atime)
	putTime(&out.Mtime, &out.Mtimensec, a.Mtime)
	putTime(&out.Ctime, &out.Ctimensec, ctime)
	return out
}

// blocksOf is the 512-byte blocks of a content that is not beneath, in whole
// pages, as most file systems will have it once it is.
func blocksOf(size int64) uint64 { return uint64(size+4095) / 4096 * 8 }

func putTime(sec *uint64, nsec *uint32, t time.Time) {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	*sec, *nsec = uint64(t.Unix()), uint32(t.Nanosecond())
}

// docAttributes tells a protected file: to the process that has a stage open,
// with the stage's size; to all others as it was last committed.
func (s *fileSystem) docAttributes(d *document, in *fuse.InHeader, out *fuse.Attr) (time.Duration, error) {
	now, w, err := d.seenBy(in, out)
	if err != nil || now.idle {
		return docTimeout, err
	}
	if w != nil && out.Size != now.attr.Size {
		d.unshared(in.Pid)
	}
	return 0, nil
}

// seenBy is docAttributes without a word of how long it stays true. It also tells
// what was committed, and whose stage is seen.
func (d *document) seenBy(in *fuse.InHeader, out *fuse.Attr) (state, *writer, error) {
	now, err := d.committed()
	if err != nil {
		return now, nil, err
	}
	*out = now.attr
	d.mu.Lock()
	now.idle = len(d.writers) == 0
	d.mu.Unlock()
	w := d.writerFor(in)
	if w != nil {
		w.view(out)
	}
	return now, w, nil
}

// show makes a name with only a draft visible to everybody, and keeps the
// node for it.
func (d *document) show() {
	d.mu.Lock()
	pin := !d.shown && !d.exists && !d.gone
	d.shown = d.shown || pin
	d.mu.Unlock()
	if pin {
		d.s.tree.pin(d.node)
	}
}

// pinned is one committed content that somebody reads.
type pinned struct {
	content Content
	tx      uint64
	// more is how many hold it beside the first; -1 after the last let go.
	more atomic.Int32
}

func (p *pinned) close() {
	if p != nil && p.more.Add(-1) < 0 && p.content != nil {
		_ = p.content.Close()
	}
}

// share is one more hold on a content that may just be let go.
func (p *pinned) share() (*pinned, error) {
	if p == nil {
		return nil, syscall.ESTALE
	}
	for {
		n := p.more.Load()
		if n < 0 {
			return nil, syscall.ESTALE
		}
		if p.more.CompareAndSwap(n, n+1) {
			return p, nil
		}
	}
}

func (p *pinned) size() int64 {
	if p == nil || p.content == nil {
		return 0
	}
	return p.content.Size()
}

// ReadAt reads the content; nothing committed reads as empty.
func (p *pinned) ReadAt(buf []byte, off int64) (int, error) {
	if p == nil || p.content == nil {
		return 0, nil
	}
	return readAt(p.content, buf, off)
}

// pin opens the newest committed version; one without content if there is
// none yet.
func (d *document) pin() (*pinned, error) {
	s := d.s
	s.names.RLock()
	defer s.names.RUnlock()
	d.mu.Lock()
	gone, exists, tx := d.gone || d.leaving, d.exists, d.head.Tx
	d.mu.Unlock()
	if gone {
		return d.kept.Load().share()
	}
	path, ok := s.tree.path(d.node)
	if !ok {
		return nil, syscall.ESTALE
	}
	v, content, ok, err := s.store.OpenPending(path)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &pinned{content: content, tx: v.Tx}, nil
	case !exists:
		return &pinned{}, nil
	}
	fd, err := s.openNode(d.node, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	backing, err := newBackingContent(fd)
	if err != nil {
		return nil, err
	}
	return &pinned{content: backing, tx: tx}, nil
}

// headTx is the newest version committed here, 0 if none is known.
func (d *document) headTx() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.head.Tx
}
