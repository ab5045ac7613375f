package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"intactfs/backup"
	"intactfs/journal"
	"intactfs/journal/disk"
)

// spacing is the distance of the numbers of commits in the history: what is
// adopted between two of them needs numbers of its own.
const spacing = 16

// keeper is a history that can be looked into.
type keeper interface {
	journal.Preserver
	// list is what it has of a path: the contents, by the number that
	// Preserve gave them or, adopted, another.
	list(path string) (map[uint64][32]byte, error)
	// verify reads everything.
	verify() error
}

// history is the real one.
type history struct {
	d       disk.Disk
	s       *backup.Store
	lenient bool // damage that costs no version is none
}

func openHistory(d disk.Disk, lenient bool) (*history, error) {
	s, err := backup.Open(d, backup.Options{CacheBytes: 1 << 16})
	return &history{d, s, lenient}, err
}

func (h *history) list(path string) (map[uint64][32]byte, error) {
	entries, err := h.s.List(path)
	sums := make(map[uint64][32]byte, len(entries))
	for _, e := range entries {
		sums[e.Tx] = e.SHA256
	}
	return sums, err
}

func (h *history) verify() error {
	report, err := h.s.Verify(context.Background(), nil)
	for _, d := range report.Damage {
		if err == nil && (len(d.Lost) > 0 || !h.lenient) {
			err = fmt.Errorf("history is damaged: %+v", d)
		}
	}
	return err
}

// Preserve implements journal.Preserver.
func (h *history) Preserve(ctx context.Context, path string, versions []journal.Kept) error {
	items := make([]backup.Item, len(versions))
	for i, v := range versions {
		items[i] = backup.Item{Tx: uint64(v.Tx) * spacing, Time: v.Time, Size: v.Size, SHA256: v.SHA256, Attr: v.Attr,
			PID: v.Who.PID, UID: v.Who.UID, Program: v.Who.Program, Note: v.Note, Content: v.Content}
	}
	return h.s.Add(ctx, path, items)
}

// Adopt implements journal.Preserver.
func (h *history) Adopt(ctx context.Context, path string) error {
	content, err := readFile(h.d, path)
	if err != nil || content == nil {
		return err
	}
	entries, err := h.s.List(path)
	if err != nil {
		return err
	}
	item := backup.Item{Tx: 1, Time: time.Unix(1_500_000_000, 0), Size: int64(len(content)), SHA256: sha256.Sum256(content),
		Attr: disk.Attr{Mode: 0o600}, Content: bytes.NewReader(content)}
	for _, e := range entries {
		if e.SHA256 == item.SHA256 {
			return nil
		}
		item.Tx, item.Time = e.Tx+1, e.Time.Add(time.Nanosecond)
	}
	return h.s.Add(ctx, path, []backup.Item{item})
}

// readFile is nil if there is no file.
func readFile(d disk.Disk, path string) ([]byte, error) {
	f, err := d.Open(path)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	content := make([]byte, info.Size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, info.Size), content)
	return content, err
}

// perfect is a history that meets no faults: what it has is durable.
type perfect struct {
	d    disk.Disk
	sums map[string]map[uint64][32]byte
}

// on is the same history beside another disk.
func (p *perfect) on(d disk.Disk) *perfect { return &perfect{d, p.sums} }

func (p *perfect) list(path string) (map[uint64][32]byte, error) { return p.sums[path], nil }

func (p *perfect) verify() error { return nil }

func (p *perfect) add(path string, tx uint64, sum [32]byte) {
	if p.sums[path] == nil {
		p.sums[path] = map[uint64][32]byte{}
	}
	p.sums[path][tx] = sum
}

// Preserve implements journal.Preserver.
func (p *perfect) Preserve(_ context.Context, path string, versions []journal.Kept) error {
	for _, v := range versions {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(v.Content, 0, v.Size)); err != nil {
			return err
		}
		p.add(path, uint64(v.Tx)*spacing, [32]byte(sum.Sum(nil)))
	}
	return nil
}

// Adopt implements journal.Preserver.
func (p *perfect) Adopt(_ context.Context, path string) error {
	content, err := readFile(p.d, path)
	if err == nil && content != nil {
		p.add(path, uint64(len(p.sums[path]))*spacing+1, sha256.Sum256(content))
	}
	return err
}
