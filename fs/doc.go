// Package fs shows the keys of an [objstore.Tree] as files and directories, addressed by inode number, without any
// kernel type: package fusefs is the thin adapter above it.
//
// # Who holds what
//
// [FS] exists once per store. It holds one inode struct per open regular file; everything that is not open lives in
// the store alone. A [View] is what one mount shows: a bucket, or every bucket as a directory. It holds what one
// kernel knows: virtual inodes (the .versions directories), removed nodes that are still referenced, and which
// version's pages the kernel may have cached.
//
// # Locks, in the order in which they are taken
//
//	inode.mu       content, size and times of one open file; two of them in ascending order of inode number
//	FS.mu          the table of open inodes and their reference counts
//	dirtyPool.mu   the list of dirty chunks
//	View.mu, selections.mu, failures.mu, reencrypter.mu   leaves, never held while another is taken
//
// Eviction of dirty chunks takes an inode.mu with nothing held. Notifiers are called with nothing held.
//
// # Life of a write
//
// Write copies the bytes into a chunk buffer, or hands whole aligned chunks down at once. A chunk buffer goes to
// [objstore.File.WriteChunks] when it is full, at fsync and close, when a read position needs it, or when too many are
// dirty. What the buffer lacks is read from the store only then. Close commits the version; see session.go.
package fs
