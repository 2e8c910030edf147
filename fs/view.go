package fs

import (
	"context"
	"errors"
	"sync"

	"kmsfs/objstore"
)

// ViewOptions of [FS.NewView].
type ViewOptions struct {
	Bucket         string   // "": every bucket is a directory of the root
	Notifier       Notifier // nil: the view's kernel caches nothing
	ReadOnly       bool
	EnforcesACLs   bool // the view's kernel asks for access control lists itself, and takes [Unsupported] for a failure
	ReencryptOnSet bool // make a new version a second after the last change of an encryption attribute
}

// View is what one mount shows. Nodes are addressed by inode number; those that are not in the store, such as the
// .versions directories, have [VirtualBit] set.
type View struct {
	fs   *FS
	opt  ViewOptions
	root objstore.Ino

	virtual virtualTable
	queue   queue

	mu      sync.Mutex
	orphans map[objstore.Ino]*objstore.Node     // without a name, still known to the kernel
	held    map[objstore.Ino]objstore.File      // of those, what a rename replaced: it can still be opened
	pages   map[objstore.Ino]objstore.VersionID // whose pages the kernel may hold
}

// pagesKept bounds View.pages, in files. A file beyond it is only read again at its next open.
const pagesKept = 1 << 16

// NewView makes a view of one bucket, which must exist, or of all.
func (f *FS) NewView(ctx context.Context, o ViewOptions) (*View, error) {
	v := &View{
		fs: f, opt: o, root: BucketsRoot,
		orphans: map[objstore.Ino]*objstore.Node{},
		held:    map[objstore.Ino]objstore.File{},
		pages:   map[objstore.Ino]objstore.VersionID{},
	}
	if o.Bucket != "" {
		b, err := f.store.HeadBucket(ctx, o.Bucket)
		if err != nil {
			return nil, err
		}
		v.root = b.Root
	}
	f.addView(v)
	return v, nil
}

// Close ends the view and makes everything acknowledged survive power loss.
func (v *View) Close(ctx context.Context) error {
	v.fs.removeView(v)
	return errors.Join(v.letGo(), v.fs.tree.SyncTree(ctx))
}

// Root is the inode number of the directory that the mount shows.
func (v *View) Root() objstore.Ino { return v.root }

// SyncTree is fsync(2) of a directory: all changes before it survive power loss.
func (v *View) SyncTree(ctx context.Context) error { return v.fs.tree.SyncTree(ctx) }

// Forget is for the kernel's FORGET: it drops count references to ino. For nodes of the store the last FORGET is the
// only one that matters, and dropping early costs nothing but a read.
func (v *View) Forget(ino objstore.Ino, count uint64) {
	if isVirtual(ino) {
		v.virtual.forget(ino, count)
		return
	}
	v.mu.Lock()
	delete(v.orphans, ino)
	delete(v.pages, ino)
	held := v.held[ino]
	delete(v.held, ino)
	v.mu.Unlock()
	if err := closeHeld(held); err != nil {
		v.fs.log.Error("a file that was replaced is not removed yet", "ino", ino, "error", err)
	}
}

// pagesAre notes that the kernel's pages of ino are those of version.
func (v *View) pagesAre(ino objstore.Ino, version objstore.VersionID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.pages) >= pagesKept {
		for k := range v.pages { // any: it is only a cache
			delete(v.pages, k)
			break
		}
	}
	v.pages[ino] = version
}

// keepPages reports whether pages that the kernel has of ino are those of version, and notes that they will be.
func (v *View) keepPages(ino objstore.Ino, version objstore.VersionID) bool {
	v.mu.Lock()
	old, ok := v.pages[ino]
	v.mu.Unlock()
	if ok && old == version {
		return true
	}
	v.pagesAre(ino, version)
	return false
}

// distrustPages is for a file whose changes were lost: the kernels have pages of them, among those of the version.
func (f *FS) distrustPages(ino objstore.Ino) {
	for _, v := range *f.views.Load() {
		v.mu.Lock()
		delete(v.pages, ino)
		v.mu.Unlock()
		v.tellOwn(change{ino: ino, data: true})
	}
}

// orphaned keeps the last that is known of n, whose last name is gone, until the kernel forgets it.
func (v *View) orphaned(n *objstore.Node) {
	c := *n
	c.Nlink, c.Ctime = 0, objstore.Now()
	v.mu.Lock()
	v.orphans[n.Ino] = &c
	v.mu.Unlock()
	v.fs.withOpen(n.Ino, func(i *inode) { i.orphan = true })
}

func (v *View) orphan(ino objstore.Ino) *objstore.Node {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.orphans[ino]
}

// writable answers ReadOnly where nothing may change: the whole view, or what is not in the store.
func (v *View) writable(op string, inos ...objstore.Ino) error {
	if v.opt.ReadOnly {
		return deny(objstore.ReadOnly, op, "the mount is read-only")
	}
	for _, ino := range inos {
		if isVirtual(ino) {
			return deny(objstore.ReadOnly, op, "old versions and the list of buckets cannot be changed this way")
		}
	}
	return nil
}
