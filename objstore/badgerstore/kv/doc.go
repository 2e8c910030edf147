// Package kv is an encrypted, crash-safe, ordered key-value store with atomic
// transactions of any size. It is the only importer of badger.
//
// # Path of a write
//
//	Update → Tx (buffered) → one sealed record in the journal (one pwrite)
//	       → overlay in memory → return
//	checkpoint: freeze the overlay → BeforeSync, fdatasync of the journal
//	       → data values to a pack, fdatasync → the rest, and where the data lies, to badger
//	       → fsync of badger's logs → recycle journal segments
//
// Values of PutData stay out of badger, which would write each of them four times or more: to its log, to a table, to the
// second copy of that, and again at every compaction. A pack has it once.
//
// Reads look into the active overlay, the frozen one and badger, in that order.
// Badger is written by the checkpoint only, so a transaction's size is not bound
// by badger's, and a device flush costs one fdatasync of preallocated blocks.
//
// # Durability
//
// A transaction survives the death of the process once Update returns, and power
// loss once a later Sync returns (or the next checkpoint, at most SyncEvery
// later). After a crash the records behind the last checkpoint are applied again
// in order; they hold absolute values, so a half-applied checkpoint is healed.
//
// # Layout of the directory
//
//	journal/      preallocated segments, see FORMAT.md
//	meta/         badger: all keys of Put, and where values of PutData lie
//	meta.copy/    second copy of INDEX, and of each file that badger needs, at most SyncEvery after it was made
//	data/         packs: values of PutData
//	INDEX         sealed: names, sizes and SHA-256 of the files above
//	SPARE         nothing: space for opening the store on a full disk
//
// # Lock order
//
// writer (one Update at a time) → checkpoint → mu (overlays, base) → journal.mu.
// The flusher's lock is a leaf. No lock is held while BeforeSync runs, save the checkpoint's.
package kv
