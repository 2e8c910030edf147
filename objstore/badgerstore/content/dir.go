package content

import (
	"container/list"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// ID names a content. A [16]byte can be used in its place.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Limits of a Dir.
const (
	// maxIdle is how many files without unsynced bytes are kept open.
	maxIdle = 256
	// maxDirty is how many files may have unsynced bytes before an Append syncs them first. They are kept open,
	// because the kernel reports a failed write-back to descriptors that were open when it failed.
	maxDirty = 2048
	// writebackStep is how many bytes of a file may be dirty before the kernel is asked to begin writing them.
	writebackStep = 8 << 20
	// syncStep is how many bytes of a file are written before a sync of it is begun in the background.
	syncStep = 64 << 20
	// syncWorkers is how many fdatasync and fsync calls run at a time.
	syncWorkers = 16
)

// Dir is a directory of content files. Its methods may be called concurrently.
type Dir struct {
	root string
	ops  Ops
	// Constants but in tests: maxIdle, maxDirty and syncStep.
	maxIdle, maxDirty int
	syncStep          int64

	syncing atomic.Bool // a sync runs in the background

	mu     sync.Mutex
	closed bool                  // GUARDED_BY(mu)
	files  map[ID]*file          // GUARDED_BY(mu) every file with an open descriptor
	idle   *list.List            // GUARDED_BY(mu) of *file: no user, not dirty; least recently used first
	dirty  map[ID]*file          // GUARDED_BY(mu) appended to since the last successful sync, and bad ones
	dirs   map[string]*directory // GUARDED_BY(mu) directories with entries that were not synced
}

// directory is a directory with new entries; sync is held while it is fsynced.
type directory struct {
	path string
	sync sync.Mutex
	made uint64 // GUARDED_BY(Dir.mu) entries made
	safe uint64 // GUARDED_BY(Dir.mu) entries that survive power loss
}

// Open opens the directory root (STORE/content), which it makes if its parent exists.
func Open(root string) (*Dir, error) { return OpenWith(root, OS{}) }

// OpenWith is Open over other file operations.
func OpenWith(root string, ops Ops) (*Dir, error) {
	d := &Dir{
		root: root, ops: ops, maxIdle: maxIdle, maxDirty: maxDirty, syncStep: syncStep,
		files: map[ID]*file{}, idle: list.New(), dirty: map[ID]*file{}, dirs: map[string]*directory{},
	}
	switch err := ops.Mkdir(root); {
	case err == nil:
		if err := ops.SyncDir(filepath.Dir(root)); err != nil {
			return nil, fmt.Errorf("open content directory: %w", err)
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("open content directory: %w", err)
	}
	if fi, err := os.Stat(root); err != nil || !fi.IsDir() {
		return nil, fmt.Errorf("open content directory: %s is no directory (%w)", root, errors.Join(fs.ErrInvalid, err))
	}
	return d, nil
}

func (d *Dir) fanout(id ID) string { return filepath.Join(d.root, hex.EncodeToString(id[:1])) }
func (d *Dir) path(id ID) string   { return filepath.Join(d.fanout(id), id.String()) }

// acquire opens a content file, or finds it open, and pins it until release. A missing file is [ErrMissing]
// unless create is set.
func (d *Dir) acquire(id ID, create bool) (*file, error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	f := d.files[id]
	if f == nil {
		f = newFile(id)
		d.files[id] = f
	}
	d.pin(f)
	d.mu.Unlock()

	if err := f.open(d, create); err != nil {
		d.release(f)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, failed("open", id, ErrMissing)
		}
		return nil, failed("open", id, err)
	}
	return f, nil
}

// LOCKS_REQUIRED(d.mu)
func (d *Dir) pin(f *file) {
	f.users++
	if f.idle != nil {
		d.idle.Remove(f.idle)
		f.idle = nil
	}
}

// release unpins and closes what is too much.
func (d *Dir) release(f *file) {
	d.mu.Lock()
	f.users--
	drop := d.settle(f)
	d.mu.Unlock()
	for _, f := range drop {
		f.close()
	}
}

// settle puts an unused clean file on the idle list and returns the files to be closed.
// LOCKS_REQUIRED(d.mu)
func (d *Dir) settle(f *file) (drop []*file) {
	if f.users > 0 || f.idle != nil {
		return nil
	}
	if f.gone || d.closed {
		return []*file{f}
	}
	if !f.isOpen() {
		delete(d.files, f.id) // the last of those who failed to open it
		return nil
	}
	if d.dirty[f.id] == f {
		return nil
	}
	f.idle = d.idle.PushBack(f)
	for d.idle.Len() > d.maxIdle {
		old := d.idle.Remove(d.idle.Front()).(*file)
		old.idle = nil
		delete(d.files, old.id)
		drop = append(drop, old)
	}
	return drop
}

// forget takes a removed file out of the tables; who has it pinned keeps it.
func (d *Dir) forget(f *file) {
	d.mu.Lock()
	d.detach(f)
	d.mu.Unlock()
	d.release(f)
}

// LOCKS_REQUIRED(d.mu)
func (d *Dir) detach(f *file) {
	f.gone = true
	if d.files[f.id] == f {
		delete(d.files, f.id)
	}
	if d.dirty[f.id] == f {
		delete(d.dirty, f.id)
	}
}

// Remove unlinks a content. Readers that are under way finish. A content that is not there is no error.
// Its id must not be appended to again.
func (d *Dir) Remove(id [16]byte) error {
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := d.ops.Remove(d.path(id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("remove", id, err)
	}
	d.mu.Lock()
	f := d.files[id]
	if f != nil {
		d.pin(f)
	}
	d.mu.Unlock()
	if f != nil {
		d.forget(f)
	}
	return nil
}

// Close closes all files, those in use when their users are done. It does not sync. Later calls are [ErrClosed].
func (d *Dir) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	var drop []*file
	for _, f := range d.files {
		if f.users == 0 {
			drop = append(drop, f)
		}
	}
	clear(d.files)
	d.mu.Unlock()
	var errs []error
	for _, f := range drop {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}
