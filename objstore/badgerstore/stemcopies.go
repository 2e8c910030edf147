package badgerstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// stems writes each stem that stands in one of its places only, or in memory, where it is missing.
func (m *mender) stems(t *txn) error {
	known := m.s.stems.all()
	var have [2]map[uint64]bool
	for i, kind := range stemPlaces() {
		have[i] = map[uint64]bool{}
		err := t.Ascend([]byte{kind}, []byte{kind + 1}, func(k, rec []byte) (bool, error) {
			whole, err := unmarshalStem(rec)
			no := binary.BigEndian.Uint64(k[1:])
			known[no], have[i][no] = whole, true
			return true, err
		})
		if err != nil {
			return err
		}
	}
	for no, whole := range known {
		for i, kind := range stemPlaces() {
			if !have[i][no] {
				t.Put(stemKey(kind, no), whole.marshal())
				m.mended("", "", "a record that many data keys need (stem %d) was lost and is written anew", no)
			}
		}
	}
	return nil
}

// stems checks that each stem stands in both places, also one that only memory has: it is there for a repair.
func (c *checker) stems() error {
	numbers := map[uint64]bool{}
	for no := range c.s.stems.all() {
		numbers[no] = true
	}
	for _, kind := range stemPlaces() {
		err := c.each(kind, func(_ kv.Reader, k, _ []byte) error {
			numbers[binary.BigEndian.Uint64(k[1:])] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	for no := range numbers {
		if err := c.s.stemIsWhole(no); err != nil {
			c.found(objstore.Damage{What: fmt.Sprintf("a record that many data keys need (stem %d) lacks its copy, which check --repair writes again: %v", no, err)})
		}
	}
	return nil
}

func (s *Store) stemIsWhole(no uint64) error {
	return s.db.View(func(r kv.Reader) error {
		var recs [2][]byte
		for i, kind := range stemPlaces() {
			var err error
			if recs[i], err = r.Get(stemKey(kind, no)); err == nil {
				_, err = unmarshalStem(recs[i])
			}
			if err != nil {
				return err
			}
		}
		if !bytes.Equal(recs[0], recs[1]) {
			return errors.New("both differ")
		}
		return nil
	})
}
