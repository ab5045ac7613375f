package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	iofs "io/fs"
	"strings"
	"sync"
	"time"
)

const (
	noteSuffix = ".json"
	noteBound  = 1 << 20 // bytes
	idDigits   = 16
	// noteEvery is how often the count of a content that is refused again
	// and again goes to the disk.
	noteEvery = 10 * time.Second
)

// quarantine is what a Store knows of the refused contents.
type quarantine struct {
	// paths are held, each by who refuses for a path that hashes to it, while
	// a content is read and compressed. They come before mu.
	paths [16]sync.Mutex
	// mu guards what follows, and all files of the quarantine but temporary
	// ones. It is held for nothing that takes as long as a content is large.
	mu sync.Mutex
	// total is the bytes of all contents; -1 until they have been counted.
	total int64
	// behind are the notes whose count on disk is behind, by disk name.
	behind map[string]note
}

// note is the file beside a refused content.
type note struct {
	Path      string    `json:"path"` // when it was refused; the directory is what counts
	Reason    string    `json:"reason"`
	Line      int64     `json:"line,omitempty"`
	Column    int64     `json:"column,omitempty"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	Last      time.Time `json:"last"`
	Count     int64     `json:"count"`
	Size      int64     `json:"size"`
	SHA256    string    `json:"sha256"`
	Truncated bool      `json:"truncated,omitempty"`
	Held      int64     `json:"held"`
	Kept      uint64    `json:"kept,omitempty"`
	Program   string    `json:"program,omitempty"`
	PID       uint32    `json:"pid,omitempty"`
	UID       uint32    `json:"uid"`
	FrameCk   string    `json:"framecrc"`

	base   string    // disk name without suffix
	stored int64     // bytes of the content on disk
	wrote  time.Time // Last as it is on disk
}

// rejected is a note as callers see it.
func (n *note) rejected(path string) Rejected {
	r := Rejected{
		ID: path + "@" + n.SHA256[:idDigits],
		Rejection: Rejection{
			Path: path, Time: n.Time, Reason: n.Reason, Line: n.Line, Column: n.Column, Offset: n.Offset,
			Size: n.Size, Kept: n.Kept, PID: n.PID, UID: n.UID, Program: n.Program,
		},
		Truncated: n.Truncated, Held: n.Held, Stored: n.stored, Count: n.Count, Last: n.Last,
	}
	_, _ = hex.Decode(r.SHA256[:], []byte(n.SHA256)) // was checked by readNote
	return r
}

// Refuse puts the r.Size bytes of content into quarantine, durably. The same
// content refused again for the path is only counted. Beyond the bounds the
// oldest contents go, but never the newest of a path.
func (s *Store) Refuse(ctx context.Context, r Rejection, content io.ReaderAt) (Rejected, error) {
	if err := s.writable(r.Path); err != nil {
		return Rejected{}, err
	}
	s.tree.RLock()
	defer s.tree.RUnlock()
	path := s.refusing(r.Path)
	path.Lock()
	defer path.Unlock()
	n, err := s.refuse(ctx, r, content)
	if err != nil {
		return Rejected{}, fmt.Errorf("quarantine for %s: %w", r.Path, err)
	}
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	if err := s.boundPath(r.Path, n.base); err != nil {
		return n.rejected(r.Path), fmt.Errorf("bound quarantine of %s: %w", r.Path, err)
	}
	return n.rejected(r.Path), nil
}

// refusing is the lock of those that refuse for path.
func (s *Store) refusing(path string) *sync.Mutex {
	return &s.refused.paths[maphash.String(s.seed, path)%uint64(len(s.refused.paths))]
}

// refuse counts a content that is there, or adds it.
func (s *Store) refuse(ctx context.Context, r Rejection, content io.ReaderAt) (*note, error) {
	held := min(r.Size, s.o.RejectedSize)
	h := sha256.New()
	if n, err := io.Copy(h, &ctxReader{ctx, io.NewSectionReader(content, 0, held)}); err != nil || n != held {
		return nil, errors.Join(err, fmt.Errorf("%w: %d of %d bytes", ErrMismatch, n, held))
	}
	sum := digest(h.Sum(nil))
	n, err := s.countRefused(&r, sum)
	switch {
	case errors.Is(err, ErrNotFound):
	case errors.Is(err, ErrDamaged), errors.Is(err, iofs.ErrNotExist):
		// What is there can't be shown to anybody: keep it once more.
		s.log.Warn("quarantine is damaged", "path", r.Path, "err", err)
	default:
		return n, err
	}
	n = &note{Time: r.Time.UTC(), Held: held, SHA256: hex.EncodeToString(sum[:])}
	n.base = quarantineLayout.file(r.Path) + "/" + n.Time.Format("20060102T150405Z") + "-" + n.SHA256[:idDigits]
	if err := s.stageRefused(ctx, n, content, sum); err != nil {
		return nil, err
	}
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	if err := s.keepRefused(n); err != nil {
		return nil, err
	}
	n.update(&r)
	return n, s.writeNote(n)
}

// countRefused counts a content that is there already; ErrNotFound if it is
// not.
func (s *Store) countRefused(r *Rejection, sum digest) (*note, error) {
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	n, err := s.findNote(quarantineLayout.file(r.Path), hex.EncodeToString(sum[:idDigits/2]))
	if err != nil {
		return nil, err
	}
	n.update(r)
	if since := n.Last.Sub(n.wrote); since >= 0 && since < noteEvery {
		s.refused.behind[n.base] = *n
		return n, nil
	}
	return n, s.writeNote(n)
}

// update makes r the last refusal of the content.
func (n *note) update(r *Rejection) {
	n.Path, n.Reason, n.Line, n.Column, n.Offset = r.Path, r.Reason, r.Line, r.Column, r.Offset
	n.Kept, n.PID, n.UID, n.Program = r.Kept, r.PID, r.UID, r.Program
	n.Size, n.Truncated = r.Size, r.Size > n.Held
	n.Count++
	n.Last = r.Time.UTC()
}

// stageRefused writes the content of n under a temporary name and syncs it.
func (s *Store) stageRefused(ctx context.Context, n *note, content io.ReaderAt, sum digest) error {
	if err := s.d.MkdirAll("refuse:mkdir", parentDir(n.base), dirPerm); err != nil {
		return err
	}
	temp := n.base + packSuffix + tempSuffix
	f, err := s.createTemp("refuse:create", temp)
	if err != nil {
		return err
	}
	out := &frameWriter{f: f, crc: crc32.New(castagnoli), step: "refuse:write"}
	err = compress(ctx, out, content, n.Held, sum)
	if err == nil {
		err = f.Sync("refuse:sync")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = s.d.Remove("refuse:remove", temp)
		return err
	}
	n.stored, n.FrameCk = out.off, fmt.Sprintf("%08x", out.crc.Sum32())
	return nil
}

// keepRefused gives a staged content its name. It counts only with the note.
func (s *Store) keepRefused(n *note) error {
	name := n.base + packSuffix
	err := s.d.Rename("refuse:rename", name+tempSuffix, name)
	if err == nil { // before the note, which must not be there alone
		err = s.d.SyncDir("refuse:syncdir", parentDir(n.base))
	}
	if err != nil {
		_ = s.d.Remove("refuse:remove", name+tempSuffix)
		return err
	}
	if s.refused.total >= 0 {
		s.refused.total += n.stored
	}
	return nil
}

// writeNote makes the note durable, and with it the content.
func (s *Store) writeNote(n *note) error {
	line, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := s.writeFile("refuse:note", n.base+noteSuffix, sealLine(line, 0)); err != nil {
		return err
	}
	n.wrote = n.Last
	delete(s.refused.behind, n.base)
	return s.syncDirs("refuse:syncdir", parentDir(n.base))
}

// readNote reads the note of a content, and the newer one if that is held
// back.
func (s *Store) readNote(base string) (*note, error) {
	line, err := readFile(s.d, base+noteSuffix, noteBound)
	if err != nil {
		return nil, err
	}
	var n note
	if err := openLine(line, &n); err != nil {
		return nil, fmt.Errorf("%s%s: %w", base, noteSuffix, err)
	}
	if sum, err := hex.DecodeString(n.SHA256); err != nil || len(sum) != len(digest{}) || n.Held < 0 {
		return nil, fmt.Errorf("%s%s: %w", base, noteSuffix, ErrDamaged)
	}
	info, err := s.d.Stat(base + packSuffix)
	if err != nil {
		return nil, fmt.Errorf("content of a note: %w", err)
	}
	wrote := n.Last
	if newer, ok := s.refused.behind[base]; ok {
		n = newer
	}
	n.base, n.stored, n.wrote = base, info.Size, wrote
	return &n, nil
}

// findNote returns the note in dir whose content's digest begins with digits.
func (s *Store) findNote(dir, digits string) (*note, error) {
	names, err := s.d.ReadDir(dir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	missing := ErrNotFound
	for _, e := range names {
		base, ok := strings.CutSuffix(e.Name, noteSuffix)
		if !ok || !strings.HasSuffix(base, "-"+digits) {
			continue
		}
		n, err := s.readNote(dir + "/" + base)
		if err == nil {
			return n, nil
		}
		missing = err // a later one may be good
	}
	return nil, missing
}

// notes returns those of one path; with an error, those that can be read.
func (s *Store) notes(path string) ([]*note, error) {
	dir := quarantineLayout.file(path)
	names, err := s.d.ReadDir(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	errs := []error{err}
	var notes []*note
	for _, e := range names {
		base, ok := strings.CutSuffix(e.Name, noteSuffix)
		if !ok {
			continue
		}
		n, err := s.readNote(dir + "/" + base)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		notes = append(notes, n)
	}
	return notes, errors.Join(errs...)
}

// dropNote removes a note and its content: the note first, as a content
// without one is nothing.
func (s *Store) dropNote(n *note) error {
	delete(s.refused.behind, n.base)
	if err := s.d.Remove("refuse:drop", n.base+noteSuffix); err != nil {
		return err
	}
	if err := s.d.Remove("refuse:drop", n.base+packSuffix); err != nil {
		return err
	}
	if s.refused.total >= 0 {
		s.refused.total -= n.stored
	}
	return s.d.SyncDir("refuse:syncdir", parentDir(n.base))
}
