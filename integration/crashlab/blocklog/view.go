package blocklog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// View is the content of a disk in one State. It stays valid while the disk
// grows, and may be read from several goroutines.
type View struct {
	disk *Disk
	base int
	over map[int64][]byte // pages that differ from what the first base operations left
}

// At builds what the disk holds in state s.
func (d *Disk) At(s State) (*View, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if s.Base < 0 || s.Base > len(d.ops) {
		return nil, fmt.Errorf("state %d: base %d outside a log of %d", s.Number, s.Base, len(d.ops))
	}
	v := &View{disk: d, base: s.Base, over: map[int64][]byte{}}
	for _, i := range s.Picks {
		if i < s.Base || i >= len(d.ops) || !d.ops[i].Changes() {
			return nil, fmt.Errorf("state %d: operation %d is no write of its epoch", s.Number, i)
		}
		o := d.ops[i]
		if i != s.Torn {
			v.apply(o, 0, o.Len)
			continue
		}
		for _, unit := range s.Kept {
			from := min(unit*s.Unit, o.Len)
			v.apply(o, from, min(from+s.Unit, o.Len))
		}
	}
	return v, nil
}

// apply lays the bytes from..to of an operation over the view.
func (v *View) apply(o Op, from, to int64) {
	spread(o.Off+from, to-from, func(page, at, done, n int64) {
		var part []byte
		if o.Data != nil {
			part = o.Data[from+done : from+done+n]
		}
		v.over[page] = patch(v.page(page), at, n, part)
	})
}

// page is Page for a caller that holds the disk's lock.
func (v *View) page(n int64) []byte {
	if data, ok := v.over[n]; ok {
		return data
	}
	return v.disk.before(n, v.base)
}

// Page implements Pages.
func (v *View) Page(n int64) []byte {
	v.disk.mu.RLock()
	defer v.disk.mu.RUnlock()
	return v.page(n)
}

// Numbers implements Pages. It calls visit without the disk's lock.
func (v *View) Numbers(visit func(n int64)) {
	if v.disk.base != nil {
		v.disk.base.Numbers(visit)
	}
	v.disk.mu.RLock()
	var changed []int64
	for n, versions := range v.disk.pages {
		if versions[0].op < v.base {
			changed = append(changed, n)
		}
	}
	v.disk.mu.RUnlock()
	for _, n := range changed {
		visit(n)
	}
	for n := range v.over {
		visit(n)
	}
}

// Sum identifies a content: equal contents over the same base have equal
// sums however they came about.
type Sum [16]byte

func (s Sum) xor(t Sum) Sum {
	for i := range s {
		s[i] ^= t[i]
	}
	return s
}

// pageSum is the share of one page in a Sum; none for zeros, so that a page
// never written counts like one that was zeroed.
func pageSum(n int64, data []byte) (s Sum) {
	if allZero(data) {
		return s
	}
	h := sha256.New()
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], uint64(n))
	h.Write(number[:])
	h.Write(data)
	copy(s[:], h.Sum(nil))
	return s
}

// Sum computes the sum of the view. The first call on a disk reads its whole
// log, later ones only what the state adds to its base.
func (v *View) Sum() Sum {
	d := v.disk
	d.mu.Lock()
	d.extendSums()
	sum := d.sums[v.base]
	d.mu.Unlock()
	d.mu.RLock()
	defer d.mu.RUnlock()
	for n, data := range v.over {
		sum = sum.xor(pageSum(n, d.before(n, v.base))).xor(pageSum(n, data))
	}
	return sum
}

// extendSums brings sums up to the length of the log. The caller holds mu.
func (d *Disk) extendSums() {
	if len(d.sums) == 0 {
		d.sums = []Sum{{}}
	}
	for i := len(d.sums) - 1; i < len(d.ops); i++ {
		o, sum := d.ops[i], d.sums[i]
		if o.Changes() {
			spread(o.Off, o.Len, func(page, _, _, _ int64) {
				sum = sum.xor(pageSum(page, d.before(page, i))).xor(pageSum(page, d.before(page, i+1)))
			})
		}
		d.sums = append(d.sums, sum)
	}
}
