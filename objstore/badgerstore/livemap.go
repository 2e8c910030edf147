package badgerstore

import (
	"maps"
	"slices"
)

// liveMap is the map of an open file: pages that were needed are loaded, pages that were changed are dirty.
// It is not safe for concurrent change; find may be called concurrently once the page is loaded.
type liveMap struct {
	pages  map[int64]*livePage // never fewer
	order  []int64             // their indexes, ascending; out of date when there are fewer than pages
	lists  map[int64]pageRef   // records of lists of pages, by index
	load   func(pageRef) ([]extent, error)
	total  int64 // plaintext bytes of all chunks
	coming saved // what encode made, until settle
}

// saved is what the records of a map are to be.
type saved struct{ pages, lists []pageRef }

func (s saved) ids() map[uint64]bool {
	ids := make(map[uint64]bool, len(s.pages)+len(s.lists))
	addIDs(ids, s.pages)
	addIDs(ids, s.lists)
	return ids
}

type livePage struct {
	ref    pageRef // of the record, unless dirty
	exts   []extent
	loaded bool
	dirty  bool
}

// newLiveMap opens m, but for its lists; load reads a page record.
func newLiveMap(m chunkMap, load func(pageRef) ([]extent, error)) *liveMap {
	l := &liveMap{pages: map[int64]*livePage{}, load: load}
	l.take(m.pages)
	for _, e := range m.inline {
		l.add(e)
	}
	return l
}

func (l *liveMap) take(pages []pageRef) {
	all := make([]livePage, len(pages)) // at once
	for i, p := range pages {
		all[i].ref = p
		l.pages[p.index] = &all[i]
		l.total += p.bytes
	}
}

// open takes over the lists of pages, which load reads.
func (l *liveMap) open(lists []pageRef, load func(pageRef) ([]pageRef, error)) error {
	for _, ref := range lists {
		pages, err := load(ref)
		if err != nil {
			return err
		}
		l.take(pages)
	}
	l.keep(lists)
	return nil
}

func (l *liveMap) keep(lists []pageRef) {
	if l.lists = nil; len(lists) == 0 {
		return
	}
	l.lists = make(map[int64]pageRef, len(lists))
	for _, ref := range lists {
		l.lists[ref.index] = ref
	}
}

// page gives a page with its extents, nil where there is none.
func (l *liveMap) page(index int64) (*livePage, error) {
	p := l.pages[index]
	if p == nil || p.loaded {
		return p, nil
	}
	exts, err := l.load(p.ref)
	if err != nil {
		return nil, err
	}
	l.total += bytesOf(exts) - p.ref.bytes
	p.exts, p.loaded = exts, true
	return p, nil
}

// find gives the extent that covers chunk i, cut at page borders; ok is false in a hole.
func (l *liveMap) find(i int64) (e extent, ok bool, err error) {
	p, err := l.page(i / pageChunks)
	if p == nil || err != nil {
		return extent{}, false, err
	}
	e, ok = find(p.exts, i)
	return e, ok, nil
}

// put maps e's chunks and returns what they replaced.
func (l *liveMap) put(e extent) (removed []extent, err error) {
	removed, err = l.drop(e.index, e.end())
	if err == nil {
		l.add(e)
	}
	return removed, err
}

