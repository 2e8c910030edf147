package content

import (
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
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
	return &osFile{File: f}, nil
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

// onceBytes is from how many bytes on a transfer keeps out of the kernel's cache. Memory that the cache has to take anew for each
// page costs several times the copy, in a virtual machine above all; what is dropped at once is taken again. Ciphertext is
// seldom read twice: a mount's plaintext is in the kernel's memory.
const onceBytes = 64 << 10

type osFile struct {
	*os.File
	caching atomic.Bool // the kernel (before Linux 6.14) or the file system has no RWF_DONTCACHE: preadv2(2)
}

// WriteAt lets the last page stay, if the end is within it: the next write begins there, and would have to read it first.
func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	whole := max(0, len(p)-int((off+int64(len(p)))%pageBytes))
	n := f.once(unix.Pwritev2, p[:whole], off)
	if n == len(p) {
		return n, nil
	}
	k, err := f.File.WriteAt(p[n:], off+int64(n))
	return n + k, err
}

func (f *osFile) ReadOnce(p []byte, off int64) (int, error) {
	n := f.once(unix.Preadv2, p, off)
	if n == len(p) {
		return n, nil
	}
	k, err := f.File.ReadAt(p[n:], off+int64(n))
	return n + k, err
}

// once transfers as much of p as goes without the cache. Where that ends, an ordinary call goes on, and says why.
func (f *osFile) once(call func(fd int, iovs [][]byte, off int64, flags int) (int, error), p []byte, off int64) (n int) {
	for len(p)-n >= onceBytes && !f.caching.Load() {
		k, err := call(f.fd(), [][]byte{p[n:]}, off+int64(n), unix.RWF_DONTCACHE)
		switch {
		case err == unix.EINTR:
		case err != nil:
			f.caching.Store(err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EINVAL)
			return n
		case k <= 0:
			return n
		default:
			n += k
		}
	}
	return n
}

func (f *osFile) fd() int { return int(f.Fd()) }

func (f *osFile) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.Name(), Err: err}
}

// Datasync is not retried after EINTR: a second call could report success over lost pages.
func (f *osFile) Datasync() error { return f.wrap("fdatasync", unix.Fdatasync(f.fd())) }

func (f *osFile) StartWriteback(off, n int64) error {
	return f.wrap("sync_file_range", unix.SyncFileRange(f.fd(), off, n, unix.SYNC_FILE_RANGE_WRITE))
}

// diskBlock is what the common file systems free space in. Where theirs is larger, they zero what is not a whole one.
const diskBlock = 4096

// Punch leaves parts of blocks as they are: zeroing them frees nothing, and may have to read them first.
func (f *osFile) Punch(off, n int64) error {
	end := (off + n) / diskBlock * diskBlock
	off = (off + diskBlock - 1) / diskBlock * diskBlock
	if n = end - off; n <= 0 {
		return nil
	}
	return f.wrap("fallocate", retry(func() error {
		return unix.Fallocate(f.fd(), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	}))
}

func (f *osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (f *osFile) Allocated() (int64, error) {
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
