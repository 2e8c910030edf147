package fs

import (
	"context"
	"errors"
)

// leastBehind is the size of a write, in bytes, from which on it is answered before it is sealed.
const leastBehind = 256 << 10

// WriteBehind is [Handle.Write] in two steps, so that a program can go on while its data is sealed: where finish is not nil the
// write is to be answered as done, and finish to be called once behind that, whatever happens. Until it returns, data must not
// change and all who need the file wait.
//
// What finish cannot store stays in memory. The next flush tries again, and who called that hears of it; and until something is
// stored again, writes are answered when they are stored.
func (h *Handle) WriteBehind(ctx context.Context, off int64, data []byte, kill bool) (n int, finish func(), err error) {
	if len(data) < leastBehind {
		n, err := h.Write(ctx, off, data, kill)
		return n, nil, err
	}
	return h.writeBehind(ctx, off, data, kill)
}

func (h *Handle) writeBehind(ctx context.Context, off int64, data []byte, kill bool) (n int, finish func(), err error) {
	if h.checkWrite(off, data) != nil || !h.lockBehind() {
		n, err := h.Write(ctx, off, data, kill)
		return n, nil, err
	}
	ctx = uncancelled(ctx)
	n, err = h.changeLocked(ctx, kill, func(i *inode) (int, error) {
		i.size = max(i.size, off+int64(len(data)))
		return len(data), nil
	})
	if err != nil {
		h.inode.mu.Unlock()
		h.view.fs.failures.note(h.ino, err)
		return 0, nil, err
	}
	return n, func() { h.finish(ctx, off, data) }, nil
}

// lockBehind locks the inode, or reports that what is written to it has to be stored before it is answered.
func (h *Handle) lockBehind() bool {
	h.inode.mu.Lock()
	if h.inode.refused {
		h.inode.mu.Unlock()
		return false
	}
	return true
}

// finish stores what a write that was answered left, and unlocks the inode.
func (h *Handle) finish(ctx context.Context, off int64, data []byte) {
	i := h.inode
	done, err := i.put(off, data)
	if err != nil {
		i.keep(off+int64(done), data[done:])
		i.refused = true
		i.fs.log.Warn("written data stays in memory until it can be stored", "ino", i.ino, "error", err)
	}
	i.show()
	i.mu.Unlock()
	if err = errors.Join(err, i.fs.evict(ctx)); err != nil {
		i.fs.failures.note(i.ino, err)
	}
}

// keep makes data at off dirty chunks, and stores nothing.
func (i *inode) keep(off int64, data []byte) {
	for len(data) > 0 {
		index, in := off/chunkSize, int(off%chunkSize)
		n := min(len(data), chunkSize-in)
		i.hold(index, in, data[:n])
		data = data[n:]
		off += int64(n)
	}
}
