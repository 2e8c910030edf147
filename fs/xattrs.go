package fs

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"kmsfs/objstore"
	"kmsfs/xattr"
)

// GetXattr is getxattr(2).
func (v *View) GetXattr(ctx context.Context, ino objstore.Ino, name string) ([]byte, error) {
	if name == capabilityName && v.fs.hasNoCapability(ino) {
		return nil, objstore.NoSuchXattr
	}
	node, _, err := v.GetAttr(ctx, ino)
	if err != nil {
		return nil, err
	}
	if xattr.IsVirtual(name) {
		return v.virtualXattr(ctx, node, name)
	}
	if IsACL(name) {
		return v.aclOf(node, name)
	}
	all, err := v.answered(ctx, node)
	if err != nil {
		return nil, err
	}
	if value, ok := all[name]; ok {
		return value, nil
	}
	if name == labelName {
		return nil, refuse(Unsupported, "getxattr", "the file has no label, nor does this file system give it one")
	}
	return nil, noXattr("getxattr", name)
}

// labelName is SELinux's. Without SELinux the kernel asks here; it says Unsupported for file systems without labels, and so
// is answered for each file that has none: then ls(1) asks for one file, not for all.
const labelName = "security.selinux"

// hasNoCapability reports whether ino is open and known to have no security.capability. The kernel asks for it before
// the first write to each file.
func (f *FS) hasNoCapability(ino objstore.Ino) bool {
	i := f.peek(ino)
	if i == nil || !i.mu.TryRLock() {
		return false
	}
	defer i.mu.RUnlock()
	return i.file != nil && !i.seccap
}

func noXattr(op, name string) error {
	return deny(objstore.NoSuchXattr, op, "there is no attribute %q", name)
}

