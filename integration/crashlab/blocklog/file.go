package blocklog

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// saved heads a log in a file; Below pages of what lies beneath and then Ops
// operations follow it one by one.
type saved struct {
	Size  int64
	Meta  string
	Below int
	Ops   int
}

// page is one page of what lies beneath a saved disk.
type page struct {
	Number int64
	Data   []byte
}

// pageMap is the loaded form of what lies beneath.
type pageMap map[int64][]byte

// Page implements Pages.
func (m pageMap) Page(n int64) []byte { return m[n] }

// Numbers implements Pages.
func (m pageMap) Numbers(visit func(n int64)) {
	for n := range m {
		visit(n)
	}
}

// Save writes what lies beneath the disk, its log, and a note of the
// caller's, so that Load can rebuild the disk elsewhere.
func (d *Disk) Save(w io.Writer, meta string) error {
	z, err := zstd.NewWriter(w)
	if err != nil {
		return fmt.Errorf("save a log: %w", err)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	below := d.allBeneath()
	enc := gob.NewEncoder(z)
	err = enc.Encode(saved{Size: d.size, Meta: meta, Below: len(below), Ops: len(d.ops)})
	for i := 0; i < len(below) && err == nil; i++ {
		err = enc.Encode(below[i])
	}
	for i := 0; i < len(d.ops) && err == nil; i++ {
		err = enc.Encode(d.ops[i])
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("save a log: %w", err)
	}
	return nil
}

func (d *Disk) allBeneath() []page {
	var all []page
	for n := int64(0); n*PageSize < d.size && d.base != nil; n++ {
		if data := d.base.Page(n); !allZero(data) {
			all = append(all, page{Number: n, Data: data})
		}
	}
	return all
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
	below := pageMap{}
	for i := range head.Below {
		var p page
		if err := dec.Decode(&p); err != nil {
			return nil, "", fmt.Errorf("load page %d of %d: %w", i, head.Below, err)
		}
		below[p.Number] = p.Data
	}
	d := NewDisk(head.Size, below)
	for i := range head.Ops {
		var o Op
		if err := dec.Decode(&o); err != nil {
			return nil, "", fmt.Errorf("load operation %d of %d: %w", i, head.Ops, err)
		}
		d.append(o)
	}
	return d, head.Meta, nil
}
