package blocklog

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// saved heads a log in a file; the operations follow it one by one.
type saved struct {
	Size int64
	Meta string
	Ops  int
}

// Save writes the log of a disk without a base, and a note of the caller's,
// so that Load can rebuild the disk elsewhere.
func (d *Disk) Save(w io.Writer, meta string) error {
	if d.base != nil {
		return errors.New("save a log: the disk lies over another one")
	}
	z, err := zstd.NewWriter(w)
	if err != nil {
		return fmt.Errorf("save a log: %w", err)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	enc := gob.NewEncoder(z)
	err = enc.Encode(saved{Size: d.size, Meta: meta, Ops: len(d.ops)})
	for i := 0; i < len(d.ops) && err == nil; i++ {
		err = enc.Encode(d.ops[i])
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("save a log: %w", err)
	}
	return nil
}

// Load rebuilds a disk from what Save wrote, and returns the note.
func Load(r io.Reader) (*Disk, string, error) {
	z, err := zstd.NewReader(r)
	if err != nil {
		return nil, "", fmt.Errorf("load a log: %w", err)
	}
	defer z.Close()
	dec := gob.NewDecoder(z)
	var head saved
	if err := dec.Decode(&head); err != nil {
		return nil, "", fmt.Errorf("load a log: %w", err)
	}
	d := NewDisk(head.Size, nil)
	for i := range head.Ops {
		var o Op
		if err := dec.Decode(&o); err != nil {
			return nil, "", fmt.Errorf("load operation %d of %d: %w", i, head.Ops, err)
		}
		d.append(o)
	}
	return d, head.Meta, nil
}