// ListXattr is listxattr(2), in ascending order. What is stored but not selected is answered and not listed: programs
// that copy all that is listed (cp -a, rsync -X) would make a selection of it in the copy, and fail to take it away
// from a file whose original has none.
func (v *View) ListXattr(ctx context.Context, ino objstore.Ino) ([]string, error) {
	node, _, err := v.GetAttr(ctx, ino)
	if err != nil || isVirtual(ino) {
		return nil, err
	}
	if !v.isBucketRoot(node) {
		return slices.Sorted(maps.Keys(node.Xattrs)), nil
	}
	all, err := v.answered(ctx, node)
	if err != nil {
		return nil, err
	}
	if string(all[xattr.SSE]) == xattr.AES256 {
		delete(all, xattr.SSE) // as without any default
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// answered is what node has set, over what it is encrypted with; the root of a bucket has the bucket's default.
func (v *View) answered(ctx context.Context, node *objstore.Node) (map[string][]byte, error) {
	base := settings(node.Stored).Xattrs()
	if isVirtual(node.Ino) {
		return base, nil // nothing is selected any more for an old version
	}
	if v.isBucketRoot(node) {
		b, err := v.fs.store.HeadBucket(ctx, node.Bucket)
		if err != nil {
			return nil, err
		}
		return rootXattrs(node, b), nil
	}
	if len(base) == 0 {
		return node.Xattrs, nil
	}
	maps.Copy(base, node.Xattrs)
	return base, nil
}

func (v *View) isBucketRoot(n *objstore.Node) bool {
	return n.Parent == 0 && n.Nlink > 0 && n.Mode&sIFMT == sIFDIR && !isVirtual(n.Ino)
}

// virtualXattr answers the attributes that tell a state.
func (v *View) virtualXattr(ctx context.Context, n *objstore.Node, name string) ([]byte, error) {
	if name == xattr.LastError {
		if text, ok := v.fs.failures.of(n.Ino); ok {
			return []byte(text), nil
		}
		return nil, noXattr("getxattr", name)
	}
	if n.Mode&sIFMT != sIFREG || n.Stored.Algorithm == "" {
		return nil, noXattr("getxattr", name)
	}
	switch name {
	case xattr.VersionID:
		return []byte(n.VersionID), nil
	case xattr.ETag:
		return []byte(n.ETag), nil
	}
	pending, err := v.fs.pending(ctx, n)
	return strconv.AppendBool(nil, pending && !isVirtual(n.Ino)), err
}

// checkXattrName refuses what is kept for later and what only tells a state.
func checkXattrName(op, name string) error {
	if xattr.IsVirtual(name) {
		return deny(objstore.NotPermitted, op, "%s can only be read", name)
	}
	if strings.HasPrefix(name, "system.") && !IsACL(name) {
		return refuse(Unsupported, op, "the only system attributes are access control lists: %s", name)
	}
	return nil
}

// SetXattr is setxattr(2). The key of an encryption attribute is asked for: a key that cannot be used is refused here.
func (v *View) SetXattr(ctx context.Context, ino objstore.Ino, name string, value []byte, mode objstore.XattrMode) error {
	if err := v.xattrWritable("setxattr", ino, name); err != nil {
		return err
	}
	if IsACL(name) {
		return v.SetACL(ctx, ino, name, value, false)
	}
	ctx = uncancelled(ctx)
	if !xattr.IsEncryption(name) {
		return v.xattrSet(ctx, ino, name, bytes.Clone(value), mode)
	}
	canonical, err := xattr.Validate(name, bytes.Clone(value))
	if err != nil {
		return err
	}
	node, err := v.fs.tree.Node(ctx, ino)
	if err != nil {
		return stale(err)
	}
	if old, ok := node.Xattrs[name]; ok && bytes.Equal(old, canonical) && mode != objstore.XattrCreate {
		return nil
	}
	if v.isBucketRoot(node) {
		return v.setDefault(ctx, node, name, canonical, mode)
	}
	if err := v.selectFor(ctx, node, name, canonical, mode); err != nil {
		v.fs.failures.note(ino, err)
		return err
	}
	v.selected(ctx, node)
	return nil
}

// selectFor sets an encryption attribute of a file or directory.
func (v *View) selectFor(ctx context.Context, node *objstore.Node, name string, value []byte, mode objstore.XattrMode) error {
	implied := xattr.Implies(xattr.FromXattrs(node.Xattrs), name)
	want := maps.Clone(node.Xattrs)
	if want == nil {
		want = map[string][]byte{}
	}
	maps.Copy(want, implied)
	want[name] = value
	enc, err := v.fs.effectiveWith(ctx, node, want)
	if err != nil {
		return err
	}
	if _, err := v.fs.tree.ResolveEncryption(ctx, enc); err != nil {
		return err
	}
	if err := v.xattrSet(ctx, node.Ino, name, value, mode); err != nil {
		return err
	}
	for other, value := range implied {
		if err := v.xattrSet(ctx, node.Ino, other, value, objstore.XattrSet); err != nil {
			return err
		}
	}
	return nil
}

// selected notes that an encryption attribute of node changed.
func (v *View) selected(ctx context.Context, node *objstore.Node) {
	v.fs.sel.invalidate()
	v.fs.failures.note(node.Ino, nil)
	if v.opt.ReencryptOnSet && node.Mode&sIFMT == sIFREG {
		v.fs.reencryptLater(uncancelled(ctx), node.Ino)
	}
}

func (v *View) xattrSet(ctx context.Context, ino objstore.Ino, name string, value []byte, mode objstore.XattrMode) error {
	if err := v.fs.tree.SetXattr(ctx, ino, name, value, mode); err != nil {
		return stale(err)
	}
	v.xattrChanged(ino, name, true)
	return nil
}

// xattrChanged keeps an open file in step.
func (v *View) xattrChanged(ino objstore.Ino, name string, has bool) {
	v.fs.withOpen(ino, func(i *inode) {
		if name == capabilityName {
			i.seccap = has
		}
		if m := i.meta.Load(); m != nil {
			o := *m
			o.ctime = objstore.Now()
			i.meta.Store(&o)
		}
	})
	v.fs.tellOthers(v, change{ino: ino})
}

func (v *View) xattrWritable(op string, ino objstore.Ino, name string) error {
	if err := v.writable(op, ino); err != nil {
		return err
	}
	return checkXattrName(op, name)
}

// RemoveXattr is removexattr(2). Without an encryption attribute, its value is inherited again.
func (v *View) RemoveXattr(ctx context.Context, ino objstore.Ino, name string) error {
	if err := v.xattrWritable("removexattr", ino, name); err != nil {
		return err
	}
	ctx = uncancelled(ctx)
	if IsACL(name) { // that it is not there is no error
		return v.setAttr(ctx, ino, objstore.AttrChange{Xattr: &objstore.XattrChange{Name: name}})
	}
	if !xattr.IsEncryption(name) {
		return v.xattrRemove(ctx, ino, name)
	}
	node, err := v.fs.tree.Node(ctx, ino)
	if err != nil {
		return stale(err)
	}
	if v.isBucketRoot(node) {
		return v.removeDefault(ctx, node, name)
	}
	if err := v.xattrRemove(ctx, ino, name); err != nil {
		return err
	}
	v.selected(ctx, node)
	return nil
}

func (v *View) xattrRemove(ctx context.Context, ino objstore.Ino, name string) error {
	if err := v.fs.tree.RemoveXattr(ctx, ino, name); err != nil {
		return stale(err)
	}
	v.xattrChanged(ino, name, false)
	return nil
}
