package kv

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// replayed is a segment with a valid header, as found at open.
type replayed struct {
	seg    *segment
	head   header
	keys   segmentKeys
	bytes  []byte
	before uint64 // records from here on belong to a later segment; 0: no limit
}

// replay reads the segments, gives the records after checkpoint to apply in order, and
// sorts the segments into live and free. It returns a CorruptError if records that were
// known to be durable are missing. A torn tail, and whatever follows it, is dropped.
//
// A record that is not known to be durable and refers to bytes which the disk does not have ends the replay like a torn
// tail: the disk wrote it before them, and nobody was told that it is durable.
//
// With clean, the store was closed in order: all records are in badger, and damage to the
// journal is of no matter.
func (j *journal) replay(segs []*segment, checkpoint uint64, clean bool, apply func(lsn uint64, ops *opSet)) error {
	found, err := j.readHeaders(segs)
	if err != nil {
		return err
	}
	next, synced := checkpoint+1, checkpoint
	if !clean {
		if synced, err = newestSynced(found, checkpoint); err != nil {
			return err
		}
	}
	for _, r := range found {
		j.sequence = max(j.sequence, r.head.sequence())
		r.seg.first, r.seg.last = r.head.first(), r.head.first()-1
		if clean || (r.before != 0 && r.before <= checkpoint+1) {
			continue // all of it is in badger
		}
		if next, err = r.replay(next, func(lsn uint64, ops *opSet) bool {
			if lsn > synced && !j.present(ops) {
				return false
			}
			apply(lsn, ops)
			return true
		}); err != nil {
			return err
		}
	}
	if next <= synced {
		return &CorruptError{What: "journal", Err: fmt.Errorf(
			"record %d was durable but cannot be read, newest known durable record is %d", next, synced)}
	}
	j.lsn.Store(next - 1)
	j.synced.Store(checkpoint)
	return j.sortSegments(segs, found, checkpoint)
}

// present asks for everything that a transaction depended on.
func (j *journal) present(ops *opSet) bool {
	for _, ref := range ops.deps {
		if !j.intact(ref) {
			return false
		}
	}
	return true
}

// newestSynced is the newest record that any header or record knows to be durable.
func newestSynced(found []*replayed, checkpoint uint64) (synced uint64, err error) {
	synced = checkpoint
	for _, r := range found {
		if r.before != 0 && r.before <= checkpoint+1 {
			continue
		}
		synced = max(synced, r.head.synced())
		if r.bytes, err = r.seg.read(r.seg.size); err != nil {
			return 0, err
		}
		for off := recordsStart; ; {
			rec, ok := r.find(&off)
			if !ok || r.before != 0 && rec.lsn >= r.before {
				break
			}
			synced = max(synced, rec.synced)
		}
	}
	return synced, nil
}

// readHeaders returns the segments that have a valid header, oldest first.
func (j *journal) readHeaders(segs []*segment) ([]*replayed, error) {
	var found []*replayed
	for _, seg := range segs {
		pages, err := seg.read(recordsStart)
		if err != nil {
			return nil, err
		}
		for i := range headerCopies {
			h, k, err := openHeader(pages[i*pageSize:], j.secret)
			if err == nil {
				found = append(found, &replayed{seg: seg, head: h, keys: k})
				break
			}
		}
	}
	sort.Slice(found, func(a, b int) bool { return found[a].head.sequence() < found[b].head.sequence() })
	for i := len(found) - 2; i >= 0; i-- {
		found[i].before = found[i+1].head.first()
		if b := found[i+1].before; b != 0 {
			found[i].before = min(found[i].before, b)
		}
	}
	return found, nil
}

// replay applies the segment's records from next on and returns the LSN wanted after it. Records after a gap, or after one
// that apply refuses, are not applied.
func (r *replayed) replay(next uint64, apply func(uint64, *opSet) bool) (uint64, error) {
	defer func() { r.bytes = nil }()
	for off := recordsStart; ; {
		rec, ok := r.find(&off)
		if !ok {
			return next, nil
		}
		if r.before != 0 && rec.lsn >= r.before {
			return next, nil
		}
		r.seg.last = max(r.seg.last, rec.lsn)
		if rec.lsn != next {
			continue
		}
		ops, err := decodeOps(rec.payload)
		if err != nil {
			return next, &CorruptError{What: "journal", Err: fmt.Errorf("record %d: %w", rec.lsn, err)}
		}
		if !apply(rec.lsn, ops) {
			return next, nil
		}
		next++
	}
}

type record struct {
	lsn, synced uint64
	payload     []byte
}

// find returns the first valid record at or after off and moves off behind it. Behind a
// damaged record it searches every aligned offset, since its length cannot be trusted.
func (r *replayed) find(off *int) (record, bool) {
	for ; *off+recordHead+tagSize <= len(r.bytes); *off += recordAlign {
		rec, size, ok := r.parse(r.bytes[*off:])
		if ok {
			*off += size
			return rec, true
		}
	}
	return record{}, false
}

// parse opens the record at the start of b.
func (r *replayed) parse(b []byte) (rec record, size int, ok bool) {
	if binary.BigEndian.Uint32(b[4:]) != recordMagic {
		return rec, 0, false
	}
	sealed := int(binary.BigEndian.Uint32(b))
	if sealed < tagSize || sealed > len(b)-recordHead {
		return rec, 0, false
	}
	rec.lsn, rec.synced = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	payload, err := r.keys.aead.Open(nil, recordNonce(rec.lsn), b[recordHead:recordHead+sealed], b[:recordHead])
	if err != nil {
		return rec, 0, false
	}
	rec.payload = payload
	return rec, recordSize(sealed - tagSize), true
}

// sortSegments makes the segments with records behind the checkpoint live, the rest free.
// None is written again before it was recycled.
func (j *journal) sortSegments(segs []*segment, found []*replayed, checkpoint uint64) error {
	live := make(map[*segment]bool)
	for _, r := range found {
		r.seg.last = min(r.seg.last, j.lsn.Load())
		if r.seg.last >= r.seg.first && r.seg.last > checkpoint {
			live[r.seg] = true
			r.seg.end = r.seg.size
			j.live = append(j.live, r.seg)
		}
	}
	for _, s := range segs {
		if live[s] {
			continue
		}
		if err := s.shrink(j.segBytes); err != nil {
			return err
		}
		j.free = append(j.free, s)
	}
	return nil
}
