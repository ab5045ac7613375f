package main

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"

	"intactfs/journal"
	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// kind is what an operation does.
type kind int

const (
	small      kind = iota // a commit that travels in its record
	big                    // a commit with a stage
	grow                   // an append
	settle                 // of the path
	checkpoint             // of everything
	reopen                 // close and open
	flush                  // sync of the journal
	kinds
)

var kindNames = [kinds]string{"small", "big", "append", "settle", "checkpoint", "reopen", "sync"}

// op is one operation of a program.
type op struct {
	kind  kind
	names string // of the file, with blanks between: its path and its links
}

func (o op) String() string { return strings.TrimSpace(kindNames[o.kind] + " " + o.names) }

// path is what the operation names the file by.
func (o op) path() string {
	path, _, _ := strings.Cut(o.names, " ")
	return path
}

// The two paths: one has a file from the beginning, the other doesn't. Where
// files have several names, linkPath is another of the first one's.
const (
	oldPath  = "a.json"
	newPath  = "dir/b.json"
	linkPath = "link/a.json"
)

// alphabet is what the exhaustive sequences are made of.
var alphabet = []op{
	{small, oldPath}, {small, newPath}, {big, oldPath}, {big, newPath}, {grow, oldPath}, {grow, newPath},
	{settle, oldPath}, {settle, newPath}, {checkpoint, ""}, {reopen, ""},
}

// linkedAlphabet is that of the sequences in which files have several names.
// It has as many letters.
var linkedAlphabet = []op{
	{small, oldPath + " " + linkPath}, {small, linkPath + " " + oldPath}, {small, oldPath}, {small, newPath + " " + linkPath + " " + oldPath},
	{big, oldPath + " " + linkPath}, {big, linkPath + " " + oldPath}, {grow, oldPath + " " + linkPath}, {grow, linkPath + " " + oldPath},
	{settle, linkPath}, {checkpoint, ""},
}

// linkedFrom is the number of the first workload in which files have several
// names: first all sequences, then random ones, as from 0 on.
const linkedFrom = 1_000_000

// sequences is how many there are of one to three operations.
var sequences = func() int {
	n := len(alphabet)
	return n + n*n + n*n*n
}()

// sequence is the i-th of them.
func sequence(alphabet []op, i int) []op {
	n := len(alphabet)
	length := 1
	for count := n; i >= count; count *= n {
		i -= count
		length++
	}
	ops := make([]op, length)
	for k := range ops {
		ops[k] = alphabet[i%n]
		i /= n
	}
	return ops
}

// workload is what happens to one disk.
type workload struct {
	number     int
	seed       int64
	ops        []op
	durability journal.Durability
	flushes    int   // percent of disk operations before which the kernel writes back
	segment    int64 // size in bytes
	// broken is a sync that the disk swallows: a campaign must notice.
	broken disk.Step
	// perfect takes the place of the real history if it is not nil.
	perfect *perfect
	lenient bool // see history
	linked  bool // files have several names
	// bug stands in for the disk beneath the journal if it is not nil: a
	// campaign must notice.
	bug func(disk.Disk) disk.Disk
}

func (w workload) String() string {
	parts := make([]string, len(w.ops))
	for i, o := range w.ops {
		parts[i] = o.String()
	}
	how := ""
	if w.durability == journal.Relaxed {
		how = ", relaxed"
	}
	return fmt.Sprintf("workload %d: %s (write-back %d %%%s)", w.number, strings.Join(parts, "; "), w.flushes, how)
}

// mix makes one seed of several numbers.
func mix(ns ...int64) int64 {
	h := uint64(14695981039346656037)
	for _, n := range ns {
		h = (h ^ uint64(n)) * 1099511628211
		h ^= h >> 29
	}
	return int64(h >> 1)
}

// newWorkload is the workload with this number: a sequence, or beyond their
// count a random one.
func newWorkload(seed int64, number int) workload {
	w := workload{number: number, seed: mix(seed, int64(number)), segment: 16 << 10}
	letters, choose := alphabet, chooseName
	if number >= linkedFrom {
		w.linked, letters, choose = true, linkedAlphabet, chooseNames()
	}
	if exhaustive(number) {
		w.ops = sequence(letters, number%linkedFrom)
		return w
	}
	rng := rand.New(rand.NewSource(w.seed))
	for range 4 + rng.Intn(20) {
		o := op{kind: kind(rng.Intn(int(kinds)))}
		if rng.Intn(3) == 0 {
			o.kind = small // long runs change segments
		}
		if o.kind <= settle {
			o.names = choose(rng)
		}
		if o.kind == settle {
			o.names = o.path()
		}
		w.ops = append(w.ops, o)
	}
	if rng.Intn(4) == 0 {
		w.durability = journal.Relaxed
	}
	if rng.Intn(2) == 0 {
		w.flushes = 5 + rng.Intn(40)
	}
	return w
}

// exhaustive says that a workload is a sequence.
func exhaustive(number int) bool { return number%linkedFrom < sequences }

func chooseName(rng *rand.Rand) string { return []string{oldPath, newPath}[rng.Intn(2)] }

// chooseNames is for the operations of a workload: most name the same file as
// the one before, many of them by another of its names.
func chooseNames() func(*rand.Rand) string {
	names := []string{oldPath, linkPath}
	return func(rng *rand.Rand) string {
		switch rng.Intn(6) {
		case 0, 1:
			all := []string{oldPath, newPath, linkPath}
			rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
			names = all[:1+rng.Intn(len(all))]
		case 2, 3:
			rng.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
		}
		return strings.Join(names, " ")
	}
}

// content is the text of the n-th version.
func content(rng *rand.Rand, n, size int) []byte {
	label := fmt.Sprintf("version %d.", n)
	b := []byte(strings.Repeat(label, size/len(label)+1))[:max(size, len(label))]
	for range size / 64 { // not all compresses away
		b[len(label)+rng.Intn(len(b)-len(label))] = byte('a' + rng.Intn(26))
	}
	return b
}

// newDisk is the disk a workload begins with.
func (w workload) newDisk(opts ...disktest.Option) *disktest.Disk {
	d := disktest.New(disktest.ReuseFreed())
	d.Put(oldPath, firstContent)
	d.Put("dir/other.txt", otherContent)
	if w.linked {
		d.Put("link/other.txt", otherContent)
		if err := errors.Join(d.Link("setup", oldPath, linkPath), d.SyncDir("setup", "link")); err != nil {
			panic(err) // a disk that does as it is told has no reason
		}
	}
	d.Heal(opts...)
	return d
}

const (
	firstContent = "what was there before"
	otherContent = "nobody touches this"
)
