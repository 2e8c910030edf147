package fs

import (
	"context"
	"crypto/rand"

	"kmsfs/objstore"
)

// Tmpfile is O_TMPFILE: a file without a name in the directory parent, whose settings it inherits. [View.Link] can
// give it a name as long as it is open.
func (v *View) Tmpfile(ctx context.Context, parent objstore.Ino, init NodeInit, flags OpenFlags) (*objstore.Node, *Handle, error) {
	name := ".tmpfile-" + rand.Text() // for the time that the store needs to make it
	node, h, err := v.Create(ctx, parent, name, init, flags, true)
	if err != nil {
		return nil, nil, err
	}
	if err := v.fs.tree.Unlink(uncancelled(ctx), parent, name); err != nil {
		h.Release(ctx)
		return nil, nil, err
	}
	v.orphaned(node)
	h.inode.mu.Lock()
	h.inode.orphan = true
	h.inode.mu.Unlock()
	node, _, err = v.GetAttr(ctx, node.Ino)
	if err != nil {
		h.Release(ctx)
		return nil, nil, err
	}
	return node, h, nil
}
