package fs

import (
	"sync"

	"kmsfs/objstore"
)

// VirtualBit marks the inode numbers that are not the store's.
const VirtualBit objstore.Ino = 1 << 63

// BucketsRoot is the root of a view of every bucket.
const BucketsRoot = VirtualBit | 1

func isVirtual(ino objstore.Ino) bool { return ino&VirtualBit != 0 }

// vkind is what a virtual node is.
type vkind int

const (
	versionsDir vkind = iota // DIR/.versions
	nameDir                  // DIR/.versions/NAME
	versionFile              // DIR/.versions/NAME/VERSION
)

// vkey identifies a virtual node.
type vkey struct {
	kind    vkind
	dir     objstore.Ino // DIR
	name    string       // NAME
	version objstore.VersionID
}

type vnode struct {
	vkey
	ino  objstore.Ino
	refs uint64 // the kernel's lookups
}

// virtualTable numbers the virtual nodes for as long as the kernel knows them. The zero value is empty.
type virtualTable struct {
	mu    sync.Mutex
	last  objstore.Ino
	byKey map[vkey]*vnode
	byIno map[objstore.Ino]*vnode
}

// number gives k its number and counts one lookup of it.
func (t *virtualTable) number(k vkey) objstore.Ino {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byKey[k]
	if n == nil {
		if t.byKey == nil {
			t.byKey, t.byIno, t.last = map[vkey]*vnode{}, map[objstore.Ino]*vnode{}, BucketsRoot
		}
		t.last++
		n = &vnode{vkey: k, ino: t.last}
		t.byKey[k], t.byIno[n.ino] = n, n
	}
	n.refs++
	return n.ino
}

// find is the key of ino; false when the kernel was told to forget it, or never knew it.
func (t *virtualTable) find(ino objstore.Ino) (vkey, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byIno[ino]
	if n == nil {
		return vkey{}, false
	}
	return n.vkey, true
}

func (t *virtualTable) forget(ino objstore.Ino, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byIno[ino]
	if n == nil {
		return
	}
	n.refs -= min(count, n.refs)
	if n.refs == 0 {
		delete(t.byKey, n.vkey)
		delete(t.byIno, ino)
	}
}

func (t *virtualTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byIno)
}
