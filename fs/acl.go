package fs

import (
	"bytes"
	"context"
	"encoding/binary"

	"kmsfs/objstore"
)

// The attributes of POSIX access control lists (acl(5)): who may use a file, and what is made in a directory starts with.
const (
	AccessACL  = "system.posix_acl_access"
	DefaultACL = "system.posix_acl_default"
)

// IsACL reports whether name is one of the two.
func IsACL(name string) bool { return name == AccessACL || name == DefaultACL }

// acl is a list as the attributes have it (linux/posix_acl_xattr.h): a version, 32 bits, then entries of a tag and
// permission bits, 16 bits each, and an id, 32 bits; all little endian.
//
// What the bits of the mode say is taken from the mode: the stored list lends the rest. So chmod(2) needs no change of
// the list, and the two cannot differ, whatever happens between.
type acl []byte

const (
	aclVersion   = 2
	aclHeader    = 4
	aclEntrySize = 8
)

// The tags of entries.
const (
	tagUserObj  = 0x01
	tagUser     = 0x02
	tagGroupObj = 0x04
	tagGroup    = 0x08
	tagMask     = 0x10
	tagOther    = 0x20
)

// aclEntry is a part of an acl.
type aclEntry []byte

func (e aclEntry) tag() uint16         { return binary.LittleEndian.Uint16(e) }
func (e aclEntry) perm() uint32        { return uint32(binary.LittleEndian.Uint16(e[2:])) }
func (e aclEntry) setPerm(perm uint32) { binary.LittleEndian.PutUint16(e[2:], uint16(perm)) }

func (a acl) entries(yield func(aclEntry) bool) {
	for at := aclHeader; at+aclEntrySize <= len(a); at += aclEntrySize {
		if !yield(aclEntry(a[at : at+aclEntrySize])) {
			return
		}
	}
}

// parseACL checks value: each entry that a mode has exactly once, and a mask where somebody is named. The kernel has
// looked at it too, but only where it enforces lists.
func parseACL(op string, value []byte) (acl, error) {
	a := acl(bytes.Clone(value))
	if len(a) < aclHeader || binary.LittleEndian.Uint32(a) != aclVersion || (len(a)-aclHeader)%aclEntrySize != 0 {
		return nil, deny(objstore.InvalidArgument, op, "it is not an access control list of version %d", aclVersion)
	}
	count := map[uint16]int{}
	for e := range a.entries {
		if count[e.tag()]++; e.perm() > 0o7 {
			return nil, deny(objstore.InvalidArgument, op, "permission bits %#o of an entry are unknown", e.perm())
		}
	}
	named := count[tagUser] + count[tagGroup]
	known := named + count[tagUserObj] + count[tagGroupObj] + count[tagOther] + count[tagMask]
	switch {
	case known != (len(a)-aclHeader)/aclEntrySize:
		return nil, deny(objstore.InvalidArgument, op, "an entry of the list has an unknown tag")
	case count[tagUserObj] != 1 || count[tagGroupObj] != 1 || count[tagOther] != 1:
		return nil, deny(objstore.InvalidArgument, op, "the list needs one entry each for owner, group and others")
	case count[tagMask] > 1 || named > 0 && count[tagMask] == 0:
		return nil, deny(objstore.InvalidArgument, op, "the list needs one mask where it names users or groups")
	}
	return a, nil
}

// extended reports whether a says more than a mode can.
func (a acl) extended() bool {
	for e := range a.entries {
		if e.tag() == tagMask {
			return true
		}
	}
	return false
}

// shifts tells which bits of a mode the entries of a tag are.
func (a acl) shifts() map[uint16]int {
	group := uint16(tagGroupObj)
	if a.extended() {
		group = tagMask
	}
	return map[uint16]int{tagUserObj: 6, group: 3, tagOther: 0}
}

// perm is what a says in permission bits of a mode.
func (a acl) perm() (mode uint32) {
	shifts := a.shifts()
	for e := range a.entries {
		if shift, ok := shifts[e.tag()]; ok {
			mode |= e.perm() << shift
		}
	}
	return mode
}

// with is a with what mode says put in.
func (a acl) with(mode uint32) acl {
	b, shifts := bytes.Clone(a), a.shifts()
	for e := range acl(b).entries {
		if shift, ok := shifts[e.tag()]; ok {
			e.setPerm(mode >> shift & 0o7)
		}
	}
	return b
}

// aclOf answers an attribute of n.
func aclOf(n *objstore.Node, name string) ([]byte, error) {
	value, ok := n.Xattrs[name]
	if !ok {
		return nil, noXattr("getxattr", name)
	}
	if name == AccessACL {
		return acl(value).with(n.Mode), nil
	}
	return value, nil
}

// aclOf answers an attribute of n. As long as no file at all has a list, none is supported where only programs ask: ls(1)
// does for each file otherwise.
func (v *View) aclOf(n *objstore.Node, name string) ([]byte, error) {
	if k, ok := v.fs.tree.(objstore.ACLKnower); ok && !v.opt.EnforcesACLs && !k.MayHaveACLs() {
		return nil, refuse(Unsupported, "getxattr", "no file has an access control list yet")
	}
	return aclOf(n, name)
}

// SetACL is setxattr(2) of one of the two lists. The access list sets the mode; one that says no more than a mode is
// not kept. killSGID is set for callers who may not keep S_ISGID.
func (v *View) SetACL(ctx context.Context, ino objstore.Ino, name string, value []byte, killSGID bool) error {
	if err := v.writable("setxattr", ino); err != nil {
		return err
	}
	list, err := parseACL("setxattr", value)
	if err != nil {
		return err
	}
	ctx = uncancelled(ctx)
	node, _, err := v.GetAttr(ctx, ino)
	if err != nil {
		return err
	}
	if name == DefaultACL {
		if node.Mode&sIFMT != sIFDIR {
			return deny(objstore.AccessDenied, "setxattr", "only directories have a default list")
		}
		return v.xattrSet(ctx, ino, name, list, objstore.XattrSet)
	}
	change := objstore.XattrChange{Name: name, Value: list}
	if !list.extended() {
		change.Value = nil
	}
	mode := node.Mode&^(sIFMT|0o777) | list.perm()
	if killSGID {
		mode &^= sISGID
	}
	return v.setAttr(ctx, ino, objstore.AttrChange{Mode: &mode, Xattr: &change})
}

// inherit gives init what a child of dir starts with: the group of a directory with S_ISGID, and the default list,
// which takes the place of the umask.
func (init NodeInit) inherit(dir *objstore.Node) objstore.NodeInit {
	n := objstore.NodeInit{Mode: init.Mode, UID: init.UID, GID: init.GID, Rdev: init.Rdev, Target: init.Target}
	isDir := init.Mode&sIFMT == sIFDIR
	if dir.Mode&sISGID != 0 {
		n.GID = dir.GID
		if isDir {
			n.Mode |= sISGID
		}
	}
	list, ok := dir.Xattrs[DefaultACL]
	switch {
	case init.Mode&sIFMT == sIFLNK:
		return n
	case !ok:
		n.Mode &^= init.Umask & 0o777
		return n
	}
	n.Mode &= acl(list).perm() | ^uint32(0o777)
	n.Xattrs = map[string][]byte{}
	if acl(list).extended() {
		n.Xattrs[AccessACL] = list
	}
	if isDir {
		n.Xattrs[DefaultACL] = list
	}
	return n
}
