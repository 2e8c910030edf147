package badgerstore

import (
	"context"

	"kmsfs/objstore/badgerstore/kv"
)

// Records keeps records of the local key provider, or of the users, in the store's database, so that a backup of the store
// has them. Those whose they are have sealed
// them where they are secret.
type Records struct {
	s    *Store
	kind byte // kKMS, kUser or kExternal
}

// Records gives the place of the key provider's records.
func (s *Store) Records() Records { return Records{s, kKMS} }

// UserRecords gives the place of the users' records.
func (s *Store) UserRecords() Records { return Records{s, kUser} }

// ExternalRecords gives the place of what the store knows of keys that are elsewhere. It is no secret, and not sealed.
func (s *Store) ExternalRecords() Records { return Records{s, kExternal} }

func (r Records) key(name string) []byte { return append([]byte{r.kind}, name...) }

// Load reads all records.
func (r Records) Load() (map[string][]byte, error) {
	out := map[string][]byte{}
	err := r.s.view("LoadKeys", func(rd kv.Reader) error {
		prefix := r.key("")
		return rd.Ascend(prefix, after(prefix), func(k, v []byte) (bool, error) {
			out[string(k[1:])] = append([]byte{}, v...)
			return true, nil
		})
	})
	return out, err
}

// Save is atomic and survives power loss.
func (r Records) Save(puts map[string][]byte, deletes []string) error {
	err := r.s.update("SaveKeys", func(t *txn) error {
		for name, rec := range puts {
			t.Put(r.key(name), rec)
		}
		for _, name := range deletes {
			t.Delete(r.key(name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.s.Sync(context.Background())
}
