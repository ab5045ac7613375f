package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"sort"
	"sync"
	"syscall"
	"time"

	"intactfs/journal/disk"
)

const (
	defaultPublishDelay = 2 * time.Second
	defaultSegmentSize  = 16 << 20
	defaultMaxInline    = 256 << 10
	defaultMaxPending   = 256 << 20

	// maxHeld bounds the pending contents kept in memory.
	maxHeld = 32 << 20
	// syncEvery is how long a relaxed commit may stay unsynced.
	syncEvery = 500 * time.Millisecond
)

// Journal makes commits durable and publishes them. All methods may be
// called from several goroutines.
//
// What holds between any two calls, and is what the rest relies on:
//
//   - A version in the index is in a segment that segs has, and counted by its
//     pending. With Full it is synced there: nothing unsynced is ever visible.
//   - segs is in the order of sequence numbers, and the last is the writer's.
//     No mark is in an older segment than what it marks.
//   - A segment leaves segs only from the front, when nothing in it is pending
//     or read, and is used again only after the mark that says so is synced.
//   - A stage that a version names is there until the version is marked.
//   - A number is given away under mu, and the queue is in the order of the
//     numbers: what is newer in the index is newer in the journal.
//
// No operation of the disk is done under mu, but opening a content and looking
// at the base of an append: what they are about must not change in between.
type Journal struct {
	d disk.Disk
	o Options

	mu      sync.Mutex // guards what follows up to the blank line
	index   *index
	lastTx  TxID
	queue   []*request // waiting to be written, in order of their TxIDs
	leading bool       // somebody is writing a batch
	writing []*request // that batch
	settled sync.Cond  // with mu: a batch was written
	segs    []*segment // with live records, oldest first; the last is being written
	free    []*segment // nothing in them is needed
	spare   *segment   // begun, empty, next in line
	lastSeq uint64
	slots   uint64 // highest slot number
	stats   Stats
	stopped error
	closed  bool
	drained chan struct{}   // closed and replaced whenever versions were forgotten
	failing map[string]*row // paths that could not be published
	own     map[string]seen // what the checkpointer left in the backing directory
	above   map[place]bool  // directories whose names are durable, up to the root
	claims  map[string]*job // paths that a round works on
	waiting map[string]bool // paths whose appends wait for company
	old     []held          // replaced files that can't be let go yet

	// spoiled are the names of stages whose sync failed.
	spoiled sync.Map

	// w belongs to the leader; its holder needs no lock.
	w writer

	// spareMu makes one segment at a time. It comes before mu.
	spareMu sync.Mutex

	background background
}