// putAll is put for each of list.
func (l *liveMap) putAll(list []extent) (removed []extent, err error) {
	for _, e := range list {
		gone, err := l.put(e)
		removed = append(removed, gone...)
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// add maps chunks that are holes now, page by page.
func (l *liveMap) add(e extent) {
	for e.count > 0 {
		index := e.index / pageChunks
		part := e
		if border := (index + 1) * pageChunks; e.end() > border {
			part = e.until(border)
		}
		p := l.pages[index]
		if p == nil {
			p = &livePage{loaded: true}
			l.pages[index] = p
		}
		p.exts, p.dirty = insert(p.exts, part), true
		l.total += part.bytes()
		if part.count == e.count {
			return
		}
		e = e.from(part.end())
	}
}

// drop makes the chunks [from, to) holes and returns where they lay.
func (l *liveMap) drop(from, to int64) (removed []extent, err error) {
	for _, index := range l.indexes(from, to) {
		p, err := l.page(index)
		if err != nil {
			return removed, err
		}
		rest, gone := dropRange(p.exts, from, to)
		if len(gone) > 0 {
			p.exts, p.dirty = rest, true
			removed = append(removed, gone...)
			l.total -= bytesOf(gone)
		}
	}
	return removed, nil
}

// indexes are the pages that [from, to) touches, ascending.
func (l *liveMap) indexes(from, to int64) (out []int64) {
	first, last := from/pageChunks, (to-1)/pageChunks
	if to <= from {
		return nil
	}
	if last-first >= int64(len(l.pages)) {
		order := l.sorted()
		begin, _ := slices.BinarySearch(order, first)
		end, _ := slices.BinarySearch(order, last+1)
		return order[begin:end]
	}
	for i := first; i <= last; i++ {
		if l.pages[i] != nil {
			out = append(out, i)
		}
	}
	return out
}

// sorted is the indexes of all pages, ascending.
func (l *liveMap) sorted() []int64 {
	if len(l.order) != len(l.pages) {
		l.order = slices.Sorted(maps.Keys(l.pages))
	}
	return l.order
}

// next gives the first mapped extent at or behind chunk i.
func (l *liveMap) next(i int64) (e extent, ok bool, err error) {
	for _, index := range l.indexes(i, maxChunks) {
		p, err := l.page(index)
		if err != nil {
			return extent{}, false, err
		}
		if k := firstFrom(p.exts, i); k < len(p.exts) {
			return p.exts[k], true, nil
		}
	}
	return extent{}, false, nil
}

// bytes is the plaintext size of all chunks.
func (l *liveMap) bytes() int64 { return l.total }

// inline gives all extents when they are few enough to stand in a version record. ok is false when they are not, or when
// a page was never loaded.
func (l *liveMap) inline() (exts []extent, ok bool) {
	for _, index := range l.sorted() {
		p := l.pages[index]
		if !p.loaded {
			return nil, false
		}
		for _, e := range p.exts {
			if n := len(exts); n > 0 && e.follows(exts[n-1]) {
				exts[n-1] = join(exts[n-1], e)
				continue
			}
			if len(exts) == inlineExtents {
				return nil, false
			}
			exts = append(exts, e)
		}
	}
	return exts, true
}

// saveRecord stores a page, or a list of pages, and names it.
type saveRecord func(kind byte, index int64, rec []byte) (id uint64, err error)

// encode gives the form for a version record. Pages and lists that have no record yet are passed to save.
// The pages are marked clean only by settle, once the transaction has succeeded.
func (l *liveMap) encode(save saveRecord) (m chunkMap, err error) {
	l.coming = saved{}
	if exts, ok := l.inline(); ok {
		return chunkMap{inline: exts}, nil
	}
	if l.coming.pages, err = l.encodePages(save); err != nil || len(l.coming.pages) <= inlinePages {
		return chunkMap{pages: l.coming.pages}, err
	}
	span := spanOf(len(l.coming.pages))
	l.coming.lists, err = l.encodeLists(l.coming.pages, span, save)
	return chunkMap{lists: l.coming.lists, span: span}, err
}

func (l *liveMap) encodePages(save saveRecord) (refs []pageRef, err error) {
	for _, index := range l.sorted() {
		p := l.pages[index]
		if p.loaded && len(p.exts) == 0 {
			continue
		}
		if !p.loaded || (!p.dirty && p.ref.id != 0) {
			refs = append(refs, p.ref)
			continue
		}
		rec := marshalPage(p.exts)
		id, err := save(kPage, index, rec)
		if err != nil {
			return nil, err
		}
		refs = append(refs, pageRef{index, bytesOf(p.exts), id, pageSum(rec)})
	}
	return refs, nil
}

// encodeLists divides pages, which ascend, into lists of 2^span. One that has not changed keeps its record.
func (l *liveMap) encodeLists(pages []pageRef, span uint8, save saveRecord) (refs []pageRef, err error) {
	for len(pages) > 0 {
		index, n := pages[0].index>>span, 1
		for n < len(pages) && pages[n].index>>span == index {
			n++
		}
		rec := marshalList(pages[:n])
		ref := pageRef{index: index, bytes: bytesOfRefs(pages[:n]), sum: pageSum(rec)}
		if old, ok := l.lists[index]; ok && old.sum == ref.sum {
			ref.id = old.id
		} else if ref.id, err = save(kList, index, rec); err != nil {
			return nil, err
		}
		refs = append(refs, ref)
		pages = pages[n:]
	}
	return refs, nil
}

// settle takes over the records that the last encode made. Without any, those that there were may go: a later encode must not
// name them.
func (l *liveMap) settle() {
	if len(l.coming.pages) == 0 {
		for _, p := range l.pages { // all loaded, or they could not stand in the version's record
			p.ref, p.dirty = pageRef{}, true
		}
	}
	for _, ref := range l.coming.pages {
		p := l.pages[ref.index]
		p.ref, p.dirty = ref, false
	}
	l.keep(l.coming.lists)
	l.coming = saved{}
}
