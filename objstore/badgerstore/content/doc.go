// Package content keeps bulk bytes in plain files beside the database: one file per content, ROOT/ab/<32 hex>,
// fanned out by the first byte of its id. It does no cryptography: what it stores is ciphertext already.
//
// A file is a row of slots of one size; the size is the caller's and must be the same at every call for a content.
// A slot is written once, by the [Dir.Append] that allocated its number, and its number is never used again.
//
// # Order of commit
//
// Append, then the database transaction that refers to the slots, then [Dir.Sync] before the transaction is made
// to survive power loss. What was appended and is not referred to is removed by [Dir.Punch] or [Dir.Remove].
//
// # Slot numbers after a crash
//
// The file's size is the only allocator state on disk. Death of the process loses nothing. Power loss can shrink a
// file back to what was synced: numbers that were given out after the last Sync would be given out again. A
// database that may still refer to such a number must call [Dir.Reserve] before it appends.
//
// # Failed syncs
//
// After a failed fdatasync the kernel may have dropped the pages and calls them clean; the next fdatasync would then
// succeed over lost data. So what was appended is read and written again first. If it is not there any more, the content is bad
// until it is removed: [Dir.Sync] keeps failing for it, and [Dir.Append] refuses it. Reading it is allowed. The mark does not
// outlive the process.
//
// # The kernel's cache
//
// Reads that are done once pass through the cache and do not stay in it (package uncached); long appends are dropped from it when
// they are durable, and not before: a sync that fails finds them there. A mount has its plaintext cached already, and fresh memory for
// the ciphertext takes several times as long as the copy.
//
// # Lock order
//
// file.opening, file.sync, file.writers and directory.sync (never two of them), then Dir.mu, then file.mu. No system call that waits for the disk runs under Dir.mu.
package content
