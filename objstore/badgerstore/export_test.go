package badgerstore

import (
	"fmt"

	"kmsfs/objstore/badgerstore/kv"
)

// SetFault lets changes fail after their function ran, when f answers an error.
func (s *Store) SetFault(f func() error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.fault = f
}

// Raw changes records behind the store's back.
func (s *Store) Raw(fn func(tx *kv.Tx) error) error { return s.db.Update(fn) }

// SetBackupFault lets changes of a backup's directory fail, before they are made, when f answers an error.
func (s *Store) SetBackupFault(f func(what string) error) { s.backupFault = f }

// SetBackupPack makes packs small.
func (s *Store) SetBackupPack(bytes int) { s.backupPack = bytes }

// Pinned reports that a backup holds a state.
func (s *Store) Pinned() bool { return s.pinned() }

// WrongPasts is an error if what is kept about the old versions of names is not what the records say.
func (s *Store) WrongPasts() error {
	return s.update("WrongPasts", func(t *txn) error {
		for at, some := range s.pasts {
			prefix := namesPrefix(at.hist, at.name)
			if at.name == allNames {
				prefix = key8(kNoncurrent, uint64(at.hist))
			}
			none, err := t.empty(prefix)
			if err != nil {
				return err
			}
			if none == some {
				return fmt.Errorf("name %q of history %d has old versions: %v, and not %v", at.name, at.hist, !none, some)
			}
		}
		return nil
	})
}
