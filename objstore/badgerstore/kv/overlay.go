package kv

import (
	"bytes"

	"github.com/google/btree"
)

// entryCost is the memory of an entry beside its key and value, in bytes, roughly.
const entryCost = 96

// entry is one version of a key. Immutable once it is in a tree, save prev.
type entry struct {
	val  []byte
	del  bool
	seq  uint64 // LSN of the transaction
	prev *entry // older version, kept only while a View could see it
}

type item struct {
	key []byte
	e   *entry
}

func itemLess(a, b item) bool { return bytes.Compare(a.key, b.key) < 0 }

func newTree() *btree.BTreeG[item] { return btree.NewG(32, itemLess) }

// dataEntry is a value of PutData, or its deletion.
type dataEntry struct {
	val []byte
	del bool
}

// overlay holds transactions that badger does not have yet. All access is under DB.mu; a
// frozen overlay is not written any more.
type overlay struct {
	tree *btree.BTreeG[item]
	data map[string]dataEntry
	// order has the ids of data as they came; one that was deleted again may be in it, and one may be in it twice.
	order []string
	size  int64  // bytes, with entryCost
	last  uint64 // LSN of the newest transaction; 0 if none
}

func newOverlay() *overlay {
	return &overlay{tree: newTree(), data: make(map[string]dataEntry)}
}

func (o *overlay) empty() bool { return o.last == 0 }

// set puts a version of key; older versions are kept if keep is set.
func (o *overlay) set(key []byte, e *entry, keep bool) {
	old, had := o.tree.ReplaceOrInsert(item{key, e})
	o.size += int64(len(key)+len(e.val)) + entryCost
	if !had {
		return
	}
	if keep {
		e.prev = old.e
		return
	}
	for v := old.e; v != nil; v = v.prev {
		o.size -= int64(len(key)+len(v.val)) + entryCost
	}
}

// setData records a value or its deletion. A value that was put into this very overlay is
// not in badger, so its deletion leaves nothing behind, unless redo is set: then badger
// may have got it before the crash.
func (o *overlay) setData(id string, e dataEntry, redo bool) {
	old, had := o.data[id]
	if had {
		o.size -= int64(len(id)+len(old.val)) + entryCost
	}
	if e.del && had && !old.del && !redo {
		delete(o.data, id)
		return
	}
	if !had {
		o.order = append(o.order, id)
	}
	o.data[id] = e
	o.size += int64(len(id)+len(e.val)) + entryCost
}

// get returns the version of key that a snapshot at seq sees, or nil.
func (o *overlay) get(key []byte, seq uint64) *entry {
	it, ok := o.tree.Get(item{key: key})
	if !ok {
		return nil
	}
	return it.e.at(seq)
}

// at returns the newest version not after seq, or nil.
func (e *entry) at(seq uint64) *entry {
	for e != nil && e.seq > seq {
		e = e.prev
	}
	return e
}

// apply adds the ops of transaction lsn. LOCKS_REQUIRED(DB.mu).
func (o *overlay) apply(lsn uint64, ops *opSet, keep, redo bool) {
	ops.tree.Ascend(func(it item) bool {
		it.e.seq = lsn
		o.set(it.key, it.e, keep)
		return true
	})
	for _, d := range ops.data {
		o.setData(d.id, d.dataEntry, redo)
	}
	o.last = lsn
}
