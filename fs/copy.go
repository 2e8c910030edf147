package fs

import (
	"context"
)

// copyAtOnce bounds what one CopyRange does, in bytes: locks are held meanwhile. Callers come again for the rest.
const copyAtOnce = 64 << 20

// copyBuffer is the size of one read and write where chunks cannot be shared, in bytes.
const copyBuffer = 1 << 20

// CopyRange is copy_file_range(2): it returns how much was copied, which may be less than length. Whole chunks are
// shared where both files are under one data key.
func (h *Handle) CopyRange(ctx context.Context, off int64, to *Handle, toOff, length int64) (int64, error) {
	if !to.write {
		return 0, refuse(BadHandle, "copy_file_range", "not open for writing")
	}
	if off < 0 || toOff < 0 || length < 0 || toOff > MaxSize-length {
		return 0, refuse(FileTooLarge, "copy_file_range", "it would end behind byte %d", int64(MaxSize))
	}
	ctx = uncancelled(ctx)
	length = min(length, copyAtOnce)
	if h.old != nil {
		return to.copyOld(ctx, h.old, off, toOff, length)
	}
	n, err := h.copyLocked(ctx, off, to, toOff, length)
	if err == nil {
		err = to.view.fs.evict(ctx)
	}
	return n, err
}

func (h *Handle) copyLocked(ctx context.Context, off int64, to *Handle, toOff, length int64) (int64, error) {
	unlock := lockBoth(h.inode, to.inode)
	defer unlock()
	src, dst := h.inode, to.inode
	length = min(length, src.size-off)
	if length <= 0 {
		return 0, nil
	}
	if err := dst.prepare(ctx); err != nil {
		return 0, err
	}
	shared, err := dst.share(ctx, src, off, toOff, length)
	if err != nil {
		return 0, err
	}
	n, err := dst.copyBytes(src, off+shared, toOff+shared, length-shared)
	if n += shared; n > 0 {
		dst.touch()
		to.dropPrivileges(ctx, true)
		return n, nil
	}
	return 0, err
}

// lockBoth locks two inodes, which may be one, in their order.
func lockBoth(a, b *inode) (unlock func()) {
	if a == b {
		a.mu.Lock()
		return a.mu.Unlock
	}
	if a.ino > b.ino {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.Lock()
	return func() { b.mu.Unlock(); a.mu.Unlock() }
}

// share takes over the whole chunks at the start of the range, if that can be done, and returns how many bytes that
// was. Both are locked.
func (i *inode) share(ctx context.Context, src *inode, off, toOff, length int64) (int64, error) {
	n := length / chunkSize
	if off%chunkSize != 0 || toOff%chunkSize != 0 || n == 0 {
		return 0, nil
	}
	for _, f := range []*inode{src, i} {
		if !f.changed {
			continue
		}
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	index := toOff / chunkSize
	ok, err := i.file.CloneFrom(ctx, src.file, off/chunkSize, index, n)
	if err != nil || !ok {
		return 0, err
	}
	for k := range n {
		i.drop(index + k)
	}
	i.size = max(i.size, toOff+n*chunkSize)
	return n * chunkSize, nil
}

func (i *inode) copyBytes(src *inode, off, toOff, length int64) (int64, error) {
	buf := make([]byte, min(length, copyBuffer))
	var done int64
	for done < length {
		n, err := src.get(buf[:min(length-done, copyBuffer)], off+done)
		if n == 0 || err != nil {
			return done, err
		}
		put, err := i.put(toOff+done, buf[:n])
		done += int64(put)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// copyOld copies from an old version.
func (h *Handle) copyOld(ctx context.Context, src *versionReader, off, toOff, length int64) (int64, error) {
	buf := make([]byte, copyBuffer)
	var done int64
	for done < length {
		n, err := src.read(buf[:min(length-done, copyBuffer)], off+done)
		if n == 0 || err != nil {
			return done, err
		}
		if _, err := h.Write(ctx, toOff+done, buf[:n], true); err != nil {
			return done, err
		}
		done += int64(n)
	}
	return done, nil
}