// withDefaults fills in what the caller left out.
func (o Options) withDefaults() Options {
	if o.PublishDelay <= 0 {
		o.PublishDelay = defaultPublishDelay
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = defaultSegmentSize
	}
	o.SegmentSize = max(o.SegmentSize, minSegmentSize)
	if o.MaxInline <= 0 {
		o.MaxInline = defaultMaxInline
	}
	o.MaxInline = min(o.MaxInline, o.SegmentSize/8)
	if o.MaxPending <= 0 {
		o.MaxPending = defaultMaxPending
	}
	if o.Preserver == nil {
		o.Preserver = noHistory{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.Rand = &lockedReader{r: o.Rand}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// lockedReader lets several goroutines draw from one source.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// noHistory is the Preserver of a journal without one.
type noHistory struct{}

func (noHistory) Preserve(context.Context, string, []Kept) error { return nil }
func (noHistory) Adopt(context.Context, string) error            { return nil }

// Open replays the journal of d, and makes an empty one if there is none.
// Committed versions that were not published are pending again; the
// checkpointer publishes them as any other. Damage is an error that wraps
// ErrDamaged, and leaves the disk as it is; with Options.ReadOnly it is told
// in the Report alone, and the versions before it are served.
func Open(d disk.Disk, o Options) (*Journal, Report, error) {
	o = o.withDefaults()
	j := &Journal{
		d: d, o: o,
		index:   newIndex(maxHeld),
		drained: make(chan struct{}),
		failing: map[string]*row{},
		own:     map[string]seen{},
		above:   map[place]bool{},
		claims:  map[string]*job{},
		waiting: map[string]bool{},
	}
	j.settled.L = &j.mu
	report, err := j.recover()
	if err != nil {
		j.closeFiles()
		return nil, report, fmt.Errorf("open journal: %w", err)
	}
	if !o.ReadOnly {
		j.start()
	}
	return j, report, nil
}

// Commit makes p the newest version of its path. When it returns nil the
// version is visible through Pending and, with Full, survives power loss. On
// an error the previous version stands and a stage is still the caller's,
// with one exception: after ErrStopped the next Open may find the version
// committed. Commit waits while too much is pending, as long as ctx allows.
func (j *Journal) Commit(ctx context.Context, p Put) (Version, error) {
	v, err := j.commit(ctx, p)
	if err != nil {
		return Version{}, fmt.Errorf("commit %s: %w", p.Path, err)
	}
	return v, nil
}

func (j *Journal) commit(ctx context.Context, p Put) (Version, error) {
	if err := j.checkPut(p); err != nil {
		return Version{}, err
	}
	if p.Stage == "" && p.Size > j.o.MaxInline {
		return j.commitStaged(ctx, p)
	}
	crc := stageSum{p.CRC32C, p.HasCRC}
	if p.Stage != "" {
		if err := j.sealStage(p.Stage, p.Size, &crc); err != nil {
			return Version{}, err
		}
	}
	if err := j.admit(ctx); err != nil {
		return Version{}, err
	}
	r := newRequest(recordCommit)
	defer r.release()
	r.version = &version{
		Version: Version{Time: j.o.Now(), Path: p.Path, Links: p.Links, Size: p.Size, SHA256: p.SHA256, Attr: p.Attr,
			Base: p.Base, Who: p.Who, Note: p.Note},
		stage: p.Stage,
	}
	r.tail = p.Inline
	payload := commitPayload{Version: r.version.Version, stage: p.Stage, content: p.Inline}
	if p.Stage != "" {
		r.version.crc, payload.crc = crc, crc
	}
	r.payload = appendCommit(r.payload, &payload)
	if r.size() > j.maxRecord() {
		return Version{}, ErrTooLarge
	}
	if err := j.submitVersion(ctx, r); err != nil {
		return Version{}, err
	}
	return r.version.Version, nil
}

// checkPut refuses what could not be decoded again.
func (j *Journal) checkPut(p Put) error {
	if err := checkNames(p.Path, p.Links); err != nil {
		return err
	}
	switch {
	case j.o.ReadOnly:
		return ErrReadOnly
	case p.Stage != "" && (!isStage(p.Stage) || len(p.Inline) > 0 || p.Size < 0):
		return ErrStage
	case p.Stage == "" && p.Size != int64(len(p.Inline)):
		return fmt.Errorf("size %d with %d bytes of content: %w", p.Size, len(p.Inline), syscall.EINVAL)
	case len(p.Note) > maxString || len(p.Who.Program) > maxString || len(p.Attr.Xattrs) > maxString:
		return ErrTooLarge
	}
	for name := range p.Attr.Xattrs {
		if len(name) > maxString {
			return ErrTooLarge
		}
	}
	return nil
}

// commitStaged is for contents that came inline and are too large for it.
func (j *Journal) commitStaged(ctx context.Context, p Put) (Version, error) {
	name, err := j.stageBytes(p.Inline)
	if err != nil {
		return Version{}, err
	}
	p.CRC32C, p.HasCRC = crc32.Checksum(p.Inline, castagnoli), true
	p.Stage, p.Inline = name, nil
	v, err := j.commit(ctx, p)
	if err != nil && !errors.Is(err, ErrStopped) {
		if derr := j.Discard(name); derr != nil {
			j.o.Log.Warn("stage stays until the next start", "stage", name, "error", derr)
		}
	}
	return v, err
}

// maxRecord is the largest record that fits in an empty segment.
func (j *Journal) maxRecord() int64 {
	s := segment{segmentHeader: segmentHeader{size: j.o.SegmentSize}}
	return s.limit(recordCommit) - segmentHeaderSize
}

// admit waits until the journal has room for one more version. While nothing
// that is pending can be published there is no point in waiting: the reason
// is the answer.
func (j *Journal) admit(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for tries := 0; j.crowded(); tries++ {
		if err := j.usable(); err != nil {
			return err
		}
		if err := j.stats.PublishFailing; err != nil && len(j.failing) >= len(j.index.paths) {
			return fmt.Errorf("journal is full: %w", err)
		}
		drained := j.drained
		if j.o.Manual {
			if tries > 0 {
				return fmt.Errorf("journal is full: %w", syscall.ENOSPC)
			}
			j.mu.Unlock()
			err := j.Checkpoint(ctx)
			j.mu.Lock()
			if err != nil {
				return err
			}
			continue
		}
		j.background.trigger(0)
		j.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
		}
		j.mu.Lock()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for room in the journal: %w", err)
		}
	}
	return nil
}

// crowded says that a new version has to wait.
func (j *Journal) crowded() bool {
	return j.index.bytes >= j.o.MaxPending || int64(len(j.segs)) > 4+2*(j.o.MaxPending/j.o.SegmentSize)
}

// usable is the error that changes get now. The caller holds mu.
func (j *Journal) usable() error {
	switch {
	case j.o.ReadOnly:
		return ErrReadOnly
	case j.closed:
		return ErrClosed
	}
	return j.stopped
}

// Pending is the newest committed version of path while the backing
// directory does not have it; false if it does, or nothing was committed. For
// one of several names of a file it has the Path that the file was committed to.
func (j *Journal) Pending(path string) (Version, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := j.index.find(path); v != nil {
		return v.Version, true
	}
	return Version{}, false
}

// PendingNames lists, sorted, the names directly below dir that have a
// pending version; "" is the root. The backing directory has an older version
// of them, or none: PendingNew tells.
func (j *Journal) PendingNames(dir string) []string {
	j.mu.Lock()
	names := j.index.names(dir)
	j.mu.Unlock()
	sort.Strings(names)
	return names
}

// PendingNew lists the names of PendingNames that the backing directory does
// not have at all.
func (j *Journal) PendingNew(dir string) []string {
	var fresh []string
	for _, name := range j.PendingNames(dir) {
		if _, err := j.d.Stat(inDir(dir, name)); err != nil {
			fresh = append(fresh, name)
		}
	}
	return fresh
}

// Sync makes every commit so far durable, whatever the durability.
func (j *Journal) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.o.ReadOnly {
		return nil
	}
	r := newRequest(recordNone)
	defer r.release()
	r.sync = true
	if err := j.submit(r); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// Stats is a snapshot of what the journal did and holds.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Pending, s.PendingPaths = j.index.count, len(j.index.paths)
	s.PendingBytes, s.MemoryBytes = j.index.bytes-int64(j.index.count)*versionOverhead, j.index.held
	s.WaitingPaths = len(j.waiting)
	s.Segments, s.LastTx, s.Stopped = len(j.segs), j.lastTx, j.stopped
	for _, vs := range j.index.paths {
		if t := vs[0].Time; s.OldestPending.IsZero() || t.Before(s.OldestPending) {
			s.OldestPending = t
		}
	}
	return s
}

// Close publishes everything, ends the segment and closes the files. Commits
// that come from now on get ErrClosed. What could not be published stays in
// the journal for the next Open, and is told as an error.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closed = true
	close(j.drained) // nobody waits for room any longer
	j.drained = make(chan struct{})
	j.mu.Unlock()
	if j.o.ReadOnly {
		j.closeFiles()
		return nil
	}
	j.stop()
	err := j.checkpoint(context.Background(), true)
	r := newRequest(recordEnd)
	defer r.release()
	r.sync, r.internal = true, true
	if e := j.submit(r); err == nil {
		err = e
	}
	j.letGoAll()
	j.spareMu.Lock() // a segment being made is waited for
	defer j.spareMu.Unlock()
	j.closeFiles()
	if err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// closeFiles closes every segment. Nothing unsynced is in them that anybody
// was promised, so that an error has nobody to go to.
func (j *Journal) closeFiles() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range append(append(j.segs, j.free...), j.spare) {
		if s != nil && s.file != nil {
			_ = s.file.Close()
		}
	}
}
