package badgerstore

import (
	"crypto/sha256"
	"slices"

	"kmsfs/objstore"
)

const (
	chunkSize = objstore.ChunkSize
	// pageChunks is how many chunks one page of a map covers: 16 MiB, so that a change of one chunk in a
	// large object rewrites a record of a few KiB, where most of it was not written at random.
	pageChunks = 4096
	// inlineExtents is how many extents a version record holds itself before pages are made.
	inlineExtents = 8
	// inlinePages is how many pages a version record names itself before lists of pages are made.
	inlinePages = 16
	// longList is the exponent of what a long list of pages covers: 4096 pages, 64 GiB. Others are short.
	longList = 12
	// smallSlot marks a slot of the data table; others are slots of the content file.
	smallSlot = 1 << 63
)

// extent says where count chunks from index on lie: in consecutive slots of one content.
type extent struct {
	index, count int64
	slot         uint64
	tail         uint32 // plaintext bytes of the last of the chunks
}

func (e extent) end() int64   { return e.index + e.count }
func (e extent) small() bool  { return e.slot&smallSlot != 0 }
func (e extent) bulk() bool   { return !e.small() }
func (e extent) bytes() int64 { return (e.count-1)*chunkSize + int64(e.tail) }
func (e extent) length(i int64) int {
	if i == e.end()-1 {
		return int(e.tail)
	}
	return chunkSize
}

// from cuts away the chunks before index.
func (e extent) from(index int64) extent {
	d := index - e.index
	return extent{index, e.count - d, e.slot + uint64(d), e.tail}
}

// until cuts away the chunks from index on.
func (e extent) until(index int64) extent {
	return extent{e.index, index - e.index, e.slot, chunkSize}
}

// follows reports whether e continues p without a seam, in chunks and in slots.
func (e extent) follows(p extent) bool {
	return p.end() == e.index && p.tail == chunkSize && p.slot+uint64(p.count) == e.slot && !p.small() && !e.small()
}

// dropRange removes the chunks [from, to) from exts, which are ascending and which it may change. It returns the rest and
// what was removed.
func dropRange(exts []extent, from, to int64) (rest, removed []extent) {
	i := firstFrom(exts, from)
	j := i
	for j < len(exts) && exts[j].index < to {
		j++
	}
	if i == j {
		return exts, nil
	}
	var keep []extent
	for _, e := range exts[i:j] {
		if e.index < from {
			keep = append(keep, e.until(from))
			e = e.from(from)
		}
		if e.end() > to {
			removed = append(removed, e.until(to))
			keep = append(keep, e.from(to))
		} else {
			removed = append(removed, e)
		}
	}
	return slices.Replace(exts, i, j, keep...), removed
}

// firstFrom is the position of the first extent that ends behind index.
func firstFrom(exts []extent, index int64) int {
	i, _ := slices.BinarySearchFunc(exts, index, func(e extent, x int64) int {
		if e.end() <= x {
			return -1
		}
		return 1
	})
	return i
}

// insert puts e where no chunk is, joining it with its neighbours where they continue each other.
func insert(exts []extent, e extent) []extent {
	i := firstFrom(exts, e.index)
	exts = slices.Insert(exts, i, e)
	if i+1 < len(exts) && exts[i+1].follows(exts[i]) {
		exts[i] = join(exts[i], exts[i+1])
		exts = slices.Delete(exts, i+1, i+2)
	}
	if i > 0 && exts[i].follows(exts[i-1]) {
		exts[i-1] = join(exts[i-1], exts[i])
		exts = slices.Delete(exts, i, i+1)
	}
	return exts
}

func join(a, b extent) extent { return extent{a.index, a.count + b.count, a.slot, b.tail} }

// find gives the extent that covers chunk i.
func find(exts []extent, i int64) (extent, bool) {
	k := firstFrom(exts, i)
	if k == len(exts) || exts[k].index > i {
		return extent{}, false
	}
	return exts[k], true
}

func marshalExtents(w *writer, exts []extent) {
	w.uint(uint64(len(exts)))
	for _, e := range exts {
		w.uint(uint64(e.index))
		w.uint(uint64(e.count))
		w.bool(e.small())
		w.uint(e.slot &^ smallSlot)
		w.uint(uint64(e.tail))
	}
}

func unmarshalExtents(r *reader) []extent {
	n := r.count(5)
	if n == 0 {
		return nil
	}
	exts := make([]extent, 0, n)
	end := int64(0)
	for range n {
		e := extent{index: int64(r.uint()), count: int64(r.uint())}
		if r.bool() {
			e.slot = smallSlot
		}
		slot := r.uint()
		e.slot |= slot
		e.tail = r.uint32()
		if e.index < end || e.count <= 0 || e.end() < e.index || e.end() > maxChunks || slot&smallSlot != 0 ||
			e.tail == 0 || e.tail > chunkSize {
			r.fail()
			return nil
		}
		end = e.end()
		exts = append(exts, e)
	}
	return exts
}

