package badgerstore

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"kmsfs/objstore/badgerstore/backup"
	"kmsfs/objstore/seal"
)

// need is ciphertext that records use: rows of slots of a content file, or one chunk of the data table.
type need struct {
	backup.Range
	tail uint32 // bytes of the last slot
}

func (n need) bytes() int64 { return int64(n.Count-1)*int64(n.Size) + int64(n.tail) }
func (n need) end() uint64  { return n.Slot + uint64(n.Count) }

// part cuts n to the slots of r, which lie within it.
func (n need) part(r backup.Range) need {
	if r.Slot+uint64(r.Count) == n.end() {
		return need{r, n.tail}
	}
	return need{r, r.Size}
}

// collector finds the ciphertext that records use, in whatever order they come.
type collector struct {
	needs []need
	used  map[uint64]uint32 // pages, and lists of pages, of chunk maps that versions have → slot size
	pages map[uint64]mapPage
	lists map[uint64][]pageRef
}

type mapPage struct {
	content seal.ContentID
	exts    []extent
}

func newCollector() *collector {
	return &collector{used: map[uint64]uint32{}, pages: map[uint64]mapPage{}, lists: map[uint64][]pageRef{}}
}

// see takes a record of the metadata table. One that does not parse needs nothing that anybody could read.
func (c *collector) see(k, v []byte) {
	switch k[0] {
	case kInode, kNoncurrent, kDraft:
		in, err := unmarshalInode(v)
		if err != nil || in.ver == nil {
			return
		}
		size := uint32(slotSizeOf(in.ver.env))
		c.add(in.ver.content, in.ver.chunks.inline, size)
		c.use(in.ver.chunks.pages, size)
		c.use(in.ver.chunks.lists, size)
	case kPage:
		if exts, err := unmarshalPage(v); err == nil && len(k) == 33 {
			c.pages[recordID(k)] = mapPage{seal.ContentID(k[1:17]), exts}
		}
	case kList:
		if pages, err := unmarshalList(v); err == nil && len(k) == 33 {
			c.lists[recordID(k)] = pages
		}
	}
}

func (c *collector) use(refs []pageRef, size uint32) {
	for _, p := range refs {
		c.used[p.id] = size
	}
}

func (c *collector) add(id seal.ContentID, exts []extent, size uint32) {
	for _, e := range exts {
		if e.small() {
			for i := range e.count {
				c.needs = append(c.needs, need{Range: backup.Range{Content: id, Slot: e.slot + uint64(i), Count: 1}})
			}
			continue
		}
		for ; e.count > math.MaxInt32; e = e.from(e.index + math.MaxInt32) {
			c.needs = append(c.needs, need{backup.Range{Content: id, Slot: e.slot, Count: math.MaxInt32, Size: size}, size})
		}
		c.needs = append(c.needs, need{backup.Range{Content: id, Slot: e.slot, Count: uint32(e.count), Size: size}, size - chunkSize + e.tail})
	}
}

// resolve answers all needs, each slot once, chunks of the data table behind the slots of their content.
func (c *collector) resolve() []need {
	for id, pages := range c.lists {
		if size, ok := c.used[id]; ok {
			c.use(pages, size)
		}
	}
	for id, size := range c.used {
		p := c.pages[id]
		c.add(p.content, p.exts, size)
	}
	c.used, c.pages, c.lists = nil, nil, nil
	slices.SortFunc(c.needs, func(a, b need) int {
		return cmp.Or(bytes.Compare(a.Content[:], b.Content[:]), cmp.Compare(a.Slot, b.Slot))
	})
	out := c.needs[:0]
	for _, n := range c.needs {
		if k := len(out) - 1; k < 0 || !out[k].join(n) {
			out = append(out, n)
		}
	}
	return out
}

// join takes over o, which begins at or behind n, where both overlap or o continues n without a short slot between.
func (n *need) join(o need) bool {
	switch {
	case n.Content != o.Content || o.Slot > n.end():
		return false
	case o.end() <= n.end():
		return true
	case n.Size == 0 || o.Size != n.Size || o.Slot == n.end() && n.tail != n.Size || o.end()-n.Slot > math.MaxInt32:
		return false
	}
	n.Count, n.tail = uint32(o.end()-n.Slot), o.tail
	return true
}
