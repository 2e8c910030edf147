package fs

import (
	"context"
	"sync"

	"kmsfs/objstore"
)

// Notifier tells a kernel what it must not take from its caches any more. Calls may block until requests that are
// under way have been answered: nothing that answering needs may be held.
type Notifier interface {
	// InodeChanged drops the attributes of ino and, where data is set, its pages.
	InodeChanged(ino objstore.Ino, data bool)
	// EntryChanged drops what is known of a name: that it exists, that it does not, and what it names.
	EntryChanged(parent objstore.Ino, name string)
}

// change is one thing for a Notifier: a name, or an inode.
type change struct {
	ino  objstore.Ino // of the inode, or of the directory
	name string       // "": the inode itself changed
	data bool
}

func (c change) tell(n Notifier) {
	if c.name == "" {
		n.InodeChanged(c.ino, c.data)
	} else {
		n.EntryChanged(c.ino, c.name)
	}
}

// InodeChanged is for doors other than a mount: the file's or directory's attributes changed and, where data is set,
// its content. It returns when no kernel serves the old state from its caches any more. The caller holds no lock that
// answering a request could need.
func (f *FS) InodeChanged(ino objstore.Ino, data bool) { f.tell(change{ino: ino, data: data}) }

// EntryChanged is for doors other than a mount: name in the directory parent came, went or names another node.
func (f *FS) EntryChanged(parent objstore.Ino, name string) {
	f.tell(change{ino: parent, name: name})
}

// BucketChanged is for doors other than a mount: the settings of a bucket changed, or it came or went.
func (f *FS) BucketChanged(name string) {
	f.sel.invalidate()
	if _, err := f.store.HeadBucket(context.Background(), name); err != nil {
		f.tell(change{ino: BucketsRoot, name: name}) // not for settings: who is in the directory would lose its path
	}
}

func (f *FS) tell(c change) {
	for _, v := range *f.views.Load() {
		if v.opt.Notifier != nil {
			c.tell(v.opt.Notifier)
		}
	}
}

// tellOthers tells the kernels of all views but v of changes that v's own kernel knows of. It does not wait, so that
// it may be called with locks held.
func (f *FS) tellOthers(v *View, changes ...change) {
	for _, o := range *f.views.Load() {
		if o != v {
			o.tellOwn(changes...)
		}
	}
}

// tellOwn tells v's own kernel of changes that it cannot know of, without waiting.
func (v *View) tellOwn(changes ...change) {
	if v.opt.Notifier != nil {
		v.queue.add(v.opt.Notifier, changes)
	}
}

// queue is what a kernel still has to be told. The zero value is empty.
type queue struct {
	mu      sync.Mutex
	waiting []change
	running bool
}

// add lets one goroutine tell n everything, for as long as there is something.
func (q *queue) add(n Notifier, changes []change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, changes...)
	if !q.running && len(q.waiting) > 0 {
		q.running = true
		go q.run(n)
	}
}

func (q *queue) run(n Notifier) {
	for {
		q.mu.Lock()
		list := q.waiting
		q.waiting = nil
		q.running = len(list) > 0
		q.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, c := range list {
			c.tell(n)
		}
	}
}
