package planted

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"sync"

	"intactfs/journal/disk"
)

const (
	journalDir = ".intact/journal"
	stagingDir = ".intact/staging"
)

// publishInPlace writes the temporary file's bytes over the target.
func publishInPlace(h *hooks) {
	h.rename = func(d disk.Disk, step disk.Step, oldName, newName string) error {
		if step != "publish:rename" {
			return d.Rename(step, oldName, newName)
		}
		target, err := d.OpenWrite(step, newName)
		if err != nil {
			return d.Rename(step, oldName, newName)
		}
		err = overwrite(d, step, target, oldName)
		if err = errors.Join(err, target.Close()); err != nil {
			return err
		}
		return d.Remove(step, oldName)
	}
}

func overwrite(d disk.Disk, step disk.Step, target disk.File, from string) error {
	f, err := d.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	content := make([]byte, info.Size)
	if _, err := f.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := target.Truncate(step, 0); err != nil {
		return err
	}
	half := len(content) / 2
	for _, part := range []struct{ from, to int }{{0, half}, {half, len(content)}} {
		if _, err := target.WriteAt(step, content[part.from:part.to], int64(part.from)); err != nil {
			return err
		}
		if err := target.Sync(step); err != nil {
			return err
		}
	}
	return nil
}

// reuseStages gives a new stage the file of the one before.
func reuseStages(h *hooks) {
	var mu sync.Mutex
	before := ""
	h.create = func(d disk.Disk, step disk.Step, name string, perm uint32) (disk.File, error) {
		if step != "stage:create" {
			return d.Create(step, name, perm)
		}
		mu.Lock()
		defer mu.Unlock()
		old := before
		before = name
		if old == "" || d.Link(step, old, name) != nil {
			return d.Create(step, name, perm)
		}
		f, err := d.OpenWrite(step, name)
		if err == nil {
			err = f.Truncate(step, 0)
		}
		return f, err
	}
}

// retrySync does what the kernel does when a write to the disk fails: it
// forgets the data, says so once, and the next fsync succeeds. The retry is
// the bug; the data that is lost here are the last bytes written.
func retrySync(broken disk.Step) func(*hooks) {
	return func(h *hooks) {
		var mu sync.Mutex
		ends := map[string]int64{} // where the last write to a file ended
		syncs := 0
		h.write = func(f disk.File, step disk.Step, name string, p []byte, off int64) (int, error) {
			mu.Lock()
			ends[name] = off + int64(len(p))
			mu.Unlock()
			return f.WriteAt(step, p, off)
		}
		h.sync = func(_ disk.Disk, step disk.Step, name string, f disk.File) error {
			mu.Lock()
			end := ends[name]
			syncs++
			fail := step == broken && syncs%3 == 0 && end > 0
			mu.Unlock()
			if fail {
				lost := min(end, 512)
				if _, err := f.WriteAt(step, make([]byte, lost), end-lost); err != nil {
					return err
				}
			}
			return f.Sync(step)
		}
	}
}

// dropHeaders loses the header of a segment that is used again.
func dropHeaders(h *hooks) {
	h.write = func(f disk.File, step disk.Step, _ string, p []byte, off int64) (int, error) {
		if step == "segment:header" {
			var old [8]byte
			if n, _ := f.ReadAt(old[:], off); n == len(old) && old != [8]byte{} {
				return len(p), nil
			}
		}
		return f.WriteAt(step, p, off)
	}
}

// The parts of the journal's format that mendRecords needs; see the package
// comment of journal.
const (
	segmentHeader = 4096
	seqOffset     = 24
	saltOffset    = 32
	recordHeader  = 40
)

// mendRecords gives each record of a segment, as it is read, the checksum
// that its bytes have.
func mendRecords(name string, p []byte, off int64) {
	if !strings.HasPrefix(name, journalDir+"/") || off != 0 || len(p) <= segmentHeader {
		return
	}
	le := binary.LittleEndian
	seq, salt := le.Uint64(p[seqOffset:]), p[saltOffset:saltOffset+8]
	table := crc32.MakeTable(crc32.Castagnoli)
	for rest := p[segmentHeader:]; len(rest) >= recordHeader; {
		n := int(le.Uint32(rest[4:]))
		size := (recordHeader + n + 7) &^ 7
		if le.Uint64(rest[8:]) != seq || seq == 0 || size > len(rest) {
			return
		}
		le.PutUint32(rest, crc32.Update(crc32.Checksum(salt, table), table, rest[4:recordHeader+n]))
		clear(rest[recordHeader+n : size])
		rest = rest[size:]
	}
}

// clearJournal removes all that the journal had written before this start.
func clearJournal(d disk.Disk) error {
	entries, err := d.ReadDir(journalDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.Remove("bug:clear", journalDir+"/"+e.Name); err != nil {
			return err
		}
	}
	return d.SyncDir("bug:clear", journalDir)
}

func clearStaging(d disk.Disk) error {
	entries, err := d.ReadDir(stagingDir)
	if err != nil {
		return nil // nothing was ever staged
	}
	for _, e := range entries {
		if err := d.Remove("bug:clear", stagingDir+"/"+e.Name); err != nil {
			return err
		}
	}
	return nil
}
