package content

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// file is one content file, open while it is in Dir.files.
type file struct {
	id ID

	users int           // GUARDED_BY(Dir.mu) pins
	idle  *list.Element // GUARDED_BY(Dir.mu) INVARIANT: only while users is 0
	gone  bool          // GUARDED_BY(Dir.mu) removed: closed when the last user leaves

	opening sync.Mutex // held while the file is opened or made
	sync    sync.Mutex // held while the file is fdatasynced
	suspect bool       // GUARDED_BY(sync) the last fdatasync failed

	// writers is held shared while slots are written, alone while a failed append is cleaned up.
	writers sync.RWMutex

	mu       sync.Mutex
	h        File   // GUARDED_BY(mu) set once; nil before it is opened
	end      int64  // GUARDED_BY(mu) where the next append may begin, before rounding up to a slot
	sized    bool   // GUARDED_BY(mu) end is known
	pending  int64  // GUARDED_BY(mu) bytes written since write-back was last started
	from     int64  // GUARDED_BY(mu) lowest offset of those
	unsynced int64  // GUARDED_BY(mu) bytes written since a sync was last begun early
	written  uint64 // GUARDED_BY(mu) appends that are complete
	synced   uint64 // GUARDED_BY(mu) appends that survive power loss
	bad      error  // GUARDED_BY(mu) why written bytes are lost; sticky
	fresh    spans  // GUARDED_BY(mu) appended since the last sync began
	syncing  spans  // GUARDED_BY(mu) appended before that, and not known to be durable
}

func newFile(id ID) *file { return &file{id: id} }

// open opens the descriptor if it is not open.
func (f *file) open(d *Dir, create bool) error {
	f.opening.Lock()
	defer f.opening.Unlock()
	if f.isOpen() {
		return nil
	}
	h, err := d.ops.OpenFile(d.path(f.id), false)
	if create && errors.Is(err, fs.ErrNotExist) {
		h, err = d.create(f.id)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.h = h
	return nil
}

func (f *file) isOpen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.h != nil
}

// create makes a content file, and its directory if it is the first there.
func (d *Dir) create(id ID) (File, error) {
	h, err := d.ops.OpenFile(d.path(id), true)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.ops.Mkdir(d.fanout(id)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		d.entryMade(d.root)
		h, err = d.ops.OpenFile(d.path(id), true)
	}
	if err != nil {
		return nil, err
	}
	d.entryMade(d.fanout(id))
	return h, nil
}

// entryMade notes that the directory needs an fsync.
func (d *Dir) entryMade(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirs[path] == nil {
		d.dirs[path] = &directory{path: path}
	}
	d.dirs[path].made++
}

// size is the end of what was ever allocated. LOCKS_REQUIRED(f.mu)
func (f *file) size() (int64, error) {
	if f.sized {
		return f.end, nil
	}
	n, err := f.h.Size()
	if err != nil {
		return 0, err
	}
	f.end, f.sized = n, true
	return n, nil
}

// allocate takes the next slots for n bytes. Taken numbers are never given back.
func (f *file) allocate(slotSize, n int64) (first uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bad != nil {
		return 0, fmt.Errorf("%w (%w)", ErrBad, f.bad)
	}
	end, err := f.size()
	if err != nil {
		return 0, err
	}
	slot := slots(end, slotSize)
	f.end = slot*slotSize + n
	return uint64(slot), nil
}

// slots is the number of slots that n bytes touch.
func slots(n, slotSize int64) int64 { return (n + slotSize - 1) / slotSize }

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.h == nil {
		return nil
	}
	h := f.h
	f.h = nil
	return h.Close()
}
