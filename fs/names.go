package fs

import (
	"context"
	"errors"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// VersionsName is the directory of old versions that every directory has and none lists.
const VersionsName = ".versions"

// Lookup finds name in the directory parent. For a virtual node it counts one reference, see [View.Forget].
// stable is as in [View.GetAttr].
func (v *View) Lookup(ctx context.Context, parent objstore.Ino, name string) (node *objstore.Node, stable bool, err error) {
	switch {
	case isVirtual(parent):
		node, err = v.lookupVirtual(ctx, parent, name)
		return node, true, err
	case name == VersionsName:
		node, err = v.lookupVersions(ctx, parent)
		return node, true, err
	}
	node, err = v.fs.tree.Lookup(ctx, parent, name)
	if err != nil {
		return nil, false, err
	}
	with := v.fs.overlaid(node)
	return with, with == node, nil
}

// creatable answers why name cannot be made in the directory parent.
func (v *View) creatable(op string, parent objstore.Ino, name string) error {
	if err := v.writable(op, parent); err != nil {
		return err
	}
	if name == VersionsName {
		return deny(objstore.NodeExists, op, "%s is the directory of old versions", VersionsName)
	}
	return nil
}

// NodeInit is what who makes a node asks for. What the directory says comes on top.
type NodeInit struct {
	Mode     uint32 // st_mode, with the type bits
	Umask    uint32 // permission bits that are left out where the directory has no default access control list
	UID, GID uint32
	Rdev     uint32
	Target   string // of a symbolic link
}

// Mknod makes a node of any kind but a symbolic link. A regular file gets an empty version.
func (v *View) Mknod(ctx context.Context, parent objstore.Ino, name string, init NodeInit) (*objstore.Node, error) {
	if parent == BucketsRoot && init.Mode&sIFMT == sIFDIR {
		return v.makeBucket(ctx, name, init)
	}
	if init.Mode&sIFMT == sIFREG {
		return v.mknodRegular(ctx, parent, name, init)
	}
	return v.make(ctx, "mknod", parent, name, init)
}

func (v *View) mknodRegular(ctx context.Context, parent objstore.Ino, name string, init NodeInit) (*objstore.Node, error) {
	_, h, err := v.Create(ctx, parent, name, init, OpenFlags{Write: true}, true)
	if err != nil {
		return nil, err
	}
	defer h.Release(ctx)
	if err := h.Flush(ctx); err != nil {
		return nil, err
	}
	node, _, err := v.GetAttr(ctx, h.ino)
	return node, err
}

// Symlink makes a symbolic link.
func (v *View) Symlink(ctx context.Context, parent objstore.Ino, name string, init NodeInit) (*objstore.Node, error) {
	init.Mode = sIFLNK | 0o777
	return v.make(ctx, "symlink", parent, name, init)
}

// make makes a node as a child of parent inherits from it.
func (v *View) make(ctx context.Context, op string, parent objstore.Ino, name string, init NodeInit) (*objstore.Node, error) {
	if err := v.creatable(op, parent, name); err != nil {
		return nil, err
	}
	ctx = uncancelled(ctx)
	dir, err := v.fs.tree.Node(ctx, parent)
	if err != nil {
		return nil, err
	}
	node, err := v.fs.tree.Create(ctx, parent, name, init.inherit(dir))
	if err != nil {
		return nil, err
	}
	v.fs.tellOthers(v, change{ino: parent, name: name}, change{ino: parent})
	if init.Mode&sIFMT == sIFREG {
		return node, nil // its first version is recorded
	}
	return node, v.fs.recordPut(ctx, node.Ino, node, nil)
}

// Create makes and opens a regular file. A file that is there already is opened, unless exclusive. When the file's
// KMS key refuses, there is no file afterwards.
func (v *View) Create(ctx context.Context, parent objstore.Ino, name string, init NodeInit, flags OpenFlags, exclusive bool) (*objstore.Node, *Handle, error) {
	init.Mode = sIFREG | init.Mode&^sIFMT
	ctx = uncancelled(ctx)
	node, err := v.make(ctx, "create", parent, name, init)
	if errors.Is(err, objstore.NodeExists) && !exclusive && name != VersionsName {
		return v.openExisting(ctx, parent, name, flags)
	}
	if err != nil {
		return nil, nil, err
	}
	h, err := v.created(ctx, node, flags)
	if err != nil {
		err = errors.Join(err, v.fs.recordPut(ctx, node.Ino, nil, err))
		if undo := v.fs.tree.Unlink(ctx, parent, name); undo != nil {
			v.fs.log.Error("a file whose key was refused could not be removed", "name", name, "error", undo)
		}
		return nil, nil, err
	}
	return node, h, nil
}

func (v *View) openExisting(ctx context.Context, parent objstore.Ino, name string, flags OpenFlags) (*objstore.Node, *Handle, error) {
	node, _, err := v.Lookup(ctx, parent, name)
	if err != nil {
		return nil, nil, err
	}
	h, err := v.Open(ctx, node.Ino, flags)
	if err != nil {
		return nil, nil, err
	}
	node, _, err = v.GetAttr(ctx, node.Ino)
	if err != nil {
		h.Release(ctx)
		return nil, nil, err
	}
	return node, h, nil
}

// Link gives ino, which is no directory, one more name.
func (v *View) Link(ctx context.Context, ino, parent objstore.Ino, name string) (*objstore.Node, error) {
	if err := v.creatable("link", parent, name); err != nil {
		return nil, err
	}
	if err := v.writable("link", ino); err != nil {
		return nil, err
	}
	node, err := v.fs.tree.Link(uncancelled(ctx), ino, parent, name)
	if err != nil {
		return nil, err
	}
	v.fs.withOpen(ino, func(i *inode) { i.orphan = false }) // an O_TMPFILE file gets its name this way
	v.mu.Lock()
	delete(v.orphans, ino)
	v.mu.Unlock()
	v.fs.tellOthers(v, change{ino: parent, name: name}, change{ino: parent}, change{ino: ino})
	if err := v.fs.recordLink(ctx, node, parent, name); err != nil {
		return nil, err
	}
	return v.fs.overlaid(node), nil
}

// Unlink removes a name that is not a directory. What is open stays usable.
func (v *View) Unlink(ctx context.Context, parent objstore.Ino, name string) error {
	return v.remove(ctx, "unlink", parent, name, v.fs.tree.Unlink)
}

// Rmdir removes an empty directory; in the list of buckets, an empty bucket.
func (v *View) Rmdir(ctx context.Context, parent objstore.Ino, name string) error {
	if parent == BucketsRoot {
		return v.removeBucket(ctx, name)
	}
	return v.remove(ctx, "rmdir", parent, name, v.fs.tree.Rmdir)
}

func (v *View) remove(ctx context.Context, op string, parent objstore.Ino, name string,
	do func(context.Context, objstore.Ino, string) error) error {
	if err := v.writable(op, parent); err != nil {
		return err
	}
	if name == VersionsName {
		return deny(objstore.NotPermitted, op, "%s is the directory of old versions", VersionsName)
	}
	ctx = uncancelled(ctx)
	node, err := v.fs.tree.Lookup(ctx, parent, name)
	if err != nil {
		return err
	}
	if err := do(ctx, parent, name); err != nil {
		return errors.Join(err, v.fs.recordNamed(ctx, kms.OpDeleteObject, node, parent, name, "", err))
	}
	v.unnamed(node)
	v.fs.tellOthers(v, change{ino: parent, name: name}, change{ino: parent}, change{ino: node.Ino})
	return v.fs.recordNamed(ctx, kms.OpDeleteObject, node, parent, name, "", nil)
}

// unnamed notes that n, as it was before, lost a name.
func (v *View) unnamed(n *objstore.Node) {
	if n.Nlink <= 1 || n.Mode&sIFMT == sIFDIR {
		v.orphaned(n)
	}
	if n.Mode&sIFMT == sIFDIR {
		v.fs.sel.invalidate()
	}
}

// Rename is renameat2(2).
func (v *View) Rename(ctx context.Context, parent objstore.Ino, name string, newParent objstore.Ino, newName string, mode objstore.RenameMode) error {
	if err := v.renamable(parent, name, newParent, newName); err != nil {
		return err
	}
	ctx = uncancelled(ctx)
	node, err := v.fs.tree.Lookup(ctx, parent, name)
	if err != nil {
		return err
	}
	target, err := v.fs.tree.Lookup(ctx, newParent, newName)
	if err != nil && !errors.Is(err, objstore.NoSuchNode) {
		return err
	}
	source := v.fs.keyFor(ctx, node, parent, name)
	held := v.hold(ctx, node, target, mode)
	if err := v.fs.tree.Rename(ctx, parent, name, newParent, newName, mode); err != nil {
		return errors.Join(err, closeHeld(held), v.fs.recordNamed(ctx, kms.OpRenameObject, node, newParent, newName, source, err))
	}
	v.keep(target, held)
	if node.Mode&sIFMT == sIFDIR || mode == objstore.RenameExchange {
		v.fs.sel.invalidate()
	}
	if target != nil && mode == objstore.RenamePlain && target.Ino != node.Ino {
		v.unnamed(target)
	}
	v.fs.tellOthers(v, change{ino: parent, name: name}, change{ino: newParent, name: newName},
		change{ino: parent}, change{ino: newParent}, change{ino: node.Ino})
	return v.fs.recordNamed(ctx, kms.OpRenameObject, node, newParent, newName, source, nil)
}

func (v *View) renamable(parent objstore.Ino, name string, newParent objstore.Ino, newName string) error {
	if parent == BucketsRoot || newParent == BucketsRoot {
		if parent != newParent {
			return deny(objstore.CrossBucket, "rename", "a bucket is not a directory")
		}
		return deny(objstore.NotPermitted, "rename", "a bucket cannot be renamed")
	}
	if err := v.writable("rename", parent, newParent); err != nil {
		return err
	}
	if name == VersionsName || newName == VersionsName {
		return deny(objstore.NotPermitted, "rename", "%s is the directory of old versions", VersionsName)
	}
	return nil
}

// Readlink is the target of a symbolic link.
func (v *View) Readlink(ctx context.Context, ino objstore.Ino) (string, error) {
	node, _, err := v.GetAttr(ctx, ino)
	if err != nil {
		return "", err
	}
	if node.Mode&sIFMT != sIFLNK {
		return "", deny(objstore.InvalidArgument, "readlink", "it is not a symbolic link")
	}
	return node.Target, nil
}
