package fusefs

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// GetAttr is stat(2).
func (f *filesystem) GetAttr(cancel <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	n, stable, err := f.view.GetAttr(f.ctx(&in.InHeader), f.ino(in.NodeId))
	if err != nil {
		return f.status("getattr", &in.InHeader, err)
	}
	_, timeout := f.timeouts(n, stable)
	out.SetTimeout(timeout)
	f.attr(&out.Attr, n)
	return gofuse.OK
}

// statxAnswered is STATX_BASIC_STATS | STATX_BTIME.
const statxAnswered = 0xfff

// Statx is statx(2) where the time of birth is asked for.
func (f *filesystem) Statx(cancel <-chan struct{}, in *gofuse.StatxIn, out *gofuse.StatxOut) gofuse.Status {
	n, stable, err := f.view.GetAttr(f.ctx(&in.InHeader), f.ino(in.NodeId))
	if err != nil {
		return f.status("statx", &in.InHeader, err)
	}
	_, timeout := f.timeouts(n, stable)
	out.SetTimeout(timeout)
	var a gofuse.Attr
	f.attr(&a, n)
	out.Statx = gofuse.Statx{
		Mask: statxAnswered, Blksize: a.Blksize, Nlink: a.Nlink, Uid: a.Uid, Gid: a.Gid,
		Mode: uint16(a.Mode), Ino: a.Ino, Size: a.Size, Blocks: a.Blocks,
		Atime: gofuse.SxTime{Sec: a.Atime, Nsec: a.Atimensec},
		Mtime: gofuse.SxTime{Sec: a.Mtime, Nsec: a.Mtimensec},
		Ctime: gofuse.SxTime{Sec: a.Ctime, Nsec: a.Ctimensec},
		Btime: gofuse.SxTime{Sec: uint64(n.Btime.Sec), Nsec: n.Btime.Nsec},
		// major and minor as the kernel packs them in 32 bits
		RdevMajor: a.Rdev >> 8 & 0xfff, RdevMinor: a.Rdev&0xff | a.Rdev>>12&0xfff00,
	}
	return gofuse.OK
}

// SetAttr is chmod(2), chown(2), utimensat(2), truncate(2) and ftruncate(2).
func (f *filesystem) SetAttr(cancel <-chan struct{}, in *gofuse.SetAttrIn, out *gofuse.AttrOut) gofuse.Status {
	ctx := f.ctx(&in.InHeader)
	var h *fs.Handle
	if fh, ok := in.GetFh(); ok {
		open, status := f.files.get(fh)
		if status != gofuse.OK {
			return status
		}
		h, ctx = open.Handle, open.ctx
	}
	n, err := f.view.SetAttr(ctx, f.ino(in.NodeId), h, setAttr(in))
	if err != nil {
		return f.status("setattr", &in.InHeader, err)
	}
	_, timeout := f.timeouts(n, h == nil)
	out.SetTimeout(timeout)
	f.attr(&out.Attr, n)
	return gofuse.OK
}

// setAttr is in, in the words of package fs. Times of "now" that come with a size are left out: the change of the size
// sets them.
func setAttr(in *gofuse.SetAttrIn) fs.SetAttr {
	var c fs.SetAttr
	if size, ok := in.GetSize(); ok {
		s := int64(size)
		c.Size = &s
	}
	if mode, ok := in.GetMode(); ok {
		c.Mode = &mode
	}
	if uid, ok := in.GetUID(); ok {
		c.UID = &uid
	}
	if gid, ok := in.GetGID(); ok {
		c.GID = &gid
	}
	if in.Valid&gofuse.FATTR_ATIME != 0 {
		c.Atime = timeOf(in.Valid&gofuse.FATTR_ATIME_NOW != 0, in.Atime, in.Atimensec)
	}
	if now := in.Valid&gofuse.FATTR_MTIME_NOW != 0; in.Valid&gofuse.FATTR_MTIME != 0 && !(now && c.Size != nil) {
		c.Mtime = timeOf(now, in.Mtime, in.Mtimensec)
	}
	c.KillPrivileges = in.Valid&gofuse.FATTR_KILL_SUIDGID != 0
	return c
}

func timeOf(now bool, sec uint64, nsec uint32) *objstore.Time {
	t := objstore.Time{Sec: int64(sec), Nsec: nsec}
	if now {
		t = objstore.Now()
	}
	return &t
}

// StatFs is statfs(2).
func (f *filesystem) StatFs(cancel <-chan struct{}, in *gofuse.InHeader, out *gofuse.StatfsOut) gofuse.Status {
	s, err := f.view.Space(f.ctx(in))
	if err != nil {
		return f.status("statfs", in, err)
	}
	free := uint64(s.Free) / blockSize
	*out = gofuse.StatfsOut{
		Bsize: blockSize, Frsize: blockSize, NameLen: objstore.MaxName,
		Blocks: uint64(s.Total) / blockSize, Bfree: free, Bavail: free,
		Files: uint64(s.Files) + free, Ffree: free, // a file needs a block, not an inode
	}
	return gofuse.OK
}

// Ioctl knows no command.
func (f *filesystem) Ioctl(cancel <-chan struct{}, in *gofuse.IoctlIn, inbuf []byte, out *gofuse.IoctlOut, outbuf []byte) gofuse.Status {
	return gofuse.Status(syscall.ENOTTY)
}
