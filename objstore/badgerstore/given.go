package badgerstore

import (
	"encoding/binary"
	"errors"

	"kmsfs/objstore/badgerstore/kv"
)

// given is, by counter, the greatest number that some record has.
type given map[string]uint64

func (g given) add(counter string, n uint64) { g[counter] = max(g[counter], n) }

// see notes the numbers of a record that parses.
func (g given) see(k, v []byte) {
	switch k[0] {
	case kDirent:
		d, _ := unmarshalDirent(v)
		g.add("ino", uint64(max(d.file, d.dir, inoOf(k))))
	case kGhost:
		rd := reader{b: v}
		g.add("ino", max(rd.uint(), uint64(inoOf(k))))
	case kUsage:
		g.add("bucket", binary.BigEndian.Uint64(k[1:]))
	case kStem, kStemCopy:
		g.add(stemCounter, binary.BigEndian.Uint64(k[1:]))
	case kPage, kList:
		g.add("page", recordID(k))
	case kInode, kDraft, kNoncurrent:
		g.seeInode(k, v)
	}
}

func (g given) seeInode(k, v []byte) {
	in, err := unmarshalInode(v)
	if err != nil {
		return
	}
	g.add("ino", max(uint64(in.Ino), uint64(in.Parent), uint64(in.hist)))
	g.add("bucket", uint64(in.bucket))
	if in.hasList() {
		g.add(listCounter, noLists)
	}
	if in.ver != nil {
		g.add("seq", in.ver.seq)
		g.add(stemCounter, in.ver.rest.stem)
	}
	if h, _, seq, ok := splitNoncurrent(k); ok {
		g.add("seq", seq)
		g.add("ino", uint64(h))
	}
}

// counters sets those above every number that was given out, so that none is given out again.
func (m *mender) counters(t *txn) error {
	for _, b := range m.s.byID {
		m.given.add("bucket", uint64(b.id))
		m.given.add("ino", uint64(b.Root))
	}
	for name, greatest := range m.given {
		limit := uint64(0)
		rec, err := t.Get(counterKey(name))
		if greatest == 0 && errors.Is(err, kv.ErrNotFound) {
			continue
		}
		if err == nil && len(rec) == 8 {
			limit = binary.BigEndian.Uint64(rec)
		}
		if c := m.s.counter[name]; c != nil {
			greatest = max(greatest, c.limit-1)
		}
		if limit > max(greatest, 1) {
			continue
		}
		t.Put(counterKey(name), binary.BigEndian.AppendUint64(nil, max(greatest, 1)+1))
		delete(m.s.counter, name)
		if name == listCounter {
			t.after(func() { m.s.listless.Store(false) })
		}
		m.mended("", "", "the counter %s was behind the numbers given out, and is set anew", name)
	}
	return nil
}
