package fusefs

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// Lookup answers a name that does not exist as such, for the kernel to remember it.
func (f *filesystem) Lookup(cancel <-chan struct{}, h *gofuse.InHeader, name string, out *gofuse.EntryOut) gofuse.Status {
	parent := f.ino(h.NodeId)
	n, stable, err := f.view.Lookup(f.ctx(h), parent, name)
	if err == nil {
		f.entry(out, n, stable)
		return gofuse.OK
	}
	status := f.status("lookup", h, err)
	if status == gofuse.ENOENT && parent&fs.VirtualBit == 0 {
		out.SetEntryTimeout(f.opt.CacheTimeout)
		return gofuse.OK
	}
	return status
}

// Forget ends references of the kernel to a node.
func (f *filesystem) Forget(nodeid, count uint64) { f.view.Forget(f.ino(nodeid), count) }

// named answers an operation that made a name.
func (f *filesystem) named(op string, h *gofuse.InHeader, out *gofuse.EntryOut, n *objstore.Node, err error) gofuse.Status {
	if err != nil {
		return f.status(op, h, err)
	}
	f.entry(out, n, true)
	return gofuse.OK
}

// Mknod makes a regular file, device, fifo or socket.
func (f *filesystem) Mknod(cancel <-chan struct{}, in *gofuse.MknodIn, name string, out *gofuse.EntryOut) gofuse.Status {
	init := fs.NodeInit{Mode: in.Mode, Umask: in.Umask, UID: in.Uid, GID: in.Gid, Rdev: in.Rdev}
	n, err := f.view.Mknod(f.ctx(&in.InHeader), f.ino(in.NodeId), name, init)
	return f.named("mknod", &in.InHeader, out, n, err)
}

// Mkdir makes a directory.
func (f *filesystem) Mkdir(cancel <-chan struct{}, in *gofuse.MkdirIn, name string, out *gofuse.EntryOut) gofuse.Status {
	init := fs.NodeInit{Mode: syscall.S_IFDIR | in.Mode&0o7777, Umask: in.Umask, UID: in.Uid, GID: in.Gid}
	n, err := f.view.Mknod(f.ctx(&in.InHeader), f.ino(in.NodeId), name, init)
	return f.named("mkdir", &in.InHeader, out, n, err)
}

// Symlink makes a symbolic link.
func (f *filesystem) Symlink(cancel <-chan struct{}, h *gofuse.InHeader, target, name string, out *gofuse.EntryOut) gofuse.Status {
	init := fs.NodeInit{UID: h.Uid, GID: h.Gid, Target: target}
	n, err := f.view.Symlink(f.ctx(h), f.ino(h.NodeId), name, init)
	return f.named("symlink", h, out, n, err)
}

// Readlink is readlink(2).
func (f *filesystem) Readlink(cancel <-chan struct{}, h *gofuse.InHeader) ([]byte, gofuse.Status) {
	target, err := f.view.Readlink(f.ctx(h), f.ino(h.NodeId))
	return []byte(target), f.status("readlink", h, err)
}

// Link gives a file one more name.
func (f *filesystem) Link(cancel <-chan struct{}, in *gofuse.LinkIn, name string, out *gofuse.EntryOut) gofuse.Status {
	n, err := f.view.Link(f.ctx(&in.InHeader), f.ino(in.Oldnodeid), f.ino(in.NodeId), name)
	return f.named("link", &in.InHeader, out, n, err)
}

// Unlink removes a name that is not a directory.
func (f *filesystem) Unlink(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return f.status("unlink", h, f.view.Unlink(f.ctx(h), f.ino(h.NodeId), name))
}

// Rmdir removes an empty directory.
func (f *filesystem) Rmdir(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return f.status("rmdir", h, f.view.Rmdir(f.ctx(h), f.ino(h.NodeId), name))
}

// Rename is renameat2(2).
func (f *filesystem) Rename(cancel <-chan struct{}, in *gofuse.RenameIn, name, newName string) gofuse.Status {
	const noReplace, exchange = 1, 2 // RENAME_NOREPLACE, RENAME_EXCHANGE
	mode := objstore.RenamePlain
	switch in.Flags {
	case 0:
	case noReplace:
		mode = objstore.RenameNoReplace
	case exchange:
		mode = objstore.RenameExchange
	default:
		return gofuse.EINVAL
	}
	err := f.view.Rename(f.ctx(&in.InHeader), f.ino(in.NodeId), name, f.ino(in.Newdir), newName, mode)
	return f.status("rename", &in.InHeader, err)
}
