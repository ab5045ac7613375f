package backup

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"

	"intactfs/journal/disk"
)

// Options configure a Store. Zero values mean the defaults.
type Options struct {
	ReadOnly bool
	Log      *slog.Logger
	// CacheBytes bounds the contents and encoders that are remembered
	// between saves; 64 MiB if zero.
	CacheBytes int64
	// RejectedPerPath, RejectedBytes and RejectedTotal bound the
	// quarantine: contents of a path, bytes of a path and bytes of all,
	// compressed. 16, 64 MiB and 256 MiB if zero. The newest content of a
	// path stays whatever they say.
	RejectedPerPath int
	RejectedBytes   int64
	RejectedTotal   int64
	// RejectedSize bounds one content: what is beyond is cut off, and the
	// note says so. 64 MiB if zero.
	RejectedSize int64
}

// defaults fills in what was left zero.
func (o *Options) defaults() {
	fill := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	fill(&o.CacheBytes, 64<<20)
	fill(&o.RejectedBytes, 64<<20)
	fill(&o.RejectedTotal, 256<<20)
	fill(&o.RejectedSize, 64<<20)
	if o.RejectedPerPath == 0 {
		o.RejectedPerPath = 16
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Store is the history and quarantine of one data directory. All methods may
// be called from several goroutines.
type Store struct {
	d     *holdingDisk
	o     Options
	log   *slog.Logger
	codec *codec
	// packSize is the size from which on a pack ends before the next
	// keyframe.
	packSize int64

	// tree is held for writing by what renames directories, for reading by
	// everything else.
	tree sync.RWMutex
	// paths are the locks of the paths: each has the one it hashes to. They
	// come after tree.
	paths [64]sync.Mutex
	seed  maphash.Seed

	// mu guards what follows, and is held for no operation of the disk.
	mu    sync.Mutex
	index *lru[string, *history]
	// synced are the packs and directories that this process has synced. What
	// is there when it starts may be in the page cache alone, left by one
	// that was killed.
	synced *lru[string, struct{}]
	// abandoned are the packs of which a sync failed, by inode number, and
	// how much of each was durable before.
	abandoned map[uint64]int64

	refused quarantine
}

// Open makes ready the history below d. It reads and creates nothing.
func Open(d disk.Disk, o Options) (*Store, error) {
	o.defaults()
	c, err := newCodec(o.CacheBytes)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return &Store{
		d: newHoldingDisk(d), o: o, log: o.Log, codec: c, packSize: defaultPackSize, seed: maphash.MakeSeed(),
		index:     newLRU[string, *history](maxIndexed),
		synced:    newLRU[string, struct{}](maxSynced),
		abandoned: make(map[uint64]int64),
		refused:   quarantine{total: -1, behind: make(map[string]note)},
	}, nil
}

// maxSynced bounds the names in Store.synced.
const maxSynced = 1 << 14

// lock locks path against others and the tree against renames.
func (s *Store) lock(path string) (unlock func()) {
	s.tree.RLock()
	mu := &s.paths[maphash.String(s.seed, path)%uint64(len(s.paths))]
	mu.Lock()
	return func() {
		mu.Unlock()
		s.tree.RUnlock()
	}
}

// writable returns an error unless path may be changed.
func (s *Store) writable(path string) error {
	if s.o.ReadOnly {
		return fmt.Errorf("%s: %w", path, ErrReadOnly)
	}
	return checkPath(path)
}

func (s *Store) isSynced(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.synced.get(name)
	return ok
}

func (s *Store) markSynced(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced.put(name, struct{}{}, 1)
}

// unsync takes back markSynced: the name is gone, or will be another file's.
func (s *Store) unsync(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced.drop(name)
}

func (s *Store) abandonedAt(ino uint64) (durable int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	durable, ok = s.abandoned[ino]
	return durable, ok
}

// syncDirs makes the entries of dir durable, and the names of dir and of its
// parents, as far as this process has not done that yet.
func (s *Store) syncDirs(step disk.Step, dir string) error {
	if err := s.d.SyncDir(step, dir); err != nil {
		return err
	}
	var done []string
	for ; dir != "" && !s.isSynced(dir); dir = parentDir(dir) {
		if err := s.d.SyncDir(step, parentDir(dir)); err != nil {
			return err
		}
		done = append(done, dir)
	}
	// Only now: a name counts as synced with all above it.
	for _, name := range done {
		s.markSynced(name)
	}
	return nil
}

// distrust remembers that of the file ino only durable bytes are known to be
// on the disk.
func (s *Store) distrust(ino uint64, durable int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned[ino] = durable
}

// trust ends distrust: the file is a new one with the number of an old.
func (s *Store) trust(ino uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.abandoned, ino)
}
