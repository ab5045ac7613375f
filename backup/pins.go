package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"slices"

	"intactfs/journal/disk"
)

// pinList is the content of pins.json: one line, sealed as those in packs.
type pinList struct {
	Pinned []uint64 `json:"pinned"`
}

// maxPins bounds the size of pins.json, in bytes.
const maxPins = 16 << 20

// readPins reads the pins of the path whose directory is dir. No file means
// no pins.
func readPins(d disk.Disk, dir string) (map[uint64]bool, error) {
	pins := map[uint64]bool{}
	line, err := readFile(d, dir+"/"+pinsName, maxPins)
	if errors.Is(err, iofs.ErrNotExist) {
		return pins, nil
	}
	if err != nil {
		return pins, err
	}
	var list pinList
	if err := openLine(line, &list); err != nil {
		return pins, fmt.Errorf("%s/%s: %w", dir, pinsName, err)
	}
	for _, tx := range list.Pinned {
		pins[tx] = true
	}
	return pins, nil
}

// readFile reads a small file.
func readFile(d disk.Disk, name string, bound int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readOpen(f, name, bound)
}

// readOpen reads all of f, which must not have more than bound bytes.
func readOpen(f disk.File, name string, bound int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size > bound {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, name, info.Size)
	}
	p := make([]byte, info.Size)
	if n, err := f.ReadAt(p, 0); n < len(p) {
		return nil, fmt.Errorf("read %s: %w", name, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return p, nil
}

// writeFile replaces a small file in one durable step: temporary name, sync,
// rename, sync of the directory.
func (s *Store) writeFile(step disk.Step, name string, p []byte) error {
	temp := name + tempSuffix
	f, err := s.createTemp(step, temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(step, p, 0)
	if err == nil {
		err = f.Sync(step)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.d.Rename(step, temp, name)
	}
	if err != nil {
		_ = s.d.Remove(step, temp)
		return err
	}
	return s.d.SyncDir(step, parentDir(name))
}

// createTemp creates a file for which only this process has a use: what has
// the name is left from one that died.
func (s *Store) createTemp(step disk.Step, name string) (disk.File, error) {
	f, err := s.d.Create(step, name, packPerm)
	if errors.Is(err, iofs.ErrExist) {
		if err := s.d.Remove(step, name); err != nil {
			return nil, err
		}
		f, err = s.d.Create(step, name, packPerm)
	}
	return f, err
}

func (s *Store) writePins(dir string, pins map[uint64]bool) error {
	line, err := json.Marshal(pinList{slices.Sorted(maps.Keys(pins))})
	if err != nil {
		return err
	}
	name := dir + "/" + pinsName
	if err := s.writeFile("history:pin", name, sealLine(line, 0)); err != nil {
		return err
	}
	s.markSynced(name)
	return nil
}

// Pin keeps a version from retention, or gives it back. Durable when it
// returns nil.
func (s *Store) Pin(path string, tx uint64, on bool) error {
	if err := s.writable(path); err != nil {
		return err
	}
	defer s.lock(path)()
	h, err := s.load(path)
	if err != nil {
		return err
	}
	if h.pinsErr != nil {
		return fmt.Errorf("pin version %d of %s: %w", tx, path, h.pinsErr)
	}
	if _, ok := h.find(tx); !ok {
		return fmt.Errorf("pin version %d of %s: %w", tx, path, ErrNotFound)
	}
	if known := s.isSynced(h.dir + "/" + pinsName); h.pins[tx] == on && (known || !on) {
		return nil // a pin that an earlier process left may not be durable
	}
	pins := maps.Clone(h.pins)
	if pins[tx] = on; !on {
		delete(pins, tx)
	}
	if err := s.writePins(h.dir, pins); err != nil {
		s.forget(h.dir)
		return fmt.Errorf("pin version %d of %s: %w", tx, path, err)
	}
	h.pins = pins
	return nil
}
