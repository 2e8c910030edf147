package fs

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"kmsfs/objstore"
)

// DefaultDirtyLimit bounds the memory of data that is written and not yet in the store, in bytes.
const DefaultDirtyLimit = 64 << 20

// Options of [New].
type Options struct {
	Tree  objstore.Tree
	Store objstore.Store
	// DirtyLimit bounds the memory of unwritten data of all files, in bytes; 0: DefaultDirtyLimit.
	DirtyLimit int64
	// NewBucket is what a bucket made by mkdir(2) is set to; nil: the name alone.
	NewBucket func(name string) objstore.Bucket
	// Reads and Writes record the uses of objects; nil: nobody does.
	Reads, Writes Recorder
	Logger        *slog.Logger // nil: slog.Default
}

// FS is the files of one store. Its methods, and those of its views, may be called concurrently.
type FS struct {
	tree  objstore.Tree
	store objstore.Store
	opt   Options
	log   *slog.Logger

	pool     *dirtyPool
	sel      selections
	failures failures
	later    reencrypter
	views    atomic.Pointer[[]*View] // replaced, never changed

	mu     sync.Mutex
	inodes map[objstore.Ino]*inode // open regular files
}

// New serves o.Store, whose capability o.Tree is.
func New(o Options) *FS {
	if o.DirtyLimit == 0 {
		o.DirtyLimit = DefaultDirtyLimit
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.NewBucket == nil {
		o.NewBucket = func(name string) objstore.Bucket { return objstore.Bucket{Name: name} }
	}
	f := &FS{
		tree: o.Tree, store: o.Store, opt: o, log: o.Logger,
		pool:   newDirtyPool(o.DirtyLimit),
		inodes: map[objstore.Ino]*inode{},
	}
	f.views.Store(&[]*View{})
	return f
}

// Close runs the re-encryptions that still wait. The views must be closed before it.
func (f *FS) Close() error {
	f.later.close()
	return nil
}

// OpenFiles counts the files that are open, for the status of the daemon.
func (f *FS) OpenFiles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.inodes)
}

// acquire returns ino's inode, referenced and locked for writing. Its file may not be open yet. [FS.release] gives it
// back.
func (f *FS) acquire(ino objstore.Ino) *inode {
	f.mu.Lock()
	i := f.inodes[ino]
	if i == nil {
		i = &inode{fs: f, ino: ino, chunks: map[int64]*chunk{}}
		f.inodes[ino] = i
	}
	i.refs++
	f.mu.Unlock()
	i.mu.Lock()
	return i
}

// release drops one reference to i, which is locked, and unlocks it. The last one closes the file.
func (f *FS) release(i *inode) {
	f.mu.Lock()
	i.refs--
	last := i.refs == 0
	f.mu.Unlock()
	if last {
		i.close() // someone may acquire i meanwhile and waits for the lock
		f.mu.Lock()
		if i.refs == 0 {
			delete(f.inodes, i.ino)
		}
		f.mu.Unlock()
	}
	i.mu.Unlock()
}

// peek is the inode of ino if it is open, unreferenced and unlocked.
func (f *FS) peek(ino objstore.Ino) *inode {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inodes[ino]
}

// withOpen runs fn on the inode of ino if it is open, under its lock; else it does nothing.
func (f *FS) withOpen(ino objstore.Ino, fn func(*inode)) {
	i := f.peek(ino)
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file != nil {
		fn(i)
	}
}

func (f *FS) addView(v *View) {
	for {
		old := f.views.Load()
		list := append(slices.Clone(*old), v)
		if f.views.CompareAndSwap(old, &list) {
			return
		}
	}
}

func (f *FS) removeView(v *View) {
	for {
		old := f.views.Load()
		list := slices.DeleteFunc(slices.Clone(*old), func(o *View) bool { return o == v })
		if f.views.CompareAndSwap(old, &list) {
			return
		}
	}
}
