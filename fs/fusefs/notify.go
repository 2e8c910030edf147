package fusefs

import (
	"sync/atomic"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// kernel is the way back to the kernel, from the start of the server on.
type kernel struct{ server atomic.Pointer[gofuse.Server] }

func (k *kernel) set(s *gofuse.Server) { k.server.Store(s) }

var _ fs.Notifier = (*filesystem)(nil)

// InodeChanged implements [fs.Notifier]. That the kernel does not know the inode is no error.
func (f *filesystem) InodeChanged(ino objstore.Ino, data bool) {
	off := int64(-1) // attributes only
	if data {
		off = 0
	}
	if s := f.kernel.server.Load(); s != nil {
		s.InodeNotify(f.nodeid(ino), off, 0)
	}
}

// EntryChanged implements [fs.Notifier].
func (f *filesystem) EntryChanged(parent objstore.Ino, name string) {
	if s := f.kernel.server.Load(); s != nil {
		s.EntryNotify(f.nodeid(parent), name)
	}
}
