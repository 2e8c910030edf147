package badgerstore

import "kmsfs/objstore/badgerstore/kv"

// SetFault lets changes fail after their function ran, when f answers an error.
func (s *Store) SetFault(f func() error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.fault = f
}

// Raw changes records behind the store's back.
func (s *Store) Raw(fn func(tx *kv.Tx) error) error { return s.db.Update(fn) }
