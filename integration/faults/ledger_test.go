package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"syscall"

	"intactfs/store"
)

// ledger is what a program knows about its files: what it tried to save, and
// what it was told is saved.
type ledger struct {
	n     int
	tried map[[32]byte]int    // content → number, in the order of trying
	acked map[string]int      // name → number of the last content known to be saved
	past  map[string][]int    // name → all of them: history has each
	loose map[string]bool     // names in the middle of a rename or an unlink
	lines map[string]int      // JSON Lines: how many were acknowledged
	links map[string][]string // name → other names of the file
	sums  map[int][32]byte
	// pruned says that retention drops versions.
	pruned bool
}

func newLedger() *ledger {
	return &ledger{tried: map[[32]byte]int{}, acked: map[string]int{}, past: map[string][]int{},
		loose: map[string]bool{}, lines: map[string]int{}, links: map[string][]string{}, sums: map[int][32]byte{}}
}

// document is a new content of about a size, and its number.
func (l *ledger) document(size int) (string, int) {
	l.n++
	text := fmt.Sprintf(`{"number": %d, "filler": "%s"}`, l.n, filler(l.n, size))
	sum := sha256.Sum256([]byte(text))
	l.tried[sum], l.sums[l.n] = l.n, sum
	return text, l.n
}

// filler is what does not compress away.
func filler(seed, size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	state := uint32(seed)*2654435761 + 1
	b := make([]byte, size)
	for i := range b {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		b[i] = letters[state>>26]
	}
	return string(b)
}

// saved notes that a content is acknowledged.
func (l *ledger) saved(name string, n int) {
	for _, name := range append([]string{name}, l.links[name]...) {
		l.acked[name] = n
		l.past[name] = append(l.past[name], n)
	}
}

// line is line n of a JSON Lines file.
func line(n int) string { return fmt.Sprintf("{\"line\": %d}\n", n) }

// errnoOf is the name of the error number that a program saw.
func errnoOf(err error) string {
	var n syscall.Errno
	switch {
	case err == nil:
		return "success"
	case errors.As(err, &n):
		for name, e := range map[string]syscall.Errno{"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "EROFS": syscall.EROFS,
			"EMFILE": syscall.EMFILE, "EBADMSG": syscall.EBADMSG, "ENOTCONN": syscall.ENOTCONN,
			"ECONNABORTED": syscall.ECONNABORTED, "ENFILE": syscall.ENFILE, "ENOENT": syscall.ENOENT} {
			if n == e {
				return name
			}
		}
	}
	return err.Error()
}

// checkPlain looks at the plain directory as somebody does who has no intact:
// every protected file is something that a program saved, from its first byte
// to its last.
func (l *ledger) checkPlain(dir string) error {
	return filepath.WalkDir(dir, func(path string, e iofs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".intact":
			return iofs.SkipDir
		case !e.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".json":
			if _, ok := l.tried[sha256.Sum256(content)]; !ok {
				return fmt.Errorf("plain %s: %d bytes that nobody saved: %.60q", path, len(content), content)
			}
		case ".jsonl":
			_, err = countLines(content)
		}
		if err != nil {
			return fmt.Errorf("plain %s: %w", path, err)
		}
		return nil
	})
}

// countLines counts the lines of a JSON Lines file of ours.
func countLines(content []byte) (int, error) {
	n := 0
	for rest := content; len(rest) > 0; n++ {
		next := []byte(line(n + 1))
		if !bytes.HasPrefix(rest, next) {
			return n, fmt.Errorf("line %d is %.40q", n+1, rest)
		}
		rest = rest[len(next):]
	}
	return n, nil
}

// checkSaved compares the directory, brought up to date, with what programs
// were told: each name has its last acknowledged content, or one that was
// tried later.
func (l *ledger) checkSaved(dir string) error {
	for name, want := range l.acked {
		if l.loose[name] {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("content %d was saved: %w", want, err)
		}
		if got, ok := l.tried[sha256.Sum256(content)]; !ok || got < want {
			return fmt.Errorf("%s has content %d, %d was saved", name, got, want)
		}
	}
	for name, want := range l.lines {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if got, err := countLines(content); err != nil || got < want {
			return fmt.Errorf("%s has %d lines, %d were saved: %w", name, got, want, errors.Join(err))
		}
	}
	return nil
}

// checkHistory reads every version of every name. Each content that was
// acknowledged is one of them, under whatever name a rename left it.
func (l *ledger) checkHistory(dir string) error {
	found := map[[32]byte]bool{}
	err := withStore(dir, func(s *store.Store) error {
		names, err := s.Paths(context.Background(), "", 1000)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := readVersions(s, name, found); err != nil {
				return fmt.Errorf("history of %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil || l.pruned {
		return err
	}
	for name := range l.acked { // what was never replaced since need not be
		if content, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			found[sha256.Sum256(content)] = true
		}
	}
	for name, all := range l.past {
		for _, n := range all {
			if !found[l.sums[n]] {
				return fmt.Errorf("content %d was saved as %s and is not in history", n, name)
			}
		}
	}
	return nil
}

func readVersions(s *store.Store, name string, found map[[32]byte]bool) error {
	entries, err := s.Log(context.Background(), name)
	if errors.Is(err, store.ErrNoHistory) {
		return nil // the directory of one that was on its way elsewhere
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Removed {
			continue
		}
		_, c, err := s.OpenVersion(context.Background(), name, e.Tx)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err = errors.Join(err, c.Close()); err != nil {
			return err
		}
		found[sha256.Sum256(content)] = true
	}
	return nil
}

// withStore opens the directory in this process, to read.
func withStore(dir string, do func(*store.Store) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	s, err := store.Open(d, store.Options{Purpose: "faults", ReadOnly: true})
	if err != nil {
		return errors.Join(err, d.Close())
	}
	return errors.Join(do(s), s.Close(), d.Close())
}

// initialized tells whether the directory was ever set up.
func initialized(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".intact", "FORMAT"))
	return err == nil
}

// current compares what was read of a name with what is known of it.
func (l *ledger) current(name string, content []byte) error {
	got, ok := l.tried[sha256.Sum256(content)]
	if !ok || got < l.acked[name] {
		return fmt.Errorf("%s has content %d, %d was saved", name, got, l.acked[name])
	}
	return nil
}

// withoutLast is what is known when the very last acknowledged content is
// left out.
func (l *ledger) withoutLast() *ledger {
	acked := map[string]int{}
	for name, n := range l.acked {
		if n != l.n {
			acked[name] = n
		}
	}
	return &ledger{tried: l.tried, acked: acked}
}
