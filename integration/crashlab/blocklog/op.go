// Package blocklog models a disk with a volatile write cache: it keeps every
// write and flush that reached it, in order, and can say what the disk may
// hold after the power failed at any point of that history.
//
// A flush makes all earlier writes durable. The writes between two flushes,
// an epoch, are not ordered among themselves: a crash in an epoch leaves all
// writes of the epochs before it and any subset of its own, the last of them
// possibly torn. State names one such outcome, States enumerates them.
//
// Offsets and lengths are bytes. Nothing here touches a file or a clock; all
// choices come from the seed of a Plan.
package blocklog

import "time"

// PageSize is the unit in which contents are kept, in bytes.
const PageSize = 4096

// Kind is what an Op did.
type Kind uint8

// The kinds of operations. Write and Zero change the disk, Flush makes what
// came before it durable, Mark changes nothing and carries a label from
// whoever drives the workload.
const (
	Write Kind = iota + 1
	Zero
	Flush
	Mark
)

// Op is one entry of the log.
type Op struct {
	Kind  Kind
	Off   int64
	Len   int64
	Data  []byte        // of a Write; nil in a log of headers
	Label string        // of a Mark
	Time  time.Duration // since some moment before the log; 0 without a clock
}

// Changes says whether the operation alters the content of the disk.
func (o Op) Changes() bool { return o.Kind == Write || o.Kind == Zero }

// Pages is the content of a disk at one moment. A page that is all zeros may
// be nil. The bytes must not be changed.
type Pages interface {
	Page(n int64) []byte
	// Numbers calls visit at least once for each page that is not all zeros.
	Numbers(visit func(n int64))
}

// spread calls visit for each page that the range touches, with the part of
// the page (at, n) and where that part lies in the range.
func spread(off, length int64, visit func(page, at, from, n int64)) {
	for done := int64(0); done < length; {
		page := (off + done) / PageSize
		at := (off + done) % PageSize
		n := min(PageSize-at, length-done)
		visit(page, at, done, n)
		done += n
	}
}

// patch returns the content of a page after n bytes at offset at became
// data, or zeros when data is nil. It never changes old.
func patch(old []byte, at, n int64, data []byte) []byte {
	if n == PageSize {
		if allZero(data) {
			return nil
		}
		return data
	}
	page := make([]byte, PageSize)
	copy(page, old)
	if data == nil {
		clear(page[at : at+n])
	} else {
		copy(page[at:at+n], data)
	}
	return page
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
