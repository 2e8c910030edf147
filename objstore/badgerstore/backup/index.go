package backup

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// index knows what packs hold. It takes 56 bytes for each row of slots and each chunk, in memory.
type index struct {
	packs   []indexed
	pages   map[[idSize]byte]uint32 // position of the pack
	ranges  []held                  // by content and slot, once sorted
	damaged []error                 // of files that would have been shared
	newest  time.Time               // of the points that there are
}

// indexed is a pack of an index.
type indexed struct {
	name string
	size int64 // of the file
	used int64 // bytes of blobs that were asked for
	need bool  // something was
}

// held is a range that a pack has.
type held struct {
	Range
	length uint32
	pack   uint32
	used   bool
}

func newIndex() *index { return &index{pages: map[[idSize]byte]uint32{}} }

// add takes the entries of a pack. sort has to follow.
func (x *index) add(name string, size int64, entries []entry) {
	n := uint32(len(x.packs))
	x.packs = append(x.packs, indexed{name: name, size: size})
	for _, e := range entries {
		if e.kind == kindPage {
			if _, ok := x.pages[e.key]; !ok {
				x.pages[e.key] = n
			}
			continue
		}
		x.ranges = append(x.ranges, held{Range: e.slots(), length: e.length, pack: n})
	}
}

func (x *index) sort() {
	slices.SortFunc(x.ranges, func(a, b held) int { return compareRanges(a.Range, b.Range) })
}

func compareRanges(a, b Range) int {
	return cmp.Or(bytes.Compare(a.Content[:], b.Content[:]), cmp.Compare(a.Slot, b.Slot))
}

// page marks a page as needed and tells whether a pack has it. The page's length is not known here and counts little.
func (x *index) page(id [idSize]byte, length int) bool {
	n, ok := x.pages[id]
	if ok {
		x.packs[n].used += int64(length)
		x.packs[n].need = true
	}
	return ok
}

// missing marks what of r packs have as needed, and answers the rest, ascending.
func (x *index) missing(r Range) (rest []Range) {
	at := x.firstAfter(r)
	for at > 0 && x.covers(at-1, r, r.Slot) {
		at-- // ranges of several packs may overlap
	}
	for pos := r.Slot; pos < r.end(); {
		best, next := -1, r.end()
		for i := at; i < len(x.ranges) && x.ranges[i].Content == r.Content && x.ranges[i].Slot < r.end(); i++ {
			h := x.ranges[i]
			switch {
			case h.Slot > pos:
				next = min(next, h.Slot)
			case h.end() > pos && (best < 0 || h.end() > x.ranges[best].end()):
				best = i
			}
			if h.Slot > pos {
				break
			}
		}
		if best < 0 {
			rest = append(rest, Range{r.Content, pos, uint32(next - pos), r.Size})
			pos = next
			continue
		}
		x.use(best)
		pos = x.ranges[best].end()
		at = best
	}
	return rest
}

// firstAfter is the position of the first range that begins at or behind r.
func (x *index) firstAfter(r Range) int {
	i, _ := slices.BinarySearchFunc(x.ranges, r, func(h held, r Range) int { return compareRanges(h.Range, r) })
	return i
}

func (x *index) covers(i int, r Range, slot uint64) bool {
	h := x.ranges[i]
	return h.Content == r.Content && h.end() > slot
}

func (x *index) use(i int) {
	h := &x.ranges[i]
	p := &x.packs[h.pack]
	p.need = true
	if !h.used {
		h.used = true
		p.used += int64(h.length)
	}
}
