package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/lmittmann/tint"

	"intactfs/store"
)

// maxLog is the size at which a log file is put aside as .1.
const maxLog = 8 << 20

// logName is the log of a daemon in the background, below its directory.
const logName = store.Dir + "/log"

// plainLog is for commands that open a directory themselves: they tell what
// they find by themselves.
func (a *app) plainLog() *slog.Logger { return newLog(a.stderr, a.terminal, slog.LevelError) }

// newLog is coloured lines on a terminal, else JSON.
func newLog(w io.Writer, terminal bool, level slog.Level) *slog.Logger {
	if terminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// logFile appends to a file and puts it aside when it has grown. The file is
// opened with the first line, below a directory that was opened before a
// mount could cover it.
type logFile struct {
	root *os.Root
	name string
	max  int64

	mu   sync.Mutex
	file *os.File // guarded by mu
	size int64    // guarded by mu
}

// openLogDir prepares a log file in the directory that name is in.
func openLogDir(path string) (*logFile, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &logFile{root: root, name: filepath.Base(path), max: maxLog}, nil
}

// Write appends one line.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size+int64(len(p)) > l.max {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) open() error {
	f, err := l.root.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, st.Size()
	// A daemon in the background has no other place to say why it died.
	_ = debug.SetCrashOutput(f, debug.CrashOptions{}) // it logs all the same
	return nil
}

func (l *logFile) rotate() error {
	err := l.file.Close()
	l.file = nil
	return errors.Join(err, l.root.Rename(l.name, l.name+".1"))
}

// Close closes the file; a later line opens it again.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
