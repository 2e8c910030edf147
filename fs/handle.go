package fs

import (
	"context"
	"errors"

	"kmsfs/objstore"
)

// OpenFlags are the flags of open(2) that matter here.
type OpenFlags struct {
	Write, Truncate bool
	NoRead          bool // O_WRONLY
	KillPrivileges  bool // with Truncate: clear S_ISUID, S_ISGID as for a caller without CAP_FSETID
}

// Handle is one open(2) of a regular file. [Handle.Release] ends it.
type Handle struct {
	view  *View
	inode *inode         // nil for an old version
	old   *versionReader // of an old version
	ino   objstore.Ino
	write bool
	// KeepPages: the pages that the kernel may still have of the file are those of its present content.
	KeepPages bool
}

// Ino is the inode number of the open file.
func (h *Handle) Ino() objstore.Ino { return h.ino }

// Writable reports whether the handle may write.
func (h *Handle) Writable() bool { return h.write }

// Open opens a regular file for ctx's caller: its KMS key is asked.
func (v *View) Open(ctx context.Context, ino objstore.Ino, flags OpenFlags) (*Handle, error) {
	h, err := v.open(ctx, ino, flags)
	if rerr := v.recordOpen(ctx, ino, flags, err); rerr != nil && err == nil {
		h.Release(ctx)
		v.fs.failures.note(ino, rerr)
		return nil, rerr
	}
	return h, err
}

func (v *View) open(ctx context.Context, ino objstore.Ino, flags OpenFlags) (*Handle, error) {
	if flags.Write || flags.Truncate {
		if err := v.writable("open", ino); err != nil {
			return nil, err
		}
	}
	if isVirtual(ino) {
		return v.openVersion(ctx, ino)
	}
	ctx = uncancelled(ctx)
	i := v.fs.acquire(ino)
	h := &Handle{view: v, inode: i, ino: ino, write: flags.Write}
	if err := h.open(ctx, flags); err != nil {
		v.fs.failures.note(ino, err)
		v.fs.release(i)
		return nil, err
	}
	i.mu.Unlock()
	v.fs.failures.note(ino, nil)
	return h, nil
}

func (h *Handle) open(ctx context.Context, flags OpenFlags) error {
	i := h.inode
	node, err := i.open(ctx, flags)
	if err != nil {
		return err
	}
	if flags.Write {
		if err := h.openForWrite(ctx, node, flags); err != nil {
			return err
		}
	}
	h.KeepPages = h.view.keepPages(i.ino, i.version) && (!i.changed || len(*h.view.fs.views.Load()) == 1)
	return nil
}

func (h *Handle) openForWrite(ctx context.Context, node *objstore.Node, flags OpenFlags) error {
	i := h.inode
	i.endVersion()
	if !flags.Truncate {
		if err := i.begin(ctx, node, objstore.BeginKeep); err != nil {
			return err
		}
		i.writers++
		return nil
	}
	if err := i.empty(ctx, node); err != nil {
		if i.blank {
			i.forget()
		}
		return err
	}
	i.blank = false
	i.writers++
	i.touch()
	h.dropPrivileges(ctx, flags.KillPrivileges)
	return nil
}

// created makes the handle of a file that was just made: there is a version to commit even if nothing is written.
func (v *View) created(ctx context.Context, node *objstore.Node, flags OpenFlags) (*Handle, error) {
	i := v.fs.acquire(node.Ino)
	h := &Handle{view: v, inode: i, ino: node.Ino, write: true, KeepPages: true}
	err := i.load(ctx, node, false)
	if err == nil {
		err = i.begin(ctx, node, objstore.BeginKeep)
	}
	if err != nil {
		v.fs.release(i)
		return nil, err
	}
	i.writers++
	i.mtime, i.changed = node.Mtime, true
	i.show()
	v.pagesAre(node.Ino, node.VersionID)
	i.mu.Unlock()
	return h, nil
}

