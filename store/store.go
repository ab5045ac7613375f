package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/journal"
	"intactfs/journal/disk"
)

var (
	_ fs.Store          = (*Store)(nil)
	_ fs.Rules          = (*Store)(nil)
	_ journal.Preserver = preserver{}
)

// Options tune a Store.
type Options struct {
	// Purpose says in the lock what the directory is opened for.
	Purpose string
	// Create makes .intact where there is none; else such a directory is
	// ErrUninitialized.
	Create bool
	// ReadOnly changes nothing on the disk, shares the lock with others who
	// read, and serves what recovery would bring back without bringing it.
	ReadOnly bool
	// Fallback opens read-only when the journal is damaged, instead of
	// ErrDamaged; Store.ReadOnly then says why.
	Fallback bool
	// Background runs retention, and looks once for what changed beneath.
	Background bool
	// Patience is how long to wait for a lock that somebody holds.
	Patience time.Duration
	// Override changes the configuration after it was read: flags.
	Override func(*Config)
	// Wrap, if set, stands something between the store and the files of the
	// directory: a test that breaks them.
	Wrap func(disk.Disk) disk.Disk
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Log takes what a person should know; default: discarded.
	Log *slog.Logger
}

// Store serves one directory. Close it once.
type Store struct {
	disk    disk.Disk
	dir     *disk.OS // what disk is, or stands before
	root    *os.Root
	lock    *os.File
	journal *journal.Journal
	history *backup.Store
	config  Config
	rules   []rule
	policy  backup.Policy
	now     func() time.Time
	log     *slog.Logger
	report  journal.Report

	readOnly       bool
	readOnlyReason string
	started        time.Time

	pastMu sync.Mutex
	pasts  map[string]past // guarded by pastMu

	adoptMu sync.Mutex // one file is adopted at a time: the check and the entry are one step

	events events
	dirty  dirtyPaths

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Open takes the lock of the open directory, reads its configuration, and
// replays its journal. The caller keeps dirFile. It returns *LockedError,
// ErrFormat, ErrUninitialized, *ConfigError or ErrDamaged for what they name.
func Open(dirFile *os.File, o Options) (*Store, error) {
	s := &Store{now: o.Now, log: o.Log, pasts: map[string]past{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.started = s.now()
	if err := s.open(dirFile, o); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if o.Background {
		ctx, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		s.wg.Go(func() { s.retain(ctx) })
		if !s.readOnly {
			s.wg.Go(func() { s.adoptAll(ctx) })
		}
	}
	return s, nil
}

func (s *Store) open(dirFile *os.File, o Options) error {
	var err error
	// The magic link reaches the open directory itself, wherever a mount
	// now covers its path.
	if s.root, err = os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dirFile.Fd())); err != nil {
		return fmt.Errorf("open %s: %w", dirFile.Name(), err)
	}
	if s.dir, err = disk.OpenAt(int(dirFile.Fd())); err != nil {
		return err
	}
	s.disk = s.dir
	if o.Wrap != nil {
		s.disk = o.Wrap(s.dir)
	}
	if err := prepare(s.root, o.Create && !o.ReadOnly); err != nil {
		return err
	}
	holder := Holder{PID: os.Getpid(), Purpose: o.Purpose, Since: s.now().UTC()}
	if s.lock, err = lock(s.root, o.ReadOnly, holder, o.Patience); err != nil {
		return err
	}
	if err := s.configure(o.Override); err != nil {
		return err
	}
	s.readOnly = o.ReadOnly
	if s.readOnly {
		s.readOnlyReason = "opened for reading only"
	}
	return s.openParts(o.Fallback)
}

// openParts opens the history, then the journal, which may file versions in
// it at once.
func (s *Store) openParts(fallback bool) error {
	if err := s.openHistory(); err != nil {
		return err
	}
	err := s.openJournal()
	if errors.Is(err, journal.ErrDamaged) && fallback && !s.readOnly {
		s.readOnly, s.readOnlyReason = true, err.Error()
		s.log.Error("journal damaged: serving read-only", "err", err)
		if err := s.history.Close(); err != nil {
			return err
		}
		if err := s.openHistory(); err != nil {
			return err
		}
		err = s.openJournal()
	}
	if errors.Is(err, journal.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	return nil
}

func (s *Store) openHistory() error {
	var err error
	s.history, err = backup.Open(s.disk, backup.Options{
		ReadOnly:        s.readOnly,
		Log:             s.log,
		RejectedPerPath: s.config.Quarantine.MaxFiles,
		RejectedTotal:   int64(s.config.Quarantine.MaxSize),
	})
	if err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	return nil
}

func (s *Store) openJournal() error {
	durability := journal.Full
	if s.config.Durability == Relaxed {
		durability = journal.Relaxed
	}
	j, report, err := journal.Open(s.disk, journal.Options{
		Durability:   durability,
		PublishDelay: time.Duration(s.config.PublishDelay),
		SegmentSize:  int64(s.config.SegmentSize),
		Preserver:    preserver{s},
		Rescue:       s.rescue,
		Now:          s.now,
		Log:          s.log,
		ReadOnly:     s.readOnly,
	})
	if err != nil {
		return err
	}
	s.journal, s.report = j, report
	return nil
}

func (s *Store) configure(override func(*Config)) error {
	text, err := s.root.ReadFile(configName)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read %s: %w", configName, err)
	}
	if s.config, err = ParseConfig(configName, text); err != nil {
		return err
	}
	given := len(s.config.Rules)
	if override != nil {
		override(&s.config)
	}
	s.policy = s.config.Retention.policy()
	return s.prepareRules(text, compileRules(s.config), len(s.config.Rules)-given)
}

// Close publishes what is pending, writes what was held back and gives the
// directory free. It is called once, after the last other call returned.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.wg.Wait()
	return s.release()
}

// release closes whatever was opened, the lock last.
func (s *Store) release() error {
	var errs []error
	if s.journal != nil {
		if err := s.journal.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close journal: %w", err))
		}
	}
	if s.history != nil {
		if err := s.history.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close history: %w", err))
		}
	}
	if s.dir != nil {
		errs = append(errs, s.dir.Close())
	}
	if s.root != nil {
		errs = append(errs, s.root.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Config is the configuration in force.
func (s *Store) Config() Config { return s.config }

// ReadOnly tells whether nothing can be changed, and why.
func (s *Store) ReadOnly() (reason string, readOnly bool) {
	return s.readOnlyReason, s.readOnly
}

// Recovered is what the journal found when it was opened.
func (s *Store) Recovered() journal.Report { return s.report }

// Checkpoint publishes everything that is pending.
func (s *Store) Checkpoint(ctx context.Context) error {
	if s.readOnly {
		return ErrReadOnly
	}
	return s.journal.Checkpoint(ctx)
}
