package fs

import (
	"bytes"
	"context"
	"errors"
	"maps"

	"kmsfs/objstore"
	"kmsfs/xattr"
)

// The encryption attributes of a bucket's root are the bucket's default encryption. What the default cannot hold,
// such as a bucket-key while the algorithm is AES256, waits among the root's own attributes until it can.

// rootXattrs is what the root n of the bucket b answers.
func rootXattrs(n *objstore.Node, b objstore.Bucket) map[string][]byte {
	all := maps.Clone(n.Xattrs)
	if all == nil {
		all = map[string][]byte{}
	}
	maps.Copy(all, settings(b.Default).Xattrs())
	return all
}

// setDefault is setxattr(2) on a bucket's root.
func (v *View) setDefault(ctx context.Context, root *objstore.Node, name string, value []byte, mode objstore.XattrMode) error {
	return v.changeDefault(ctx, root, func(all map[string][]byte) (changed bool, err error) {
		old, has := all[name]
		if mode == objstore.XattrCreate && has {
			return false, deny(objstore.XattrExists, "setxattr", "%s is set", name)
		}
		if mode == objstore.XattrReplace && !has {
			return false, noXattr("setxattr", name)
		}
		maps.Copy(all, xattr.Implies(xattr.FromXattrs(all), name))
		all[name] = value
		return !has || !bytes.Equal(old, value), nil
	})
}

// removeDefault is removexattr(2) on a bucket's root.
func (v *View) removeDefault(ctx context.Context, root *objstore.Node, name string) error {
	return v.changeDefault(ctx, root, func(all map[string][]byte) (changed bool, err error) {
		if _, has := all[name]; !has {
			return false, noXattr("removexattr", name)
		}
		delete(all, name)
		return true, nil
	})
}

func (v *View) changeDefault(ctx context.Context, root *objstore.Node, edit func(map[string][]byte) (changed bool, err error)) error {
	b, err := v.fs.store.HeadBucket(ctx, root.Bucket)
	if err != nil {
		return err
	}
	all := rootXattrs(root, b)
	if changed, err := edit(all); err != nil || !changed {
		return err
	}
	s, err := xattr.Resolve(xattr.Inherit(xattr.FromXattrs(all)))
	if err != nil {
		return err
	}
	enc := encryption(s)
	if _, err := v.fs.tree.ResolveEncryption(ctx, enc); err != nil {
		return err
	}
	_, err = v.fs.store.UpdateBucket(ctx, root.Bucket, func(b *objstore.Bucket) error { b.Default = enc; return nil })
	if err != nil {
		return err
	}
	v.fs.sel.invalidate()
	return v.keepWaiting(ctx, root, all, s.Xattrs())
}

// keepWaiting leaves those of all among the root's own attributes that are not in held.
func (v *View) keepWaiting(ctx context.Context, root *objstore.Node, all, held map[string][]byte) error {
	for _, name := range xattr.EncryptionNames() {
		value, wanted := all[name]
		if _, ok := held[name]; ok {
			wanted = false
		}
		var err error
		if _, has := root.Xattrs[name]; wanted {
			err = v.fs.tree.SetXattr(ctx, root.Ino, name, value, objstore.XattrSet)
		} else if has {
			err = v.fs.tree.RemoveXattr(ctx, root.Ino, name)
		}
		if err != nil && !errors.Is(err, objstore.NoSuchXattr) {
			return err
		}
	}
	return nil
}
