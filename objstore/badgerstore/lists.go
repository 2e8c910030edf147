package badgerstore

import (
	"encoding/binary"
	"strings"

	"kmsfs/objstore/badgerstore/kv"
)

// The counter listCounter tells whether nodes may have access control lists: the first number of a counter was never given
// out, so none has as long as that is next. A store without the record may have some.
const (
	listCounter = "acl"
	noLists     = firstNumber

	listPrefix = "system.posix_acl_" // of the attributes
)

// MayHaveACLs is objstore.ACLKnower's.
func (s *Store) MayHaveACLs() bool { return !s.listless.Load() }

// readLists is at the start.
func (s *Store) readLists() error {
	return s.db.View(func(r kv.Reader) error {
		rec, err := r.Get(counterKey(listCounter))
		s.listless.Store(err == nil && len(rec) == 8 && binary.BigEndian.Uint64(rec) == noLists)
		return nil // one that is damaged is left to check --repair
	})
}

// beginWithoutLists is for a store that has no node yet.
func (t *txn) beginWithoutLists() {
	t.Put(counterKey(listCounter), binary.BigEndian.AppendUint64(nil, noLists))
	t.after(func() { t.s.listless.Store(true) })
}

// noteLists counts the first access control list.
func (t *txn) noteLists() error {
	if !t.s.listless.Load() {
		return nil
	}
	for _, in := range t.edited {
		if in == nil || !in.hasList() {
			continue
		}
		t.after(func() { t.s.listless.Store(false) })
		_, err := t.take(listCounter)
		return err
	}
	return nil
}

func (in *inode) hasList() bool {
	for name := range in.Xattrs {
		if strings.HasPrefix(name, listPrefix) {
			return true
		}
	}
	return false
}
