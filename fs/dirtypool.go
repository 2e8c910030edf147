package fs

import (
	"sync"

	"kmsfs/objstore"
)

// chunkSize is the unit of the dirty data: what the store encrypts as one.
const chunkSize = objstore.ChunkSize

// chunk is a part of an open file that is held in memory. inode.mu guards all but the links.
type chunk struct {
	owner *inode
	index int64
	buf   *[chunkSize]byte
	valid spans // positions where buf is newer than, or equal to, what the store has
	dirty bool  // the store lacks something of it

	prev, next *chunk // dirtyPool.mu
}

// dirtyPool bounds the memory of all chunks of all open files and gives out their buffers.
type dirtyPool struct {
	limit int // chunks
	bufs  sync.Pool

	mu    sync.Mutex
	count int
	list  chunk // ring; list.next is the oldest
}

func newDirtyPool(limit int64) *dirtyPool {
	p := &dirtyPool{limit: int(max(limit/chunkSize, 4))}
	p.list.prev, p.list.next = &p.list, &p.list
	p.bufs.New = func() any { return new([chunkSize]byte) }
	return p
}

// buffer is a buffer that nothing counts; bufs.Put gives it back.
func (p *dirtyPool) buffer() *[chunkSize]byte { return p.bufs.Get().(*[chunkSize]byte) }

// take makes an empty chunk and counts it.
func (p *dirtyPool) take(owner *inode, index int64) *chunk {
	c := &chunk{owner: owner, index: index, buf: p.buffer()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	p.pushLocked(c)
	return c
}

// give takes back c's buffer, which must not be used any more.
func (p *dirtyPool) give(c *chunk) {
	p.mu.Lock()
	p.count--
	p.unlinkLocked(c)
	p.mu.Unlock()
	p.bufs.Put(c.buf)
	c.buf = nil
}

// over reports by how many chunks the bound is exceeded, 0 when it is not.
func (p *dirtyPool) over() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.count-p.limit, 0)
}

// oldest returns up to n of the oldest chunks and moves them to the young end, so that those that cannot be written do
// not stop the others.
func (p *dirtyPool) oldest(n int) []*chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, p.count)
	var out []*chunk
	for c := p.list.next; c != &p.list && len(out) < n; {
		next := c.next
		out = append(out, c)
		p.unlinkLocked(c)
		p.pushLocked(c)
		c = next
	}
	return out
}

func (p *dirtyPool) pushLocked(c *chunk) {
	c.prev, c.next = p.list.prev, &p.list
	c.prev.next, c.next.prev = c, c
}

func (p *dirtyPool) unlinkLocked(c *chunk) {
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
}