// maxChunks bounds a file at 2^63-1 bytes.
const maxChunks = (1<<63 - 1) / chunkSize

// pageRef names a record of a page, or of a list of pages; sum is what it has to contain, so that the version's MAC covers it.
type pageRef struct {
	index, bytes int64 // bytes: plaintext stored in the page's chunks
	id           uint64
	sum          [16]byte
}

// chunkMap is the map of one version as its record holds it: a few extents, or references of pages, or of lists of pages.
type chunkMap struct {
	inline []extent
	pages  []pageRef
	lists  []pageRef
	span   uint8 // of lists: each covers 2^span pages
}

// shortLists says that the record has to tell the span.
func (m chunkMap) shortLists() bool { return len(m.lists) > 0 && m.span != longList }

// spanOf is the span of the lists for so many pages: a change of one page writes a list and names all lists.
func spanOf(pages int) uint8 {
	switch {
	case pages <= 1<<10:
		return 4
	case pages <= 1<<17:
		return 8
	}
	return longList
}

// allocated is the plaintext bytes of all chunks.
func (m chunkMap) allocated() int64 {
	var n int64
	for _, e := range m.inline {
		n += e.bytes()
	}
	return n + bytesOfRefs(m.pages) + bytesOfRefs(m.lists)
}

func bytesOfRefs(refs []pageRef) (n int64) {
	for _, p := range refs {
		n += p.bytes
	}
	return n
}

// marshal writes lists only where there are any: the record says so elsewhere.
func (m chunkMap) marshal(w *writer) {
	marshalExtents(w, m.inline)
	marshalRefs(w, m.pages)
	if m.shortLists() {
		w.uint(uint64(m.span))
	}
	if len(m.lists) > 0 {
		marshalRefs(w, m.lists)
	}
}

// unmarshalChunks reads a map. flags are those of its record.
func unmarshalChunks(r *reader, flags byte) chunkMap {
	m := chunkMap{inline: unmarshalExtents(r), pages: unmarshalRefs(r, pageChunks)}
	if flags&inodeListed == 0 {
		return m
	}
	span := uint64(longList)
	if flags&inodeShort != 0 {
		if span = r.uint(); span == 0 || span >= longList {
			r.fail()
		}
	}
	m.span = uint8(span)
	if m.lists = unmarshalRefs(r, pageChunks<<m.span); len(m.lists) == 0 { // a record has one encoding only
		r.fail()
	}
	return m
}

func marshalRefs(w *writer, refs []pageRef) {
	w.uint(uint64(len(refs)))
	for _, p := range refs {
		w.uint(uint64(p.index))
		w.uint(uint64(p.bytes))
		w.uint(p.id)
		w.raw(p.sum[:])
	}
}

// unmarshalRefs reads references of records that cover so many chunks each.
func unmarshalRefs(r *reader, chunks int64) []pageRef {
	n := r.count(19)
	var refs []pageRef
	prev := int64(-1)
	for range n {
		p := pageRef{index: int64(r.uint()), bytes: int64(r.uint()), id: r.uint()}
		copy(p.sum[:], r.raw(16))
		if p.index <= prev || p.index > maxChunks/chunks || p.bytes < 0 || p.bytes > chunks*chunkSize {
			r.fail()
			return nil
		}
		prev = p.index
		refs = append(refs, p)
	}
	return refs
}

// addIDs adds the ids of the records that refs name.
func addIDs(ids map[uint64]bool, refs []pageRef) {
	for _, p := range refs {
		ids[p.id] = true
	}
}

func marshalList(refs []pageRef) []byte {
	w := writer{b: make([]byte, 0, 16+30*len(refs))}
	w.byte(recordVersion)
	marshalRefs(&w, refs)
	return w.b
}

func unmarshalList(b []byte) ([]pageRef, error) {
	r := reader{b: b}
	if r.byte() != recordVersion {
		return nil, errRecord
	}
	refs := unmarshalRefs(&r, pageChunks)
	return refs, r.end()
}

func marshalPage(exts []extent) []byte {
	w := writer{b: make([]byte, 0, 16+6*len(exts))}
	w.byte(recordVersion)
	marshalExtents(&w, exts)
	return w.b
}

func unmarshalPage(b []byte) ([]extent, error) {
	r := reader{b: b}
	if r.byte() != recordVersion {
		return nil, errRecord
	}
	exts := unmarshalExtents(&r)
	return exts, r.end()
}

func pageSum(rec []byte) (sum [16]byte) {
	s := sha256.Sum256(rec)
	copy(sum[:], s[:])
	return sum
}

// addSmall adds the slots of the data table to slots, and reports whether there are others.
func addSmall(slots map[uint64]bool, exts []extent) (bulk bool) {
	for _, e := range exts {
		if e.small() {
			slots[e.slot] = true
		} else {
			bulk = true
		}
	}
	return bulk
}

func bytesOf(exts []extent) int64 {
	var n int64
	for _, e := range exts {
		n += e.bytes()
	}
	return n
}
