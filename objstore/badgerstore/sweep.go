package badgerstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/content"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

const (
	// sweepAfter is how many dead bytes of one content make its sweep urgent.
	sweepAfter = 16 << 20
	// freeEvery is when space that waits for the database to be durable is looked at.
	freeEvery = time.Second
	// sweepDust is how many bytes in single dead slots of one content make a sweep worth while.
	sweepDust = 1 << 20
	// sweepEvery is when contents with fewer are swept.
	sweepEvery = 30 * time.Second
	// maxLitter bounds the slots in a garbage record. Whoever has more has them in pages, where a sweep finds them.
	maxLitter = 1 << 15
	// maxCountedRefs bounds the cost of asking whether a content is shared.
	maxCountedRefs = 64
)

// countRefs counts the records that use a content, up to maxCountedRefs.
func countRefs(r kv.Reader, id seal.ContentID) (n int, err error) {
	prefix := refPrefix(id)
	err = r.Ascend(prefix, after(prefix), func(_, _ []byte) (bool, error) {
		n++
		return n < maxCountedRefs, nil
	})
	return n, err
}

func (s *Store) countRefs(id seal.ContentID) (n int, err error) {
	err = s.db.View(func(r kv.Reader) error {
		n, err = countRefs(r, id)
		return err
	})
	return n, err
}

// dropContent ends a record's use of a version's content; the last one takes the content away.
func (t *txn) dropContent(v *version, holder []byte) error {
	if v.content == noContent {
		return nil
	}
	t.Delete(refKey(v.content, holder))
	n, err := countRefs(t, v.content)
	if err != nil {
		return err
	}
	if n > 0 {
		return t.litter(v.content, v.chunks.inline)
	}
	if !t.condemn(v.content, 0) { // an open file may commit it yet: decided when it closes
		t.after(func() { t.s.doom(v.content) })
		return t.litter(v.content, v.chunks.inline)
	}
	return t.destroy(v.content, v.chunks.inline)
}

// leaveContent is dropContent where kept may say that this change gave the content to another record: then there is nothing to
// count.
func (t *txn) leaveContent(v *version, holder []byte, kept bool) error {
	if !kept {
		return t.dropContent(v, holder)
	}
	if v.content != noContent {
		t.Delete(refKey(v.content, holder))
	}
	return nil
}

// eachPage visits all page records of a content.
func eachPage(r kv.Reader, id seal.ContentID, fn func(k []byte, exts []extent) error) error {
	prefix := mapPrefix(kPage, id)
	return r.Ascend(prefix, after(prefix), func(k, rec []byte) (bool, error) {
		exts, err := unmarshalPage(rec)
		if err != nil {
			return false, err
		}
		return true, fn(append([]byte{}, k...), exts)
	})
}

// destroy removes all that a content has: chunks in the data table, those of exts and of every page, the pages, and its file
// once the transaction is through.
func (t *txn) destroy(id seal.ContentID, exts []extent) error {
	dead, err := t.litterOf(id)
	if err != nil {
		return err
	}
	small := map[uint64]bool{}
	addSmall(small, dead)
	bulk := addSmall(small, exts)
	err = eachPage(t, id, func(k []byte, exts []extent) error {
		bulk = addSmall(small, exts) || bulk
		t.Delete(k)
		return nil
	})
	if err == nil {
		err = t.deleteAll(mapPrefix(kList, id))
	}
	if err != nil {
		return err
	}
	for slot := range small {
		t.DeleteData(dataID(id, slot))
	}
	if bulk {
		t.Put(garbageKey(id), []byte{0})
		t.later = append(t.later, func() { t.s.removeContent(id) })
	} else {
		t.Delete(garbageKey(id))
	}
	return nil
}

// deleteAll deletes all keys with a prefix.
func (t *txn) deleteAll(prefix []byte) error {
	return t.Ascend(prefix, after(prefix), func(k, _ []byte) (bool, error) {
		t.Delete(append([]byte{}, k...))
		return true, nil
	})
}

// doom lets the last user of a content ask whether it is still needed.
func (s *Store) doom(id seal.ContentID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.holders[id]; h != nil {
		h.doomed = true
	}
}

// removeContent removes a content's file once that survives power loss, or leaves it to the last who reads it.
func (s *Store) removeContent(id seal.ContentID) {
	n, _ := s.allocated(id) // to know how much waits
	s.whenDurable(n, func() { s.removeFile(id) })
}

func (s *Store) removeFile(id seal.ContentID) {
	s.mu.Lock()
	if h := s.holders[id]; h != nil {
		h.doomed = true
		s.mu.Unlock()
		return
	}
	delete(s.garbage, id)
	delete(s.dust, id)
	s.mu.Unlock()
	if err := s.data.Remove(id); err != nil {
		s.log.Error("a content file was not removed; gc will", "content", id, "err", err)
		return
	}
	s.mu.Lock()
	s.removed = append(s.removed, id)
	s.mu.Unlock()
}

