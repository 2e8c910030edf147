package fs

import (
	"context"

	"kmsfs/objstore"
)

// truncate sets the size of ino to size, through h or, where h is nil, as truncate(2) does.
func (v *View) truncate(ctx context.Context, ino objstore.Ino, h *Handle, size int64, kill bool) error {
	if size < 0 || size > MaxSize {
		return refuse(FileTooLarge, "truncate", "the size would be %d", size)
	}
	if h != nil && h.write {
		_, err := h.change(ctx, kill, func(i *inode) (int, error) { return 0, i.resize(ctx, size) })
		return err
	}
	i := v.fs.acquire(ino)
	defer v.fs.release(i)
	t := &Handle{view: v, inode: i, ino: ino, write: true}
	err := t.truncateClosed(ctx, size, kill)
	v.fs.failures.note(ino, err)
	return err
}

// truncateClosed is truncate(2): an open for writing, a change and a close in one. The inode is locked.
func (h *Handle) truncateClosed(ctx context.Context, size int64, kill bool) error {
	i := h.inode
	node, err := i.open(ctx, OpenFlags{Write: true})
	if err != nil {
		return err
	}
	idle := !i.changed
	i.endVersion()
	if size == 0 {
		err = i.empty(ctx, node)
	} else if err = i.begin(ctx, node, objstore.BeginKeep); err == nil {
		err = i.resize(ctx, size)
	}
	if err != nil {
		return err
	}
	i.touch()
	h.dropPrivileges(ctx, kill)
	if !idle && i.writers > 0 {
		return nil // what others have not committed is theirs to commit
	}
	err = i.commit(ctx, h.view)
	if i.writers == 0 {
		i.endSession(ctx, h.view)
	}
	i.endVersion()
	return err
}

// resize is ftruncate(2) of the open file. i is locked and prepared.
func (i *inode) resize(ctx context.Context, size int64) error {
	switch {
	case size == 0 && i.size > 0:
		node, err := i.fs.tree.Node(ctx, i.ino)
		if err != nil {
			return stale(err)
		}
		return i.empty(ctx, node)
	case size < i.size:
		return i.cut(size)
	}
	i.size = size
	return nil
}

// Allocate modes, as fallocate(2) has them.
const (
	AllocKeepSize  = 0x01 // FALLOC_FL_KEEP_SIZE
	AllocPunchHole = 0x02 // FALLOC_FL_PUNCH_HOLE
	AllocZeroRange = 0x10 // FALLOC_FL_ZERO_RANGE
)

// Allocate is fallocate(2). Space is not reserved: mode 0 extends the file by a hole.
func (h *Handle) Allocate(ctx context.Context, off, length int64, mode uint32) error {
	if !h.write {
		return refuse(BadHandle, "fallocate", "not open for writing")
	}
	if off < 0 || length <= 0 || off > MaxSize-length {
		return refuse(FileTooLarge, "fallocate", "it would end behind byte %d", int64(MaxSize))
	}
	keep := mode&AllocKeepSize != 0
	switch mode &^ AllocKeepSize {
	case 0:
		return h.allocate(ctx, off, length, keep, false)
	case AllocPunchHole:
		if keep {
			return h.allocate(ctx, off, length, true, true)
		}
	case AllocZeroRange:
		return h.allocate(ctx, off, length, keep, true)
	}
	return refuse(Unsupported, "fallocate", "mode %#x", mode)
}

func (h *Handle) allocate(ctx context.Context, off, length int64, keep, zero bool) error {
	if keep && !zero {
		return nil
	}
	_, err := h.change(uncancelled(ctx), false, func(i *inode) (int, error) {
		if zero {
			if err := i.punch(off, off+length); err != nil {
				return 0, err
			}
		}
		if !keep {
			i.size = max(i.size, off+length)
		}
		return 0, nil
	})
	return err
}

// SeekData and SeekHole are lseek(2)'s SEEK_DATA and SEEK_HOLE. objstore.NoData: nothing behind off.
func (h *Handle) SeekData(off int64) (int64, error) {
	if h.old != nil {
		return h.old.seek(off, off)
	}
	return h.inode.seek(off, func(f objstore.File) (int64, error) { return f.SeekData(off) })
}

// SeekHole: see [Handle.SeekData].
func (h *Handle) SeekHole(off int64) (int64, error) {
	if h.old != nil {
		return h.old.seek(off, h.old.size())
	}
	return h.inode.seek(off, func(f objstore.File) (int64, error) { return f.SeekHole(off) })
}

func (i *inode) seek(off int64, ask func(objstore.File) (int64, error)) (int64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if off < 0 || off >= i.size {
		return 0, deny(objstore.NoData, "lseek", "nothing behind %d", off)
	}
	if i.changed {
		if err := i.flush(); err != nil {
			return 0, err
		}
	}
	at, err := ask(i.file)
	return min(at, i.size), err
}