// Read is pread(2). At the end of the file it is short, with no error.
func (h *Handle) Read(p []byte, off int64) (int, error) {
	if h.old != nil {
		return h.old.read(p, off)
	}
	i := h.inode
	i.mu.RLock()
	n, err := i.get(p, off)
	i.mu.RUnlock()
	if err != nil {
		h.view.fs.failures.note(h.ino, err)
	}
	return n, err
}

// MaxSize is the largest size of a file, in bytes. The sum of an offset and a length stays below 1<<63.
const MaxSize = 1 << 62

// Write is pwrite(2). kill is set for callers without CAP_FSETID: S_ISUID and S_ISGID go.
func (h *Handle) Write(ctx context.Context, off int64, data []byte, kill bool) (int, error) {
	if err := h.checkWrite(off, data); err != nil {
		return 0, err
	}
	ctx = uncancelled(ctx)
	n, err := h.change(ctx, kill, func(i *inode) (int, error) {
		n, err := i.put(off, data)
		i.refused = i.refused && err != nil
		return n, err
	})
	if err == nil {
		err = h.view.fs.evict(ctx)
	}
	if err != nil {
		h.view.fs.failures.note(h.ino, err)
	}
	return n, err
}

func (h *Handle) checkWrite(off int64, data []byte) error {
	if !h.write {
		return refuse(BadHandle, "write", "not open for writing")
	}
	if off < 0 || off > MaxSize-int64(len(data)) {
		return refuse(FileTooLarge, "write", "it would end behind byte %d", int64(MaxSize))
	}
	return nil
}

// change runs fn, which changes content or size, with all that belongs to a change.
func (h *Handle) change(ctx context.Context, kill bool, fn func(*inode) (int, error)) (int, error) {
	h.inode.mu.Lock()
	defer h.inode.mu.Unlock()
	return h.changeLocked(ctx, kill, fn)
}

func (h *Handle) changeLocked(ctx context.Context, kill bool, fn func(*inode) (int, error)) (int, error) {
	i := h.inode
	if err := i.prepare(ctx); err != nil {
		return 0, err
	}
	n, err := fn(i)
	if n > 0 || err == nil {
		i.touch()
		h.dropPrivileges(ctx, kill)
	}
	return n, err
}

// dropPrivileges removes what a change of the content must remove: security.capability always, S_ISUID and S_ISGID
// where kill is set. Its failure does not undo the write.
func (h *Handle) dropPrivileges(ctx context.Context, kill bool) {
	i := h.inode
	if !i.seccap && !(kill && i.mode&(sISUID|sISGID) != 0) {
		return
	}
	if err := h.view.killPrivileges(ctx, i, kill); err != nil {
		i.fs.log.Error("privilege bits of a written file stay", "ino", i.ino, "error", err)
	}
	h.view.tellOwn(change{ino: i.ino})
}

// Flush is for each close(2) of a descriptor: what was written becomes the current version.
func (h *Handle) Flush(ctx context.Context) error {
	if !h.write {
		return nil
	}
	h.inode.mu.Lock()
	defer h.inode.mu.Unlock()
	return h.inode.commit(uncancelled(ctx), h.view)
}

// Sync is fsync(2).
func (h *Handle) Sync(ctx context.Context) error {
	if h.inode == nil {
		return nil
	}
	h.inode.mu.Lock()
	defer h.inode.mu.Unlock()
	err := h.inode.sync(uncancelled(ctx))
	if errors.Is(err, objstore.NoSuchNode) { // it has no name any more: nothing has to survive
		return nil
	}
	h.view.fs.failures.note(h.ino, err)
	return err
}

// Release ends the handle. What a failed Flush left is lost with the last handle.
func (h *Handle) Release(ctx context.Context) {
	if h.old != nil {
		h.old.close()
		return
	}
	i := h.inode
	i.mu.Lock()
	if h.write {
		i.writers--
		if i.writers == 0 {
			i.endSession(uncancelled(ctx), h.view)
		}
	}
	h.view.fs.release(i)
}