// litter notes slots of a content that became garbage but cannot be freed at once.
func (t *txn) litter(id seal.ContentID, exts []extent) error {
	old, err := t.Get(garbageKey(id))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	small := slices.DeleteFunc(slices.Clone(exts), func(e extent) bool { return !e.small() })
	if len(old) > 0 {
		r := reader{b: old}
		small = append(r.slots(), small...)
		if r.err != nil {
			return r.err
		}
	}
	w := writer{}
	w.slots(small[:min(len(small), maxLitter)])
	t.Put(garbageKey(id), w.b)
	n := bytesOf(exts)
	t.after(func() { t.s.noteGarbage(id, n) })
	return nil
}

// slots writes extents in any order: only the slots of the data table count.
func (w *writer) slots(exts []extent) {
	w.uint(uint64(len(exts)))
	for _, e := range exts {
		w.uint(e.slot &^ smallSlot)
	}
}

func (r *reader) slots() (exts []extent) {
	for range r.count(1) {
		exts = append(exts, extent{count: 1, slot: r.uint() | smallSlot, tail: 1})
	}
	return exts
}

func (s *Store) noteGarbage(id seal.ContentID, n int64) {
	s.mu.Lock()
	s.garbage[id] += n
	urgent := s.garbage[id] >= sweepAfter
	s.mu.Unlock()
	if urgent {
		select {
		case s.sweeps <- id:
		default: // the next round takes it
		}
	}
}

// punch gives slots back to the disk once that survives power loss. A failure costs space only, until the next sweep.
func (s *Store) punch(src *source, exts []extent) {
	id, size := src.id, src.slotSize()
	exts, dust := runsOf(exts)
	s.noteDust(id, dust)
	if len(exts) == 0 {
		return
	}
	s.whenDurable(bytesOf(exts), func() {
		for _, e := range exts {
			if err := s.data.Punch(id, size, e.slot, uint64(e.count)); err != nil && !errors.Is(err, content.ErrMissing) {
				s.log.Warn("space was not given back; gc will", "content", id, "err", err)
				return
			}
		}
	})
}

// punchFrom is how many bytes of plaintext side by side are worth a punch. The blocks of less are shared with neighbours, and a
// punch costs some disks a third of a millisecond.
const punchFrom = 64 << 10

// runsOf joins slots of content files that lie side by side, whatever chunks they had. dust is the bytes in runs that are
// too short to be punched.
func runsOf(exts []extent) (runs []extent, dust int64) {
	exts = slices.DeleteFunc(slices.Clone(exts), extent.small)
	slices.SortFunc(exts, func(a, b extent) int { return cmp.Compare(a.slot, b.slot) })
	for _, e := range exts {
		if n := len(runs); n > 0 && runs[n-1].slot+uint64(runs[n-1].count) == e.slot {
			runs[n-1].count += e.count
			continue
		}
		runs = append(runs, extent{count: e.count, slot: e.slot, tail: chunkSize})
	}
	return slices.DeleteFunc(runs, func(e extent) bool {
		short := e.bytes() < punchFrom
		if short {
			dust += e.bytes()
		}
		return short
	}), dust
}

// noteDust leaves dead slots to the sweep once there are enough of them.
func (s *Store) noteDust(id seal.ContentID, n int64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.dust[id] += n
	due := s.dust[id]
	if due < sweepDust {
		due = 0
	} else {
		delete(s.dust, id)
	}
	s.mu.Unlock()
	if due > 0 {
		s.noteGarbage(id, due)
	}
}

// abandon closes a source. If it was written to and not committed, what it wrote is garbage.
func (s *Store) abandon(src *source, dirty bool) {
	id := src.id
	src.close()
	if !dirty {
		return
	}
	n, err := s.countRefs(id)
	if err != nil {
		s.log.Warn("an abandoned content stays until gc", "content", id, "err", err)
		return
	}
	if n == 0 {
		if _, err := s.sweepUnused(id); err != nil {
			s.log.Warn("an abandoned content stays until gc", "content", id, "err", err)
		}
	} else {
		s.noteGarbage(id, sweepAfter/4)
	}
}

// sweepLoop gives space back in the background and removes expired versions.
func (s *Store) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	free := time.NewTicker(freeEvery)
	defer free.Stop()
	expire := time.NewTicker(time.Hour)
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-s.sweeps:
			if id == noContent {
				s.tryFree()
			} else {
				s.trySweep(id)
			}
		case <-free.C:
			s.freeDurable()
		case <-tick.C:
			s.sweepAll()
		case now := <-expire.C:
			if _, err := s.expire(ctx, now); err != nil {
				s.log.Error("noncurrent versions were not expired", "err", err)
			}
		}
	}
}

