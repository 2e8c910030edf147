// Package badgerstore is the embedded store: objstore.Store, objstore.Tree, objstore.Maintainer and the like over one directory.
//
// # Words
//
// A content is a set of sealed chunks under one data key; versions with the same stored settings share it. A chunk
// lies in a slot: of the content's file, or, when it is small, of the data table of the database. A version's chunk
// map says which slot each chunk has; a large map is kept in pages, which versions share, too. A history is the place
// where the old versions of a directory's names lie; it outlives the directory, whose name is then a ghost. A draft
// is what fsync(2) left of an open file; an orphan is a file that was unlinked while open.
//
// # The data path
//
//	write(2)  fs                  whole chunks of the open file
//	          write.go            pending chunks, sealed several at a time
//	          content             ... into slots of the content's file
//	fsync(2)  commit.go Sync      a draft, then one flush of content and journal
//	close(2)  commit.go Commit    one transaction: small chunks, pages, version, names, usage
//	          version.go          what was current becomes noncurrent, or goes
//	          sweep.go reclaim.go what nobody uses any more is given back
//	read(2)   source.go           map → slot → ciphertext → opened chunk
//
// PutObject is the same path without an inode number; CopyObject and Restore make a version on an existing content.
//
// A damaged store: check.go reads everything; repair.go mends: salvage.go (what cannot be read goes), then one change over a
// survey.go of all records: repairtree.go (names, directories, links) and repairrefs.go (what hangs on them).
//
// # Backups
//
// backup.go takes the state behind one change (pin.go): a snapshot of the database, and a pin that keeps what its records use in
// content files. collect.go finds that; package backup has the form. restore.go makes a store of it; the header comes last.
//
// # Order of commit
//
//  1. Ciphertext is appended to the content file.
//  2. One transaction makes the version current: all of it, or nothing.
//  3. When the journal is flushed, content files are made durable before it (kv.Options.BeforeSync).
//  4. Only when the transaction survives power loss is the space of what it replaced given back (whenDurable): power
//     loss may bring back the record before it. Chunks of the data table go with the transaction itself.
//
// # Invariants
//
//   - Each record that has a version has a use record R of its content, and each use record a record with that content.
//   - A content without use records and without a source in memory is garbage: file, pages and small chunks go.
//   - A slot is written once. Its number is never used again, so that what is given back late harms nobody.
//   - A name that has a directory has no ghost: mkdir and rename take a ghost's history over.
//   - A key has one null version at most, and the keys of its old versions sort by when they became noncurrent.
//   - The usage of a bucket is what a recount of its records gives.
//   - A record leaves memory as an immutable snapshot: a change edits a copy.
//
// # Who may give up a content
//
// The transaction that removes the last use of a content, or that knows of slots that nobody has, must not meet a
// reader who has just looked at the old record. It condemns the content (txn.condemn): that fails while others hold
// it, and until the transaction is through nobody new can. Readers look at the record, take their hold, and look
// again (Store.openSource). What cannot be given up at once is noted as litter and left to the sweep, which takes
// what neither a record nor a source in memory has: memory is looked at before the records, for a commit moves slots
// from the one to the other, and slots from the first free number on are not judged.
//
// # Keys and values of the metadata table
//
// Numbers in keys are 8 bytes, big endian. FORMAT.md states each value to the byte.
//
//	A                            backups that the store has been through
//	B name                       bucket
//	C number                     stem: what many envelopes begin with; W number has it once more
//	D parent name                dirent: the inodes of the file and of the directory of that name
//	G content                    garbage: small slots of it that are dead; also: look at this content
//	H history name               ghost: the history of a directory that is gone
//	I ino                        inode: attributes, and a file's current version
//	K name                       record of the local key provider, sealed by it
//	L ino parent name            empty: a further link of ino
//	M name                       counter: numbers below it may have been given out (ino, seq, page, bucket, acl)
//	N history name 0 ^number     inode as it was when it became noncurrent, or delete marker; newest first
//	O ino                        empty: unlinked while open
//	P content index id           page of a chunk map
//	Q content index id           list of pages, of a chunk map with very many
//	R content key                empty: the record key (I, N or X) uses content
//	S bucket                     usage, and how many files are bound to their names: a rename of a directory asks (bound.go)
//	U name                       record of a user, sealed by package kms/users
//	X ino                        draft: inode as fsync(2) left it
//
// The data table has content, slot → sealed chunk.
//
// # Lock order
//
// A file is its caller's to lock. Then Store.wmu (one transaction at a time), kv's lock, source.mu, Store.mu. Store.mu
// is never held over I/O; source.mu is, since a map may have to load a page and a slot must be in the map before the
// sweep may look.
package badgerstore
