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
//	history: Adopt                              checkpointer
//	history: Preserve, and at the same time
//	temporary: write, attributes, fsync         checkpointer
//	open the old target, rename over it,
//	fsync directory, close the old target       checkpointer
//	mark: append, fdatasync                     checkpointer
//	forget: index, stage, segment               checkpointer
//
// A crash anywhere leaves the target whole, and the record until the mark.
// Doing any part of it again gives the same bytes. The old target is held open
// because its blocks could otherwise belong to another file, with that file's
// bytes in them, while a power failure can still undo the rename. The same
// holds for segments that are removed. With the directory, those above it are
// synced once for each process: a file whose directory has no durable name is
// lost with it.
//
// Two checksums cover a content on its way. One in a record has that of the
// record. One in a stage has its CRC-32C in the record: it is compared when a
// recovery has found the stage, before the first byte is served, and again
// when the version is filed. From then on the history has the SHA-256.
//
// A round of the checkpointer claims up to 64 paths. Rounds with different
// paths run side by side, so that Settle, which somebody waits for before an
// unlink or a rename, takes its path from a round that did not begin it, or
// makes the round end with what it did begin. No lock that a commit needs is
// held while a round reads, writes or syncs.
//
// An append (Append) costs what it adds, whatever the size of the file: one
// record, and in memory its bytes behind those of the appends before. To
// publish it the file is written anew, because an append in place would leave
// a torn end after a crash; the file system is asked to share or copy the old
// part (disk.Cloner). Few appends to a file of 1 MiB and more therefore wait
// for company: until they are a sixteenth of the file or half a segment,
// until the oldest is 30 seconds old, or until Settle, Checkpoint or Close.
// All that wait are at most a segment together, and are written again behind
// what was committed since when they are the last to need their segment, so
// that the number of segments stays bounded. Appends followed by a commit of
// a whole content get a mark of their own before the rename: what they go on
// from is gone after it.
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
// later one says that it was synced. Damage to the last record of all passes
// for a torn end; what such an end names is reported, and kept if it is whole
// (Torn, Options.Rescue). FORMAT.md has the whole of it.
package journal
