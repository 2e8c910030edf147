package kv

import "fmt"

// Reader reads keys in byte order. Keys and values are read-only and stay valid.
type Reader interface {
	// Get returns the value of key. ErrNotFound if there is none, CorruptError if it does
	// not authenticate.
	Get(key []byte) ([]byte, error)

	// Ascend calls fn for from ≤ key < to in order, until fn returns false or an error.
	// A nil to is the end.
	Ascend(from, to []byte, fn func(k, v []byte) (bool, error)) error

	// Descend calls fn for to ≤ key < from in falling order, until fn returns false or an
	// error. A nil from is the end, a nil to the beginning.
	Descend(from, to []byte, fn func(k, v []byte) (bool, error)) error
}

// snapshot is the state after transaction seq.
type snapshot struct {
	db             *DB
	active, frozen *overlay
	base           *base
	seq            uint64
}

func (s *snapshot) Get(key []byte) ([]byte, error) {
	if e := s.inOverlay(key); e != nil {
		if e.del {
			return nil, ErrNotFound
		}
		return e.val, nil
	}
	s.db.touched()
	return get(s.base.meta, s.db.sealer, prefixed(prefixMeta, key))
}

func (s *snapshot) inOverlay(key []byte) *entry {
	s.db.mu.RLock()
	defer s.db.mu.RUnlock()
	if e := s.active.get(key, s.seq); e != nil {
		return e
	}
	if s.frozen == nil {
		return nil
	}
	return s.frozen.get(key, s.seq)
}

func (s *snapshot) Ascend(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return s.scan(nil, bounds{from, to, false}, fn)
}

func (s *snapshot) Descend(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return s.scan(nil, bounds{to, from, true}, fn)
}

// Tx is a transaction under way. It reads its own writes. It must not be used after fn of
// Update returned, nor by several goroutines. Put and the like report no error: Update
// fails if one of them was out of bounds.
type Tx struct {
	*snapshot
	ops  *opSet
	err  error
	done bool
}

// Get is as in Reader.
func (tx *Tx) Get(key []byte) ([]byte, error) {
	if it, ok := tx.ops.tree.Get(item{key: key}); ok {
		if it.e.del {
			return nil, ErrNotFound
		}
		return it.e.val, nil
	}
	return tx.snapshot.Get(key)
}

// Ascend is as in Reader. Keys that fn writes into the range may or may not be seen.
func (tx *Tx) Ascend(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return tx.scan(tx.ops.tree, bounds{from, to, false}, fn)
}

// Descend is as in Reader. Keys that fn writes into the range may or may not be seen.
func (tx *Tx) Descend(from, to []byte, fn func(k, v []byte) (bool, error)) error {
	return tx.scan(tx.ops.tree, bounds{to, from, true}, fn)
}

// Put sets key to a copy of val.
func (tx *Tx) Put(key, val []byte) {
	if tx.check(key, val) {
		k, v := copyPair(key, val)
		tx.ops.set(k, &entry{val: v})
	}
}

// Delete removes key, if it exists.
func (tx *Tx) Delete(key []byte) {
	if tx.check(key, nil) {
		k, _ := copyPair(key, nil)
		tx.ops.set(k, &entry{del: true})
	}
}

// PutData stores a copy of val under id, which must be new: an id is never used again, not
// even after DeleteData.
func (tx *Tx) PutData(id, val []byte) {
	if tx.check(id, val) {
		tx.ops.setData(dataOp{string(id), dataEntry{val: append(make([]byte, 0, len(val)), val...)}})
	}
}

// DeleteData removes the value of id, if it exists.
func (tx *Tx) DeleteData(id []byte) {
	if tx.check(id, nil) {
		tx.ops.setData(dataOp{string(id), dataEntry{del: true}})
	}
}

// Depend says that the transaction refers to bytes outside of the store that may not be durable yet; ref is for
// [Options.Intact]. A transaction whose journal record the disk wrote before those bytes is not recovered after power loss,
// nor is any later one: none of them was acknowledged by Sync.
func (tx *Tx) Depend(ref []byte) {
	if tx.check(ref, nil) {
		tx.ops.depend(append([]byte(nil), ref...))
	}
}

func (tx *Tx) check(key, val []byte) bool {
	switch {
	case tx.done:
		panic("kv: transaction used after its function returned")
	case len(key) == 0 || len(key) > MaxKey:
		tx.err = fmt.Errorf("%w: key of %d bytes, allowed are 1 to %d", ErrTooLarge, len(key), MaxKey)
	case len(val) > MaxValue:
		tx.err = fmt.Errorf("%w: value of %d bytes, allowed are %d", ErrTooLarge, len(val), MaxValue)
	default:
		return true
	}
	return false
}

// copyPair copies both into one allocation.
func copyPair(key, val []byte) (k, v []byte) {
	b := make([]byte, len(key)+len(val))
	n := copy(b, key)
	copy(b[n:], val)
	return b[:n:n], b[n:]
}
