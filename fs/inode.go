package fs

import (
	"context"
	"sync"
	"sync/atomic"

	"kmsfs/objstore"
)

// inode is one open regular file, shared by all who have it open.
type inode struct {
	fs  *FS
	ino objstore.Ino

	refs int // FS.mu

	// meta is what the store does not know yet of the attributes; nil: nothing. It is read without a lock.
	meta atomic.Pointer[overlay]

	// mu guards all below. Reading data needs it for reading, all else for writing.
	mu      sync.RWMutex
	file    objstore.File      // nil: not open, or closed again
	version objstore.VersionID // the version that file shows where it is not changed
	mode    uint32             // st_mode, as last seen
	seccap  bool               // has security.capability, which a write removes
	size    int64
	mtime   objstore.Time // of the last change, where changed
	chunks  map[int64]*chunk

	writers   int    // handles that may write
	begun     bool   // File.Begin was called since the last EndSession
	selection uint64 // selections.generation at that time
	changed   bool   // there is something to commit
	failed    bool   // the last commit failed and nothing was written since
	refused   bool   // what was answered could not be stored: writes are stored before they are answered
	orphan    bool   // it has no name any more: nothing is committed
	blank     bool   // the file was opened without its content, and is not emptied yet: nobody may have it
}

// overlay is the attributes of a changed file that is not committed.
type overlay struct {
	size, allocated int64
	mtime, ctime    objstore.Time
}

// apply returns n with o over it; n itself stays as it is.
func (o *overlay) apply(n *objstore.Node) *objstore.Node {
	if o == nil {
		return n
	}
	c := *n
	c.Size, c.Allocated, c.Mtime, c.Ctime = o.size, o.allocated, o.mtime, o.ctime
	return &c
}

// open makes i's file usable for one more open(2) by ctx's caller. i is locked. With Truncate the caller drops the content
// at once, and the key of the old one is not needed.
func (i *inode) open(ctx context.Context, flags OpenFlags) (*objstore.Node, error) {
	node, err := i.fs.tree.Node(ctx, i.ino)
	if err != nil {
		return nil, stale(err)
	}
	if err := checkRegular(node); err != nil {
		return nil, err
	}
	if i.file != nil && !i.changed && i.version != node.VersionID {
		i.forget() // replaced through another door: this and every other open file see the new version
	}
	if i.file == nil {
		return node, i.load(ctx, node, flags.Write && flags.Truncate)
	}
	return node, i.file.Authorize(ctx, flags.Write)
}

// load opens the file anew, without its content when that is dropped.
func (i *inode) load(ctx context.Context, node *objstore.Node, dropped bool) error {
	do := i.fs.tree.OpenFile
	if dropped {
		do = i.fs.tree.OverwriteFile
	}
	file, err := do(ctx, i.ino)
	if err != nil {
		return stale(err)
	}
	i.file, i.size, i.version = file, file.Size(), node.VersionID
	i.mode = node.Mode
	_, i.seccap = node.Xattrs[capabilityName]
	i.begun, i.changed, i.failed, i.refused, i.orphan = false, false, false, false, node.Nlink == 0
	i.blank = dropped
	return nil
}

// forget drops all that is not committed and closes the file.
func (i *inode) forget() {
	i.dropFrom(0)
	i.meta.Store(nil)
	i.changed, i.begun = false, false
	if i.file == nil {
		return
	}
	if err := i.file.Close(); err != nil {
		i.fs.log.Error("closing an open file failed", "ino", i.ino, "error", err)
	}
	i.file = nil
}

// close is for the last reference.
func (i *inode) close() {
	if i.changed && !i.orphan {
		i.fs.log.Error("changes of a file are lost: they could not be committed when it was closed", "ino", i.ino)
		i.fs.distrustPages(i.ino)
	}
	i.forget()
}

// touch notes that the content or the size changed now.
func (i *inode) touch() {
	i.mtime = objstore.Now()
	i.changed, i.failed = true, false
	i.show()
}

// show makes the changed attributes visible to GetAttr.
func (i *inode) show() {
	o := &overlay{size: i.size, mtime: i.mtime, ctime: i.mtime, allocated: i.file.Allocated()}
	o.allocated = max(o.allocated, min(i.size, o.allocated+int64(len(i.chunks))*chunkSize))
	i.meta.Store(o)
}

// times is what a commit or sync sets.
func (i *inode) times() objstore.AttrChange {
	m := i.meta.Load()
	if m == nil {
		return objstore.AttrChange{}
	}
	mtime, ctime := m.mtime, m.ctime
	return objstore.AttrChange{Mtime: &mtime, Ctime: &ctime}
}

// sIFMT and the others are the bits of st_mode, which are the same on every Linux.
const (
	sIFMT  = 0o170000
	sIFDIR = 0o040000
	sIFREG = 0o100000
	sIFLNK = 0o120000
	sISUID = 0o4000
	sISGID = 0o2000
	sIXGRP = 0o010
)

func checkRegular(n *objstore.Node) error {
	switch n.Mode & sIFMT {
	case sIFREG:
		return nil
	case sIFDIR:
		return deny(objstore.IsDirectory, "open", "it is a directory")
	}
	return deny(objstore.InvalidArgument, "open", "it is not a regular file")
}
