package fusefs

import (
	"bytes"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// reply answers an attribute's value or a list of names: into dest, or, where that is too small, ERANGE with the size.
func reply(dest, value []byte) (uint32, gofuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), gofuse.ERANGE
	}
	return uint32(copy(dest, value)), gofuse.OK
}

// GetXAttr is getxattr(2).
func (f *filesystem) GetXAttr(cancel <-chan struct{}, h *gofuse.InHeader, name string, dest []byte) (uint32, gofuse.Status) {
	if fs.IsACL(name) && f.opt.overrides() {
		return 0, gofuse.ENODATA
	}
	value, err := f.view.GetXattr(f.ctx(h), f.ino(h.NodeId), name)
	if err != nil {
		return 0, f.status("getxattr", h, err)
	}
	return reply(dest, value)
}

// ListXAttr is listxattr(2).
func (f *filesystem) ListXAttr(cancel <-chan struct{}, h *gofuse.InHeader, dest []byte) (uint32, gofuse.Status) {
	names, err := f.view.ListXattr(f.ctx(h), f.ino(h.NodeId))
	if err != nil {
		return 0, f.status("listxattr", h, err)
	}
	var list bytes.Buffer
	for _, name := range names {
		list.WriteString(name)
		list.WriteByte(0)
	}
	return reply(dest, list.Bytes())
}

// SetXAttr is setxattr(2).
func (f *filesystem) SetXAttr(cancel <-chan struct{}, in *gofuse.SetXAttrIn, name string, value []byte) gofuse.Status {
	value = value[:min(int(in.Size), len(value))]
	if fs.IsACL(name) {
		return f.setACL(in, name, value)
	}
	const create, replace = 1, 2 // XATTR_CREATE, XATTR_REPLACE
	mode := objstore.XattrSet
	switch in.Flags {
	case 0:
	case create:
		mode = objstore.XattrCreate
	case replace:
		mode = objstore.XattrReplace
	default:
		return gofuse.Status(syscall.EINVAL)
	}
	err := f.view.SetXattr(f.ctx(&in.InHeader), f.ino(in.NodeId), name, value, mode)
	return f.status("setxattr", &in.InHeader, err)
}

func (f *filesystem) setACL(in *gofuse.SetXAttrIn, name string, value []byte) gofuse.Status {
	if f.opt.overrides() {
		return gofuse.Status(syscall.EOPNOTSUPP)
	}
	kill := in.SetXAttrFlags&gofuse.SETXATTR_ACL_KILL_SGID != 0
	err := f.view.SetACL(f.ctx(&in.InHeader), f.ino(in.NodeId), name, value, kill)
	return f.status("setxattr", &in.InHeader, err)
}

// RemoveXAttr is removexattr(2).
func (f *filesystem) RemoveXAttr(cancel <-chan struct{}, h *gofuse.InHeader, name string) gofuse.Status {
	return f.status("removexattr", h, f.view.RemoveXattr(f.ctx(h), f.ino(h.NodeId), name))
}
