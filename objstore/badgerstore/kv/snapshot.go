package kv

import (
	"errors"
	"maps"
	"sync"
)

// Snapshot is a state of both tables that stays readable until Close, however long that takes. While it is open, the disk
// keeps what is replaced, and the memory of up to three overlays is held. It is safe for concurrent use.
type Snapshot struct {
	*snapshot
	data  map[string]dataEntry // of the active overlay then
	close sync.Once
}

// Snapshot takes the present state: what every Update that returned before has left. DB.Close waits for its Close.
func (db *DB) Snapshot() (*Snapshot, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.base == nil {
		return nil, ErrClosed
	}
	db.snapshots.Add(1)
	db.base.refs.Add(1)
	s := &snapshot{db: db, active: db.active, frozen: db.frozen, base: db.base, seq: db.applied}
	return &Snapshot{snapshot: s, data: maps.Clone(db.active.data)}, nil
}

// LSN is the number of the newest Update that the snapshot sees.
func (s *Snapshot) LSN() uint64 { return s.seq }

// GetData is DB.GetData as of the snapshot.
func (s *Snapshot) GetData(id []byte) ([]byte, error) {
	e, ok := s.data[string(id)]
	if !ok && s.frozen != nil {
		e, ok = s.frozen.data[string(id)] // not written any more
	}
	if !ok {
		return s.db.packed(s.base, id)
	}
	if e.del {
		return nil, ErrNotFound
	}
	return e.val, nil
}

// Close lets go of the state. Further calls do nothing.
func (s *Snapshot) Close() {
	s.close.Do(func() {
		s.base.release()
		s.db.snapshots.Add(-1)
	})
}

// Each visits every key in order. Values that do not authenticate are told to damaged, and passed over.
func (s *Snapshot) Each(fn func(k, v []byte) error, damaged func(*CorruptError)) error {
	for from, to := []byte{}, []byte(nil); ; {
		err := s.Ascend(from, to, func(k, v []byte) (bool, error) {
			from = append(append([]byte{}, k...), 0)
			return true, fn(k, v)
		})
		var corrupt *CorruptError
		switch {
		case err == nil && to == nil:
			return nil
		case err == nil:
			from, to = append(to, 0), nil // behind the damaged value
		case to == nil && errors.As(err, &corrupt) && corrupt.Key != nil:
			damaged(corrupt)
			to = append([]byte{}, corrupt.Key...) // the layers above badger may have keys before it
		default:
			return err
		}
	}
}
