package badgerstore

import "sync"

// mapCache keeps pages and lists of pages that were read, by their id, which is never given to another record. Each opening of a
// large file needs its lists; looking one up costs as much as sealing several chunks.
type mapCache struct {
	mu    sync.Mutex
	recs  map[uint64][]byte
	bytes int
}

const maxMapCache = 8 << 20 // bytes

func (c *mapCache) get(id uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recs[id]
}

func (c *mapCache) put(id uint64, rec []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recs == nil {
		c.recs = map[uint64][]byte{}
	}
	if _, ok := c.recs[id]; ok {
		return
	}
	c.recs[id] = rec
	c.bytes += len(rec)
	for old, r := range c.recs { // map order is random enough
		if c.bytes <= maxMapCache {
			return
		}
		delete(c.recs, old)
		c.bytes -= len(r)
	}
}

// clear is for who has to know what is on disk.
func (c *mapCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recs, c.bytes = nil, 0
}
