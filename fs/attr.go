package fs

import (
	"context"
	"maps"

	"kmsfs/objstore"
)

// capabilityName is the attribute that gives a program privileges. A write removes it, as on every file system.
const capabilityName = "security.capability"

// GetAttr is stat(2). stable says that the answer may be cached until a change is told of.
func (v *View) GetAttr(ctx context.Context, ino objstore.Ino) (node *objstore.Node, stable bool, err error) {
	if isVirtual(ino) {
		node, err = v.virtualAttr(ctx, ino)
		return node, true, err
	}
	var meta *overlay
	if i := v.fs.peek(ino); i != nil {
		meta = i.meta.Load() // before the node: a commit in between is in one of the two
	}
	node, err = v.fs.tree.Node(ctx, ino)
	if err != nil {
		if o := v.orphan(ino); o != nil {
			return o, true, nil
		}
		return nil, false, stale(err)
	}
	return meta.apply(node), meta == nil, nil
}

// overlaid puts over n what its open file has and the store does not.
func (f *FS) overlaid(n *objstore.Node) *objstore.Node {
	if i := f.peek(n.Ino); i != nil {
		return i.meta.Load().apply(n)
	}
	return n
}

// SetAttr is what chmod(2), chown(2), utimensat(2) and truncate(2) ask for in one.
type SetAttr struct {
	objstore.AttrChange
	Size *int64
	// KillPrivileges: with Size, clear S_ISUID and S_ISGID as for a caller without CAP_FSETID. A change of owner
	// clears them always.
	KillPrivileges bool
}

// SetAttr applies c. h is the handle of ftruncate(2), or nil.
func (v *View) SetAttr(ctx context.Context, ino objstore.Ino, h *Handle, c SetAttr) (*objstore.Node, error) {
	if err := v.writable("setattr", ino); err != nil {
		return nil, err
	}
	ctx = uncancelled(ctx)
	if c.Size != nil {
		if err := v.truncate(ctx, ino, h, *c.Size, c.KillPrivileges); err != nil {
			return nil, err
		}
	}
	if err := v.setAttr(ctx, ino, c.AttrChange); err != nil {
		return nil, err
	}
	node, _, err := v.GetAttr(ctx, ino)
	return node, err
}

func (v *View) setAttr(ctx context.Context, ino objstore.Ino, c objstore.AttrChange) error {
	if c == (objstore.AttrChange{}) {
		return nil
	}
	if c.UID != nil || c.GID != nil {
		if err := v.chownKills(ctx, ino, &c); err != nil {
			return err
		}
	}
	node, err := v.fs.tree.SetAttr(ctx, ino, c)
	if err != nil {
		if o := v.orphan(ino); o != nil {
			return v.setOrphan(o, c)
		}
		return stale(err)
	}
	v.fs.withOpen(ino, func(i *inode) { i.attrChanged(node, c) })
	v.fs.tellOthers(v, change{ino: ino})
	return nil
}

// attrChanged keeps what an open file remembers in step with node, to which c was applied.
func (i *inode) attrChanged(node *objstore.Node, c objstore.AttrChange) {
	i.mode = node.Mode
	_, i.seccap = node.Xattrs[capabilityName]
	m := i.meta.Load()
	if m == nil {
		return
	}
	o := *m
	o.ctime = node.Ctime
	if c.Mtime != nil {
		o.mtime = node.Mtime
	}
	i.meta.Store(&o)
}

// setOrphan changes a node that only the kernel knows any more.
func (v *View) setOrphan(n *objstore.Node, c objstore.AttrChange) error {
	o := *n
	set(&o.UID, c.UID)
	set(&o.GID, c.GID)
	set(&o.Atime, c.Atime)
	set(&o.Mtime, c.Mtime)
	if c.Mode != nil {
		o.Mode = o.Mode&sIFMT | *c.Mode
	}
	if c.Xattr != nil {
		o.Xattrs = map[string][]byte{}
		maps.Copy(o.Xattrs, n.Xattrs)
		if delete(o.Xattrs, c.Xattr.Name); c.Xattr.Value != nil {
			o.Xattrs[c.Xattr.Name] = c.Xattr.Value
		}
	}
	o.Ctime = objstore.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.orphans[o.Ino] = &o
	return nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// chownKills adds to c what a change of the owner of a file that is not a directory clears.
func (v *View) chownKills(ctx context.Context, ino objstore.Ino, c *objstore.AttrChange) error {
	node, err := v.fs.tree.Node(ctx, ino)
	if err != nil || node.Mode&sIFMT == sIFDIR {
		return nil // the change itself reports what is wrong
	}
	mode := node.Mode &^ sIFMT
	set(&mode, c.Mode)
	if less := withoutPrivileges(mode); less != mode {
		c.Mode = &less
	}
	if _, ok := node.Xattrs[capabilityName]; ok {
		return v.fs.tree.RemoveXattr(ctx, ino, capabilityName)
	}
	return nil
}

// withoutPrivileges is mode without S_ISUID, and without S_ISGID where the group may execute: elsewhere that bit has
// another meaning.
func withoutPrivileges(mode uint32) uint32 {
	mode &^= sISUID
	if mode&sIXGRP != 0 {
		mode &^= sISGID
	}
	return mode
}

// killPrivileges removes from the open file i, which is locked, what a write removes.
func (v *View) killPrivileges(ctx context.Context, i *inode, bits bool) error {
	if i.seccap {
		if err := v.fs.tree.RemoveXattr(ctx, i.ino, capabilityName); err != nil {
			return err
		}
		i.seccap = false
	}
	less := withoutPrivileges(i.mode)
	if !bits || less == i.mode {
		return nil
	}
	perm := less &^ sIFMT
	if _, err := v.fs.tree.SetAttr(ctx, i.ino, objstore.AttrChange{Mode: &perm}); err != nil {
		return err
	}
	i.mode = less
	return nil
}
