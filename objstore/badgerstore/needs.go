package badgerstore

import (
	"bytes"
	"slices"

	"kmsfs/objstore/badgerstore/backup"
)

// needs are what records use, by content and slot, and which of it came.
type needs struct {
	all   []need
	first []uint64 // of each need: the bit of its first slot
	came  []uint64 // bits
	left  int64    // slots that did not come
}

func newNeeds(all []need) needs {
	n := needs{all: all, first: make([]uint64, len(all))}
	var bit uint64
	for i, x := range all {
		n.first[i] = bit
		bit += uint64(x.Count)
	}
	n.came, n.left = make([]uint64, bit/64+1), int64(bit)
	return n
}

// missing is how many slots and chunks did not come.
func (n *needs) missing() int64 { return n.left }

// take notes a chunk of the data table; false when it is not needed, or came before.
func (n *needs) take(r backup.Range) bool {
	i := n.find(r)
	return i < len(n.all) && n.all[i].Content == r.Content && n.all[i].Slot == r.Slot && n.all[i].Size == 0 && n.set(i, r.Slot)
}

// find is the first need that ends behind the beginning of r.
func (n *needs) find(r backup.Range) int {
	i, _ := slices.BinarySearchFunc(n.all, r, func(x need, r backup.Range) int {
		if c := bytes.Compare(x.Content[:], r.Content[:]); c != 0 {
			return c
		}
		if x.end() <= r.Slot {
			return -1
		}
		return 1
	})
	return i
}

// set notes that a slot of need i came; false if it had come before.
func (n *needs) set(i int, slot uint64) bool {
	bit := n.first[i] + slot - n.all[i].Slot
	word, mask := bit/64, uint64(1)<<(bit%64)
	if n.came[word]&mask != 0 {
		return false
	}
	n.came[word] |= mask
	n.left--
	return true
}

// parts calls fn for each row of slots of r that is needed.
func (n *needs) parts(r backup.Range, fn func(from, end uint64) error) error {
	stop := r.Slot + uint64(r.Count)
	for i := n.find(r); i < len(n.all) && n.all[i].Content == r.Content && n.all[i].Slot < stop; i++ {
		if n.all[i].Size != r.Size {
			continue
		}
		from, end := max(n.all[i].Slot, r.Slot), min(n.all[i].end(), stop)
		for slot := from; slot < end; slot++ {
			n.set(i, slot)
		}
		if err := fn(from, end); err != nil {
			return err
		}
	}
	return nil
}
