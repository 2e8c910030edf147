// Package uncached transfers what a file has without leaving it in the kernel's cache.
//
// Memory that the cache takes anew for each page costs several times the copy, in a virtual machine above all; what is dropped at
// once is taken again. It is for bytes that are seldom read twice.
package uncached

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// leastBytes is from how many bytes on a transfer keeps out of the cache.
const leastBytes = 64 << 10

// File is an open file. Large writes, and large reads by ReadOnce, leave nothing in the cache that was not there (RWF_DONTCACHE of
// preadv2(2)). Where the kernel or the file system cannot do so they are ordinary ones; errors are those of [os.File]. Its methods
// may be called concurrently.
type File struct {
	*os.File
	unable atomic.Bool
}

// New takes over an open file.
func New(f *os.File) *File {
	u := &File{File: f}
	var name unix.Utsname
	u.unable.Store(unix.Uname(&name) != nil || !trusted(unix.ByteSliceToString(name.Release[:])))
	return u
}

// trusted reports a kernel from 6.16 on. Those before, from 6.14 on, could drop a page that was written to again meanwhile.
func trusted(release string) bool {
	var major, minor int
	n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor)
	return n == 2 && (major > 6 || major == 6 && minor >= 16)
}

// WriteAt is [os.File.WriteAt].
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	return f.transfer(unix.Pwritev2, f.File.WriteAt, p, off)
}

// ReadOnce is ReadAt of what is not likely to be read again soon.
func (f *File) ReadOnce(p []byte, off int64) (int, error) {
	return f.transfer(unix.Preadv2, f.File.ReadAt, p, off)
}

// transfer moves p without the cache by once. Where that ends, the ordinary call goes on, and says why.
func (f *File) transfer(once func(fd int, iovs [][]byte, off int64, flags int) (int, error), ordinary func([]byte, int64) (int, error),
	p []byte, off int64) (n int, err error) {
	for len(p)-n >= leastBytes && !f.unable.Load() {
		k, err := once(int(f.Fd()), [][]byte{p[n:]}, off+int64(n), unix.RWF_DONTCACHE)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			f.unable.Store(err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EINVAL)
		}
		if err != nil || k <= 0 {
			break
		}
		n += k
	}
	if n == len(p) {
		return n, nil
	}
	k, err := ordinary(p[n:], off+int64(n))
	return n + k, err
}
