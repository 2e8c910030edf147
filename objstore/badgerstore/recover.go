package badgerstore

import (
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
	"kmsfs/objstore/seal"
)

// recover brings a store that was not closed to rest: what was fsynced becomes content, files that were unlinked
// while open go, and garbage is noted for the sweep.
func (s *Store) recover() error {
	drafts, err := s.inosWith(kDraft)
	if err != nil {
		return err
	}
	for _, ino := range drafts {
		if err := s.promoteDraft(ino); objstore.CodeOf(err) == objstore.IntegrityError {
			s.log.Error("what was fsynced is damaged and left to check --repair", "ino", ino, "err", err)
			continue
		} else if err != nil {
			return err
		}
		s.log.Info("recovered what was fsynced and not closed", "ino", ino)
	}
	orphans, err := s.inosWith(kOrphan)
	if err != nil {
		return err
	}
	for _, ino := range orphans {
		if err := s.dropOrphan(ino); objstore.CodeOf(err) == objstore.IntegrityError {
			s.log.Error("an unlinked file is damaged and left to check --repair", "ino", ino, "err", err)
		} else if err != nil {
			return err
		}
	}
	return s.loadGarbage()
}

func (s *Store) inosWith(prefix byte) (out []objstore.Ino, err error) {
	err = s.db.View(func(r kv.Reader) error {
		return r.Ascend([]byte{prefix}, []byte{prefix + 1}, func(k, _ []byte) (bool, error) {
			out = append(out, inoOf(k))
			return true, nil
		})
	})
	return out, err
}

func (s *Store) dropOrphan(ino objstore.Ino) error {
	return s.update("Recover", func(t *txn) error {
		t.Delete(orphanKey(ino))
		in, err := t.inode(ino)
		if err != nil {
			return ignore(err, objstore.NoSuchNode)
		}
		if in.Nlink > 0 {
			return nil
		}
		return t.purge(in, false)
	})
}

func (s *Store) loadGarbage() error {
	return s.db.View(func(r kv.Reader) error {
		return r.Ascend([]byte{kGarbage}, []byte{kGarbage + 1}, func(k, _ []byte) (bool, error) {
			s.garbage[seal.ContentID(k[1:])] = 1
			return true, nil
		})
	})
}
