package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The names of intact's own files, below the directory it serves.
const (
	Dir            = ".intact"
	formatName     = Dir + "/FORMAT"
	lockName       = Dir + "/lock"
	configName     = Dir + "/config.toml"
	journalName    = Dir + "/journal"
	stagingName    = Dir + "/staging"
	historyName    = Dir + "/history"
	quarantineName = Dir + "/quarantine"
)

// Format is the first line of FORMAT: the version of everything in .intact.
const Format = "intact 1"

// Holder is who holds the lock, as the lock file tells it.
type Holder struct {
	PID     int       `json:"pid"`
	Purpose string    `json:"purpose"` // "mounted on /srv", "verify", ...
	Since   time.Time `json:"since"`
}

// ConfigPath is where the configuration of a directory lies.
func ConfigPath(dir string) string { return dir + "/" + configName }

// prepare makes .intact and its directories, or checks what is there, below
// the open directory. With create false nothing is made.
func prepare(root *os.Root, create bool) error {
	if _, err := root.Lstat(Dir); errors.Is(err, os.ErrNotExist) {
		if !create {
			return ErrUninitialized
		}
		if err := initialize(root); err != nil {
			return fmt.Errorf("create %s: %w", Dir, err)
		}
	} else if err != nil {
		return err
	}
	if err := checkFormat(root, create); err != nil {
		return err
	}
	if !create {
		return nil
	}
	// Contents of files that other users can't read lie in there.
	if err := root.Chmod(Dir, 0o700); err != nil {
		return fmt.Errorf("protect %s: %w", Dir, err)
	}
	for _, name := range []string{journalName, stagingName, historyName, quarantineName} {
		if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	return syncDir(root, Dir)
}

func initialize(root *os.Root) error {
	if err := root.Mkdir(Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(root, ".")
}

// checkFormat refuses what another version wrote. FORMAT is written last when
// .intact is made: a directory with nothing else in it is a creation that was
// interrupted, and is finished.
func checkFormat(root *os.Root, create bool) error {
	text, err := root.ReadFile(formatName)
	if errors.Is(err, os.ErrNotExist) {
		if used, err := inUse(root); err != nil {
			return err
		} else if used {
			return fmt.Errorf("%w: %s is missing", ErrFormat, formatName)
		}
		if !create {
			return ErrUninitialized
		}
		return writeFormat(root)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", formatName, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line != Format {
		return fmt.Errorf("%w: %s says %.40q, this intact reads %q", ErrFormat, formatName, line, Format)
	}
	return nil
}

// inUse tells whether .intact holds anything whose meaning FORMAT would say.
func inUse(root *os.Root) (bool, error) {
	for _, name := range []string{journalName, historyName} {
		f, err := root.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		names, err := f.Readdirnames(1)
		_ = f.Close()
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if len(names) > 0 {
			return true, nil
		}
	}
	return false, nil
}

func writeFormat(root *os.Root) error {
	temp := formatName + ".new"
	f, err := root.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(Format + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", formatName, err)
	}
	return root.Rename(temp, formatName)
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockPoll is how often a lock is tried that somebody holds.
const lockPoll = 20 * time.Millisecond

// lock takes the lock of the directory: shared for those that only read. It
// returns a *LockedError when somebody is in the way for longer than patience.
// The lock goes when the file is closed, or with the process.
func lock(root *os.Root, shared bool, h Holder, patience time.Duration) (*os.File, error) {
	f, err := openLock(root, shared)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", lockName, err)
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	err = flock(f, how|unix.LOCK_NB)
	for waited := time.Duration(0); errors.Is(err, unix.EWOULDBLOCK) && waited < patience; waited += lockPoll {
		time.Sleep(lockPoll)
		err = flock(f, how|unix.LOCK_NB)
	}
	if err != nil {
		holder := readHolder(f)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Holder: holder}
		}
		return nil, fmt.Errorf("lock %s: %w", lockName, err)
	}
	if shared {
		return f, nil
	}
	if err := writeHolder(f, h); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write %s: %w", lockName, err)
	}
	return f, nil
}

// openLock opens the lock file; on a file system that is mounted read-only a
// reader is content with what is there.
func openLock(root *os.Root, shared bool) (*os.File, error) {
	f, err := root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600)
	if shared && err != nil {
		return root.Open(lockName)
	}
	return f, err
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// readHolder is empty when the file says nothing intelligible, or names a
// process that has ended: those who only read leave no name, and the lock, not
// its text, is what counts.
func readHolder(f *os.File) Holder {
	var h Holder
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil || json.Unmarshal(text, &h) != nil || h.PID <= 0 {
		return Holder{}
	}
	if errors.Is(unix.Kill(h.PID, 0), unix.ESRCH) {
		return Holder{}
	}
	return h
}

func writeHolder(f *os.File, h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}
