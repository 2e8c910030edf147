package fs

import (
	"context"
	"errors"

	"kmsfs/objstore"
)

// A session is from an open for writing until the last handle that may write is closed. All commits within it make one
// version. An open for writing, or truncate(2), when all that was written before is committed starts a new one: the
// kernel tells of the end of a close(2) late, after the next open(2) perhaps, and each must have its version.
// The methods of this file need i.mu held for writing.

// begin prepares the file for change under the selection that is in effect for node.
func (i *inode) begin(ctx context.Context, node *objstore.Node, mode objstore.BeginMode) error {
	generation := i.fs.sel.generation()
	enc, err := i.fs.effective(ctx, node)
	if err != nil {
		return err
	}
	if err := i.file.Begin(ctx, enc, mode); err != nil {
		return err
	}
	i.begun, i.selection = true, generation
	return nil
}

// endVersion lets the next commit make another version, if all changes so far are committed.
func (i *inode) endVersion() {
	if i.begun && !i.changed {
		i.file.EndSession()
		i.begun = false
	}
}

// prepare makes sure that a change now is under the present selection.
func (i *inode) prepare(ctx context.Context) error {
	if i.begun && i.selection == i.fs.sel.generation() {
		return nil
	}
	node, err := i.fs.tree.Node(ctx, i.ino)
	if err != nil {
		return stale(err)
	}
	return i.begin(ctx, node, objstore.BeginKeep)
}

// empty drops all content, as O_TRUNC does.
func (i *inode) empty(ctx context.Context, node *objstore.Node) error {
	if !i.blank && i.size == 0 && i.file.Size() == 0 && len(i.chunks) == 0 {
		return i.begin(ctx, node, objstore.BeginKeep)
	}
	if err := i.begin(ctx, node, objstore.BeginEmpty); err != nil {
		return err
	}
	i.dropFrom(0)
	i.size = 0
	return nil
}

// commit makes what changed the current version. The error is kept for user.kmsfs.error.
func (i *inode) commit(ctx context.Context, v *View) error {
	if !i.changed || i.orphan {
		return nil
	}
	node, err := i.commitChanges(ctx)
	if errors.Is(err, objstore.NoSuchNode) { // removed through another door while it was open
		i.orphan = true
		return nil
	}
	if err != nil {
		i.fs.failures.note(i.ino, err)
		i.failed = true
		return errors.Join(err, i.fs.recordPut(ctx, i.ino, nil, err))
	}
	i.committed(node, v)
	err = i.fs.recordPut(ctx, i.ino, node, nil)
	i.fs.failures.note(i.ino, err)
	return err
}

func (i *inode) commitChanges(ctx context.Context) (*objstore.Node, error) {
	if err := i.flush(); err != nil {
		return nil, err
	}
	return i.file.Commit(ctx, i.times())
}

// committed notes that node is what the store has now. v is the view it was written through; nil: none.
func (i *inode) committed(node *objstore.Node, v *View) {
	i.changed, i.failed = false, false
	i.version = node.VersionID
	i.meta.Store(nil)
	if v != nil {
		v.pagesAre(i.ino, node.VersionID)
	}
	i.fs.tellOthers(v, change{ino: i.ino, data: true})
}

// endSession is for the last handle that may write. A failed commit keeps the session, for as long as others have the
// file open.
func (i *inode) endSession(ctx context.Context, v *View) {
	if i.changed && !i.failed {
		if err := i.commit(ctx, v); err != nil {
			i.fs.log.Error("a file could not be committed after its last close", "ino", i.ino, "error", err)
		}
	}
	if i.changed && !i.orphan {
		return
	}
	i.endVersion()
	if !i.changed {
		i.dropFrom(0) // clean ones, kept for appends
	}
}

// sync makes the content as it is survive power loss.
func (i *inode) sync(ctx context.Context) error {
	if !i.changed || i.orphan {
		return i.fs.tree.SyncTree(ctx)
	}
	if err := i.flush(); err != nil {
		return err
	}
	return i.file.Sync(ctx, i.times())
}