func (s *Store) trySweep(id seal.ContentID) {
	if _, err := s.sweep(id); err != nil {
		s.log.Error("a content was not swept", "content", id, "err", err)
	}
}

// sweepAll takes every content with garbage, and forgets the removed ones.
func (s *Store) sweepAll() {
	s.tryFree()
	s.forgetRemoved()
	s.mu.Lock()
	ids := make([]seal.ContentID, 0, len(s.garbage))
	for id := range s.garbage {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.trySweep(id)
	}
}

func (s *Store) forgetRemoved() {
	s.mu.Lock()
	ids := s.removed
	s.removed = nil
	s.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	err := s.update("Sweep", func(t *txn) error {
		for _, id := range ids {
			t.Delete(garbageKey(id))
		}
		return nil
	})
	if err != nil {
		s.log.Warn("records of removed contents stay until gc", "err", err)
	}
}

// sweep gives back every slot of a content that no version, draft or open file uses. It returns the bytes given back.
func (s *Store) sweep(id seal.ContentID) (freed int64, err error) {
	s.mu.Lock()
	delete(s.garbage, id)
	delete(s.dust, id)
	s.mu.Unlock()
	before, err := s.allocated(id)
	if err != nil {
		return 0, err
	}
	l, err := s.liveSlots(id)
	if err != nil {
		return 0, err
	}
	if l.refs == 0 {
		gone, err := s.sweepUnused(id)
		if !gone {
			before = 0
		}
		return before, err
	}
	if s.pinned() { // after the look: what is dead now may be part of a state that was pinned before
		s.noteGarbage(id, 1)
		return 0, nil
	}
	if before > 0 {
		if err := s.db.Settle(); err != nil { // power loss must not bring back records that use what is given back
			return 0, err
		}
		if err := s.punchAllBut(id, l); err != nil {
			return 0, err
		}
	}
	if err := s.sweepRecords(id, l); err != nil {
		return 0, err
	}
	now, err := s.allocated(id)
	return max(before-now, 0), err
}

func (s *Store) allocated(id seal.ContentID) (int64, error) {
	_, n, err := s.data.Stat(id)
	if errors.Is(err, content.ErrMissing) {
		return 0, nil
	}
	return n, err
}

// sweepUnused removes a content that no record uses, unless a file has it open.
func (s *Store) sweepUnused(id seal.ContentID) (gone bool, err error) {
	s.doom(id)
	err = s.update("Sweep", func(t *txn) error {
		if !t.condemn(id, 0) {
			return nil
		}
		if n, err := countRefs(t, id); err != nil || n > 0 {
			return err
		}
		t.after(func() { gone = true })
		return t.destroy(id, nil)
	})
	if err == nil && gone {
		s.removeContent(id)
	}
	return gone, err
}

// litterOf gives the slots of the data table that became garbage.
func (t *txn) litterOf(id seal.ContentID) ([]extent, error) { return litterOf(t, id) }

func litterOf(r getter, id seal.ContentID) ([]extent, error) {
	rec, err := r.Get(garbageKey(id))
	if err != nil {
		return nil, ignore(notFound(err, objstore.NoSuchNode), objstore.NoSuchNode)
	}
	rd := reader{b: rec}
	exts := rd.slots()
	return exts, rd.end()
}

// punchAllBut gives back the file slots below the limit that are not live.
func (s *Store) punchAllBut(id seal.ContentID, l *liveSet) error {
	slices.SortFunc(l.bulk, func(a, b extent) int { return cmp.Compare(a.slot, b.slot) })
	next := uint64(0)
	gap := func(end uint64) error {
		if end = min(end, l.limit); next >= end {
			return nil
		}
		return s.data.Punch(id, l.slotSize, next, end-next)
	}
	for _, e := range l.bulk {
		if err := gap(e.slot); err != nil {
			return err
		}
		next = max(next, e.slot+uint64(e.count))
	}
	return gap(l.limit)
}

// sweepRecords removes the page records and the chunks of the data table that are not live.
func (s *Store) sweepRecords(id seal.ContentID, l *liveSet) error {
	return s.update("Sweep", func(t *txn) error {
		exts, err := t.litterOf(id)
		if err != nil {
			return err
		}
		known := min(l.litter, len(exts))
		addSmall(l.lost, exts[:known])
		for slot := range l.lost {
			if !l.small[slot] {
				t.DeleteData(dataID(id, slot))
			}
		}
		for _, k := range l.dead {
			t.Delete(k)
		}
		t.Delete(garbageKey(id))
		if known < len(exts) { // became garbage meanwhile: it was judged as live
			return t.litter(id, exts[known:])
		}
		return nil
	})
}
