// Package journal makes commits durable with one sync of one file, and
// brings the backing directory up to date behind them.
//
// A commit is a record appended to a preallocated segment; commits that
// arrive together share one write and one fdatasync. Contents larger than
// MaxInline lie in a stage of their own, synced before the record that names
// it. What was committed and not yet published is kept in an index in
// memory and served from there. The checkpointer files every version in the
// history, replaces the file in the backing directory with the newest one,
// and marks in the journal that this is done; a segment with nothing left to
// do is used again.
//
// The order that makes this safe, in one place:
//
//	stage: write, fsync, fsync staging          Commit
//	record: append, fdatasync                   Commit; visible from here on
//	history: Adopt, Preserve                    checkpointer
//	temporary: write, attributes, fsync         checkpointer
//	rename over the target, fsync directory     checkpointer
//	mark: append, fdatasync                     checkpointer
//	forget: index, stage, segment               checkpointer
//
// A crash anywhere leaves the target whole, and the record until the mark.
// Doing any part of it again gives the same bytes.
//
// Segments are the files .intact/journal/NNNNNNNN.seg: a header of 4 KiB, then
// records. All numbers are little-endian. A record is
//
//	 0   4  CRC-32C of bytes 4 to the end of the payload, begun with the salt
//	 4   4  length of the payload in bytes
//	 8   8  sequence number of the segment
//	16   8  offset in this segment below which everything was synced
//	24   8  TxID
//	32   1  type: 1 commit, 2 mark, 3 end, 4 append
//	33   7  zero
//	40   n  payload
//
// padded with zeros to a multiple of 8. The salt changes whenever a segment
// is used again, so that nothing a segment held before, and nothing that a
// program wrote into a content, can pass for a record. The synced offset
// tells a torn end from damage: a record that can't be read is damage when a
// later one says that it was synced. FORMAT.md has the whole of it.
package journal
