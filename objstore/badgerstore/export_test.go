package badgerstore

import (
	"fmt"

	"kmsfs/objstore"
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

// Bound is how many files of a bucket a rename of a directory may have to wrap data keys of; -1: not known.
func (s *Store) Bound(name string) int64 {
	b, err := s.bucket(name)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usageOf(b.id).bound
}

// BoundTo is the ARN that a file's data key is wrapped for.
func (s *Store) BoundTo(ino objstore.Ino) (string, error) {
	in, err := s.cachedInode(ino)
	if err != nil {
		return "", err
	}
	return in.ver.env.ResourceARN, nil
}

// WrongUsage is an error if the counts of a bucket, in memory or on disk, are not what its records give. A number of bound files
// that is not known is right.
func (s *Store) WrongUsage() error {
	return s.update("WrongUsage", func(t *txn) error {
		all, err := t.recount(func() error { return nil })
		if err != nil {
			return err
		}
		for id, b := range s.byID {
			rec, err := readUsage(t, id)
			if err != nil {
				return err
			}
			want, mem := all[id], t.usageOf(id)
			if mem.bound == boundUnknown {
				want.bound = boundUnknown
			}
			if mem != want || rec != mem {
				return fmt.Errorf("bucket %s: %+v is counted, %+v on disk, %+v are there", b.Name, mem, rec, want)
			}
		}
		return nil
	})
}
