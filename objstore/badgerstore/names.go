package badgerstore

import (
	"sync"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// nameCache keeps what names lead to, also that a name leads nowhere. It answers only who reads the state that it is
// about: not those whose snapshot is older, and nobody while a change of names becomes visible.
type nameCache struct {
	mu    sync.RWMutex
	m     map[place]dirent
	epoch uint64 // raised when a change begins to become visible, and when it has: odd in between
}

const maxCachedNames = 1 << 15 // about 150 bytes each

func (c *nameCache) init() { c.m = map[place]dirent{} }

// now is to be asked before a snapshot is taken.
func (c *nameCache) now() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.epoch%2 == 1 {
		return noEpoch
	}
	return c.epoch
}

func (c *nameCache) get(at place, epoch uint64) (d dirent, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.epoch != epoch {
		return d, false
	}
	d, ok = c.m[at]
	return d, ok
}

func (c *nameCache) fill(at place, d dirent, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		c.set(at, d)
	}
}

func (c *nameCache) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
}

// end takes over the names of a change that was begun, nil if it was not made.
func (c *nameCache) end(names map[place]dirent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for at, d := range names {
		c.set(at, d)
	}
}

func (c *nameCache) set(at place, d dirent) {
	makeRoom(c.m, maxCachedNames)
	c.m[at] = d
}

// makeRoom drops a part of a cache that is full.
func makeRoom[K comparable, V any](m map[K]V, most int) {
	if len(m) < most {
		return
	}
	drop := most / 16
	for k := range m { // map order is random enough
		delete(m, k)
		if drop--; drop == 0 {
			return
		}
	}
}

// dirent reads what a name leads to through the cache, or as r's change sees it.
func (s *Store) dirent(r getter, parent objstore.Ino, name string) (dirent, error) {
	switch r := r.(type) {
	case *txn:
		return r.dirent(parent, name)
	case snapshot:
		return s.cachedDirent(r, place{parent, name}, r.names)
	}
	return readDirent(r, parent, name)
}

func (s *Store) cachedDirent(r kv.Reader, at place, epoch uint64) (dirent, error) {
	if d, ok := s.names.get(at, epoch); ok {
		return d, nil
	}
	d, err := readDirent(r, at.dir, at.name)
	if err == nil {
		s.names.fill(at, d, epoch)
	}
	return d, err
}

func (t *txn) dirent(parent objstore.Ino, name string) (dirent, error) {
	at := place{parent, name}
	if d, ok := t.names[at]; ok {
		return d, nil
	}
	return t.s.cachedDirent(t, at, t.s.names.now())
}

func (t *txn) setDirent(parent objstore.Ino, name string, d dirent) {
	if t.names == nil {
		t.names = map[place]dirent{}
	}
	t.names[place{parent, name}] = d
	if d == (dirent{}) {
		t.Delete(direntKey(parent, name))
		return
	}
	t.Put(direntKey(parent, name), d.marshal())
}
