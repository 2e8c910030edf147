package badgerstore

import (
	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// liveSet is what of a content is in use.
type liveSet struct {
	refs     int             // records that use it
	slotSize int             // of its file
	limit    uint64          // file slots from here on are not judged: their users may not be visible yet
	bulk     []extent        // file slots
	small    map[uint64]bool // slots of the data table
	pages    map[uint64]bool // ids of pages and of lists of pages
	dead     [][]byte        // keys of their records that nobody uses
	lost     map[uint64]bool // slots of the data table in those
	litter   int             // slots in the garbage record
}

func (l *liveSet) add(exts []extent) {
	for _, e := range exts {
		if e.small() {
			l.small[e.slot] = true
		} else {
			l.bulk = append(l.bulk, e)
		}
	}
}

// liveSlots collects what is in use. Open files are asked before and after the records are read, so that nothing which
// passes from one to the other meanwhile is missed.
func (s *Store) liveSlots(id seal.ContentID) (*liveSet, error) {
	l := &liveSet{small: map[uint64]bool{}, pages: map[uint64]bool{}, lost: map[uint64]bool{}}
	if err := s.sizeSlots(id, l); err != nil || l.slotSize == 0 {
		return l, err
	}
	s.liveInMemory(id, l)
	err := s.db.View(func(r kv.Reader) error {
		prefix := refPrefix(id)
		err := r.Ascend(prefix, after(prefix), func(k, _ []byte) (bool, error) {
			l.refs++
			return true, liveInRecord(r, k[len(prefix):], l)
		})
		if err != nil {
			return err
		}
		s.liveInMemory(id, l)
		dead, err := litterOf(r, id)
		if l.litter = len(dead); err != nil {
			return err
		}
		if err := l.judgeLists(r, id); err != nil {
			return err
		}
		return eachPage(r, id, func(k []byte, exts []extent) error {
			if l.pages[recordID(k)] {
				l.add(exts)
			} else {
				l.dead = append(l.dead, k)
				addSmall(l.lost, exts)
			}
			return nil
		})
	})
	return l, err
}

// sizeSlots finds the size of a content's slots from any record that uses it, and the limit.
func (s *Store) sizeSlots(id seal.ContentID, l *liveSet) error {
	err := s.db.View(func(r kv.Reader) error {
		prefix := refPrefix(id)
		return r.Ascend(prefix, after(prefix), func(k, _ []byte) (bool, error) {
			in, err := getInode(r, k[len(prefix):])
			if err == nil && in.ver != nil {
				l.slotSize = slotSizeOf(in.ver.env)
			}
			return false, err
		})
	})
	if err != nil || l.slotSize == 0 {
		return err
	}
	l.limit, err = s.data.Next(id, l.slotSize)
	return err
}

// slotSizeOf is what a whole chunk takes in a content file.
func slotSizeOf(env kms.Envelope) int {
	if env.Algorithm == kms.SSEDSSE {
		return chunkSize + 2*seal.LayerOverhead
	}
	return chunkSize + seal.LayerOverhead
}

func (s *Store) liveInMemory(id seal.ContentID, l *liveSet) {
	s.mu.Lock()
	var sources []*source
	if h := s.holders[id]; h != nil {
		for src := range h.sources {
			sources = append(sources, src)
		}
	}
	s.mu.Unlock()
	for _, src := range sources {
		src.mu.Lock()
		for _, p := range src.m.pages {
			if p.loaded {
				l.add(p.exts)
			}
			l.pages[p.ref.id] = true
		}
		for _, ref := range src.m.lists {
			l.pages[ref.id] = true
		}
		src.mu.Unlock()
	}
}

func liveInRecord(r kv.Reader, holder []byte, l *liveSet) error {
	in, err := getInode(r, holder)
	if err != nil || in.ver == nil {
		return err
	}
	l.add(in.ver.chunks.inline)
	addIDs(l.pages, in.ver.chunks.pages)
	addIDs(l.pages, in.ver.chunks.lists)
	for _, ref := range in.ver.chunks.lists {
		rec, err := r.Get(mapKey(kList, in.ver.content, ref.index, ref.id))
		if err != nil {
			return notFound(err, objstore.IntegrityError)
		}
		pages, err := unmarshalList(rec)
		if err != nil {
			return err
		}
		addIDs(l.pages, pages)
	}
	return nil
}

// judgeLists finds the lists of pages that nobody uses.
func (l *liveSet) judgeLists(r kv.Reader, id seal.ContentID) error {
	prefix := mapPrefix(kList, id)
	return r.Ascend(prefix, after(prefix), func(k, _ []byte) (bool, error) {
		if !l.pages[recordID(k)] {
			l.dead = append(l.dead, append([]byte{}, k...))
		}
		return true, nil
	})
}

// getInode reads a record. Its envelope may be cut.
func getInode(r kv.Reader, key []byte) (*inode, error) {
	rec, err := r.Get(key)
	if err != nil {
		return nil, notFound(err, objstore.IntegrityError)
	}
	return unmarshalInode(rec)
}

// getInode reads a record whole.
func (s *Store) getInode(r kv.Reader, key []byte) (*inode, error) {
	in, err := getInode(r, key)
	if err == nil {
		err = s.complete(r, in)
	}
	return in, err
}
