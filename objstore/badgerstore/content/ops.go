package content

import "io"

// Ops is what a [Dir] asks of the operating system: the seam for fault injection. [OS] is the real one.
type Ops interface {
	// OpenFile opens for reading and writing. With create it makes the file if there is none; without, a missing
	// file is fs.ErrNotExist.
	OpenFile(path string, create bool) (File, error)
	// Mkdir makes one directory; fs.ErrExist when it is there.
	Mkdir(path string) error
	// Remove unlinks a file; fs.ErrNotExist when there is none.
	Remove(path string) error
	// SyncDir makes a directory's entries survive power loss.
	SyncDir(path string) error
}

// File is one open content file.
type File interface {
	io.ReaderAt
	// ReadOnce is ReadAt of what is not likely to be read again soon: it need not stay in the kernel's memory.
	ReadOnce(p []byte, off int64) (n int, err error)
	// WriteAt writes all of p or returns an error; n bytes of it may then have been written.
	WriteAt(p []byte, off int64) (n int, err error)
	// Datasync is fdatasync(2).
	Datasync() error
	// StartWriteback asks the kernel to begin writing dirty pages of the range, and does not wait for them.
	StartWriteback(off, n int64) error
	// Forget lets the kernel drop its copy of a range that the disk has.
	Forget(off, n int64) error
	// Punch frees the whole blocks of a range; they read as zeros, and the size stays.
	Punch(off, n int64) error
	// Truncate sets the size.
	Truncate(size int64) error
	Size() (int64, error)
	// Allocated is the number of bytes of disk that the file takes.
	Allocated() (int64, error)
	Close() error
}
