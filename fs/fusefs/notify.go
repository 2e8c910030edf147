package fusefs

import (
	"encoding/binary"
	"sync"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// kernel is the way back to the kernel while the file system is mounted.
type kernel struct {
	mu  sync.RWMutex
	dev *device // GUARDED_BY(mu): nil before and after
}

func (k *kernel) set(d *device) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dev = d
}

// tell sends a message. That the kernel does not know what it is about is no error.
func (k *kernel) tell(code int32, body []byte) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.dev != nil {
		_ = k.dev.tell(message(code, body))
	}
}

// Messages to the kernel: enum fuse_notify_code.
const (
	notifyInode = 2 // FUSE_NOTIFY_INVAL_INODE
	notifyEntry = 3 // FUSE_NOTIFY_INVAL_ENTRY
)

// message is a struct fuse_out_header of no request, whose error field has the code, and a body.
func message(code int32, body []byte) []byte {
	m := make([]byte, 0, 16+len(body))
	m = binary.NativeEndian.AppendUint32(m, uint32(16+len(body)))
	m = binary.NativeEndian.AppendUint32(m, uint32(code))
	m = binary.NativeEndian.AppendUint64(m, 0)
	return append(m, body...)
}

var _ fs.Notifier = (*filesystem)(nil)

// InodeChanged implements [fs.Notifier].
func (f *filesystem) InodeChanged(ino objstore.Ino, data bool) {
	off := int64(-1) // attributes only
	if data {
		off = 0
	}
	b := binary.NativeEndian.AppendUint64(nil, f.nodeid(ino)) // struct fuse_notify_inval_inode_out
	b = binary.NativeEndian.AppendUint64(b, uint64(off))
	b = binary.NativeEndian.AppendUint64(b, 0) // up to the end
	f.kernel.tell(notifyInode, b)
}

// EntryChanged implements [fs.Notifier].
func (f *filesystem) EntryChanged(parent objstore.Ino, name string) {
	b := binary.NativeEndian.AppendUint64(nil, f.nodeid(parent)) // struct fuse_notify_inval_entry_out
	b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
	b = binary.NativeEndian.AppendUint32(b, 0) // flags
	f.kernel.tell(notifyEntry, append(append(b, name...), 0))
}
