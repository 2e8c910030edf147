package kv

import (
	"bytes"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/btree"
)

// bounds is a range of keys: lo ≤ key < hi; a nil hi is the end.
type bounds struct {
	lo, hi  []byte
	reverse bool
}

// cursor walks one layer in the scan's direction.
type cursor interface {
	// next moves on and returns the key and its state; ok is false at the end.
	next() (key []byte, e scanned, ok bool, err error)
}

// scanned is a key's state in one layer.
type scanned struct {
	val []byte
	del bool
}

// scan merges the layers, newest first: tx (may be nil), the overlays, badger.
func (s *snapshot) scan(tx *btree.BTreeG[item], b bounds, fn func(k, v []byte) (bool, error)) error {
	if b.hi != nil && bytes.Compare(b.lo, b.hi) >= 0 {
		return nil
	}
	m := merger{reverse: b.reverse}
	if tx != nil {
		m.add(&treeCursor{tree: tx, b: b, seq: ^uint64(0)})
	}
	m.add(&treeCursor{tree: s.active.tree, b: b, seq: s.seq, db: s.db})
	if s.frozen != nil {
		m.add(&treeCursor{tree: s.frozen.tree, b: b, seq: s.seq, db: s.db})
	}
	s.db.touched()
	bc, err := newBadgerCursor(s.base.meta, s.db.sealer, b)
	if err != nil {
		return err
	}
	defer bc.it.Close()
	m.add(bc)
	return m.run(fn)
}

// merger yields each key once, from the newest layer that has it.
type merger struct {
	reverse bool
	layers  []layer
}

type layer struct {
	cursor cursor
	key    []byte
	scanned
	ok bool
}

func (m *merger) add(c cursor) { m.layers = append(m.layers, layer{cursor: c}) }

func (m *merger) run(fn func(k, v []byte) (bool, error)) error {
	for i := range m.layers {
		if err := m.layers[i].step(); err != nil {
			return err
		}
	}
	for {
		best := m.best()
		if best < 0 {
			return nil
		}
		l := m.layers[best]
		if err := m.skip(l.key); err != nil {
			return err
		}
		if l.del {
			continue
		}
		if more, err := fn(l.key, l.val); err != nil || !more {
			return err
		}
	}
}

// best returns the layer with the next key, the newest among equals, or -1 at the end.
func (m *merger) best() int {
	best := -1
	for i := range m.layers {
		l := &m.layers[i]
		if !l.ok {
			continue
		}
		if best >= 0 {
			c := bytes.Compare(l.key, m.layers[best].key)
			if c == 0 || (c > 0) != m.reverse {
				continue
			}
		}
		best = i
	}
	return best
}

// skip moves every layer that stands at key.
func (m *merger) skip(key []byte) error {
	for i := range m.layers {
		l := &m.layers[i]
		if l.ok && bytes.Equal(l.key, key) {
			if err := l.step(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *layer) step() (err error) {
	l.key, l.scanned, l.ok, err = l.cursor.next()
	return err
}

// treeCursor reads a tree in growing bites, each under the lock, so that a long scan does
// not hold up writers.
type treeCursor struct {
	tree *btree.BTreeG[item]
	b    bounds
	seq  uint64
	db   *DB // nil: no lock needed

	bite    []bitten
	at      int
	size    int
	started bool
	end     bool
}

type bitten struct {
	key []byte
	scanned
}

func (c *treeCursor) next() ([]byte, scanned, bool, error) {
	for c.at == len(c.bite) {
		if c.end {
			return nil, scanned{}, false, nil
		}
		c.fill()
	}
	b := c.bite[c.at]
	c.at++
	return b.key, b.scanned, true, nil
}

func (c *treeCursor) fill() {
	if c.db != nil {
		c.db.mu.RLock()
		defer c.db.mu.RUnlock()
	}
	c.size = min(max(8, 4*c.size), 512)
	c.bite, c.at, c.end = c.bite[:0], 0, true
	if c.b.reverse {
		c.descend()
	} else {
		c.ascend()
	}
}

func (c *treeCursor) ascend() {
	from := c.b.lo
	c.tree.AscendGreaterOrEqual(item{key: from}, func(it item) bool {
		if c.started && bytes.Equal(it.key, from) {
			return true
		}
		if c.b.hi != nil && bytes.Compare(it.key, c.b.hi) >= 0 {
			return false
		}
		c.b.lo = it.key
		return c.take(it)
	})
	c.started = true
}

func (c *treeCursor) descend() {
	from := c.b.hi
	visit := func(it item) bool {
		if from != nil && bytes.Equal(it.key, from) {
			return true
		}
		if bytes.Compare(it.key, c.b.lo) < 0 {
			return false
		}
		c.b.hi = it.key
		return c.take(it)
	}
	if from == nil {
		c.tree.Descend(visit)
	} else {
		c.tree.DescendLessOrEqual(item{key: from}, visit)
	}
}

// take adds the visible version and reports whether the bite may grow.
func (c *treeCursor) take(it item) bool {
	if e := it.e.at(c.seq); e != nil {
		c.bite = append(c.bite, bitten{it.key, scanned{e.val, e.del}})
	}
	if len(c.bite) >= c.size {
		c.end = false
		return false
	}
	return true
}

// badgerCursor walks badger; badger hides its own tombstones.
type badgerCursor struct {
	it      *badger.Iterator
	sealer  *sealer
	b       bounds // with prefix; hi is never nil
	started bool
}

func newBadgerCursor(txn *badger.Txn, s *sealer, b bounds) (c *badgerCursor, err error) {
	defer recovered("meta", &err)
	lo, hi := prefixed(prefixMeta, b.lo), []byte{prefixMeta + 1}
	if b.hi != nil {
		hi = prefixed(prefixMeta, b.hi)
	}
	o := badger.IteratorOptions{Reverse: b.reverse, Prefix: commonPrefix(lo, hi)}
	return &badgerCursor{it: txn.NewIterator(o), sealer: s, b: bounds{lo, hi, b.reverse}}, nil
}

// commonPrefix lets badger pick the tables that can hold a key between lo and hi.
func commonPrefix(lo, hi []byte) []byte {
	n := 0
	for n < len(lo) && n < len(hi) && lo[n] == hi[n] {
		n++
	}
	return lo[:n:n]
}

func (c *badgerCursor) next() (key []byte, e scanned, ok bool, err error) {
	defer recovered("meta", &err)
	c.move()
	if !c.it.Valid() {
		return nil, e, false, nil
	}
	it := c.it.Item()
	key = append([]byte{}, it.Key()...)
	if bytes.Compare(key, c.b.lo) < 0 || bytes.Compare(key, c.b.hi) >= 0 {
		return nil, e, false, nil
	}
	err = it.Value(func(sealed []byte) error {
		e.val, err = c.sealer.open(nil, sealed, key)
		return err
	})
	if err != nil {
		return nil, e, false, corruptKey(key, err)
	}
	return key[1:], e, true, nil
}

func (c *badgerCursor) move() {
	if c.started {
		c.it.Next()
		return
	}
	c.started = true
	if !c.b.reverse {
		c.it.Seek(c.b.lo)
		return
	}
	c.it.Seek(c.b.hi)
	if c.it.Valid() && bytes.Equal(c.it.Item().Key(), c.b.hi) {
		c.it.Next()
	}
}
