package fusefs

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// filesystem answers the requests of one mount.
type filesystem struct {
	gofuse.RawFileSystem // ENOSYS for what is not implemented: locks are the kernel's

	view   *fs.View
	root   objstore.Ino
	opt    Options
	errnos errnos
	log    *slog.Logger
	files  handles[*openFile]
	dirs   handles[*openDir]
	kernel kernel
	behind behind
}

var _ gofuse.RawFileSystem = (*filesystem)(nil)

func (f *filesystem) String() string { return "kmsfs" }

// ino is the inode number of a node id. The root is 1 for the kernel; a file whose number is 1 takes the root's place.
func (f *filesystem) ino(nodeid uint64) objstore.Ino {
	switch objstore.Ino(nodeid) {
	case gofuse.FUSE_ROOT_ID:
		return f.root
	case f.root:
		return gofuse.FUSE_ROOT_ID
	}
	return objstore.Ino(nodeid)
}

// nodeid is the reverse of ino.
func (f *filesystem) nodeid(ino objstore.Ino) uint64 { return uint64(f.ino(uint64(ino))) }

// ctx names the caller of a request to the key service.
func (f *filesystem) ctx(h *gofuse.InHeader) context.Context { return f.opt.Caller(h.Uid, h.Pid) }

// status is what is answered. Errors that say something about the daemon, not about the request, are logged: here only.
func (f *filesystem) status(op string, h *gofuse.InHeader, err error) gofuse.Status {
	if err == nil {
		return gofuse.OK
	}
	errno := f.errnos.of(err)
	if errno == syscall.EIO {
		f.log.Error("request failed", "op", op, "ino", f.ino(h.NodeId), "error", err)
	}
	return gofuse.Status(errno)
}

// virtualTimeout is for what changes without notice: lists of old versions and of buckets.
const virtualTimeout = time.Second

func (f *filesystem) timeouts(n *objstore.Node, stable bool) (entry, attr time.Duration) {
	entry, attr = f.opt.CacheTimeout, f.opt.CacheTimeout
	if n.Ino&fs.VirtualBit != 0 {
		entry, attr = min(entry, virtualTimeout), min(attr, virtualTimeout)
	}
	if !stable {
		attr = 0
	}
	return entry, attr
}

// entry fills the answer to whatever names a node.
func (f *filesystem) entry(out *gofuse.EntryOut, n *objstore.Node, stable bool) {
	entry, attr := f.timeouts(n, stable)
	out.NodeId, out.Generation = f.nodeid(n.Ino), 1
	out.SetEntryTimeout(entry)
	out.SetAttrTimeout(attr)
	f.attr(&out.Attr, n)
}

// attr is n as stat(2) shows it.
func (f *filesystem) attr(out *gofuse.Attr, n *objstore.Node) {
	*out = gofuse.Attr{
		Ino: uint64(n.Ino), Size: uint64(n.Size), Blocks: uint64(n.Allocated+511) / 512,
		Atime: uint64(n.Atime.Sec), Atimensec: n.Atime.Nsec,
		Mtime: uint64(n.Mtime.Sec), Mtimensec: n.Mtime.Nsec,
		Ctime: uint64(n.Ctime.Sec), Ctimensec: n.Ctime.Nsec,
		Mode: n.Mode, Nlink: n.Nlink, Rdev: n.Rdev, Blksize: blockSize,
		Owner: gofuse.Owner{Uid: n.UID, Gid: n.GID},
	}
	if n.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		out.Size = uint64(len(n.Target))
	}
	if n.Ino == fs.BucketsRoot {
		out.Ino, out.Uid, out.Gid = gofuse.FUSE_ROOT_ID, f.opt.owner.Uid, f.opt.owner.Gid
	}
	f.override(out)
}

// blockSize is st_blksize, in bytes. A larger one makes the kernel's page cache work in larger units.
const blockSize = 4096

// override applies uid=, gid= and umask= of the mount.
func (f *filesystem) override(out *gofuse.Attr) {
	if f.opt.UID != nil {
		out.Uid = *f.opt.UID
	}
	if f.opt.GID != nil {
		out.Gid = *f.opt.GID
	}
	if f.opt.Umask != nil && out.Mode&syscall.S_IFMT != syscall.S_IFLNK {
		out.Mode &^= *f.opt.Umask & 0o777
	}
}
