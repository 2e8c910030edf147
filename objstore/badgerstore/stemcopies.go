package badgerstore

import "encoding/binary"

// stems writes each stem that stands in one of its places only into the other one, too.
func (m *mender) stems(t *txn) error {
	var in [2]map[uint64]bool
	for i, kind := range stemKinds() {
		in[i] = map[uint64]bool{}
		err := t.Ascend([]byte{kind}, []byte{kind + 1}, func(k, _ []byte) (bool, error) {
			in[i][binary.BigEndian.Uint64(k[1:])] = true
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	for i, kind := range stemKinds() {
		for no := range in[1-i] {
			if in[i][no] {
				continue
			}
			whole, err := readStem(t, no)
			if err != nil {
				return err
			}
			t.Put(stemKey(kind, no), whole.marshal())
			m.mended("", "", "a record that many data keys need (stem %d) was lost and is written anew from its copy", no)
		}
	}
	return nil
}
