package badgerstore

// SetFault lets changes fail after their function ran, when f answers an error.
func (s *Store) SetFault(f func() error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.fault = f
}
