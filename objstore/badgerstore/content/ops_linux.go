package content

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"kmsfs/objstore/badgerstore/uncached"
)

// OS is the operating system's file system.
type OS struct{}

// blockUnit is the unit of st_blocks, whatever the block size of the file system.
const blockUnit = 512

func (OS) OpenFile(path string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f, uncached.New(f)}, nil
}

func (OS) Mkdir(path string) error  { return os.Mkdir(path, 0o700) }
func (OS) Remove(path string) error { return unlink(path) }

// unlink is os.Remove without its second attempt as a directory.
func unlink(path string) error {
	if err := retry(func() error { return unix.Unlink(path) }); err != nil {
		return &os.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

func (OS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osFile struct {
	*os.File
	uncached *uncached.File
}

func (f osFile) fd() int { return int(f.Fd()) }

func (f osFile) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

// Datasync is not retried after EINTR: a second call could report success over lost pages.
func (f osFile) Datasync() error { return f.wrap("fdatasync", unix.Fdatasync(f.fd())) }

func (f osFile) ReadOnce(p []byte, off int64) (int, error) { return f.uncached.ReadOnce(p, off) }

// Forget is posix_fadvise(2) with POSIX_FADV_DONTNEED.
func (f osFile) Forget(off, n int64) error {
	return f.wrap("fadvise", unix.Fadvise(f.fd(), off, n, unix.FADV_DONTNEED))
}

func (f osFile) StartWriteback(off, n int64) error {
	return f.wrap("sync_file_range", unix.SyncFileRange(f.fd(), off, n, unix.SYNC_FILE_RANGE_WRITE))
}

// diskBlock is what the common file systems free space in. Where theirs is larger, they zero what is not a whole one.
const diskBlock = 4096

// Punch leaves parts of blocks as they are: zeroing them frees nothing, and may have to read them first.
func (f osFile) Punch(off, n int64) error {
	end := (off + n) / diskBlock * diskBlock
	off = (off + diskBlock - 1) / diskBlock * diskBlock
	if n = end - off; n <= 0 {
		return nil
	}
	return f.wrap("fallocate", retry(func() error {
		return unix.Fallocate(f.fd(), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	}))
}

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (f osFile) Allocated() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd(), &st); err != nil {
		return 0, f.wrap("fstat", err)
	}
	return st.Blocks * blockUnit, nil
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
