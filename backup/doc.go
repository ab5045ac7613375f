// Package backup keeps the history of protected files, and the contents that
// were refused (the quarantine). It knows nothing of FUSE or of the journal:
// its only way to a file is package disk.
//
// # History
//
// Every path that was ever saved has a directory of append-only packs,
// .intact/history/<path>.versions/NNNN.zst. A pack is a sequence of entries,
// and an entry is
//
//	a zstd skippable frame   one line of JSON: the version's metadata
//	a zstd frame             its content: whole, or a delta
//
// so that zstd, grep and tail get any version out of it without this
// package; FORMAT.md gives the fields and the recipe. A delta refers to an
// earlier entry of the same pack and to nothing else: damage stays in its
// pack, and a pack can be read alone.
//
// # What holds
//
// Add is durable when it returns nil and may be repeated: an entry is known
// by its transaction number. What a crash tore off a pack's end is ignored
// and never appended after; FORMAT.md says how it is told from damage. After a
// failed sync a pack is abandoned: what it held before stays readable, what
// comes later goes to a new one. A process trusts no append that it did not
// sync itself: before anything hangs on the last one of a pack, it is written
// once more and synced. Files whose last name is taken away stay open until
// the directory is synced. Every read
// verifies the SHA-256 of the content. Packs share no inode with a live
// file, and they belong to whoever runs the store, mode 0600 in directories
// 0700: the mode and owner of each version are metadata, and who shows
// versions to others has to apply them.
//
// Deltas of large contents are made by patch, which finds what two versions
// share and writes the zstd frame itself; every such frame is decoded by the
// library, and compared, before it is kept.
//
// Frames never change once they count, so that nobody holds a lock while he
// decodes: reading and verifying don't keep saves waiting, and an open Content
// outlives its version.
//
// There is no index beside the packs: what a Store remembers is a bounded
// cache of what it read, and costs nothing for paths nobody asks for.
//
// A Store may be used from several goroutines. Sizes and offsets are bytes.
package backup
