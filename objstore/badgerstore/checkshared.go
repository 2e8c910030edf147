package badgerstore

import (
	"math"

	"kmsfs/objstore/seal"
)

// shared remembers which chunks of contents that several versions use were found whole, so that check reads each once
// and not once a version: per content and slot the chunk's index + 1, at 4 bytes a chunk.
type shared map[seal.ContentID][]uint32

// maxSharedSlots bounds the memory for one content; chunks behind are read for each version.
const maxSharedSlots = 1 << 26

// add makes a content one that is remembered.
func (s shared) add(id seal.ContentID) {
	if _, ok := s[id]; !ok {
		s[id] = nil
	}
}

// slotFor is where chunk i of e is remembered. Chunks cut short are not: how much of a slot they use may differ.
func slotFor(e extent, i int64) (slot uint64, ok bool) {
	slot = e.slot + uint64(i-e.index)
	return slot, e.bulk() && slot < maxSharedSlots && i < math.MaxUint32 && e.length(i) == chunkSize
}

// known reports that chunk i of e was found whole before.
func (s shared) known(id seal.ContentID, e extent, i int64) bool {
	slot, ok := slotFor(e, i)
	return ok && slot < uint64(len(s[id])) && s[id][slot] == uint32(i+1)
}

// learn notes that chunk i of e is whole.
func (s shared) learn(id seal.ContentID, e extent, i int64) {
	seen, remembered := s[id]
	slot, ok := slotFor(e, i)
	if !remembered || !ok {
		return
	}
	if n := slot + 1; n > uint64(len(seen)) {
		seen = append(seen, make([]uint32, n-uint64(len(seen)))...)
		s[id] = seen
	}
	seen[slot] = uint32(i + 1)
}
