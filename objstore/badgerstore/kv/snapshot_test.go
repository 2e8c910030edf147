package kv

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/stretchr/testify/require"
)

// all reads a whole snapshot.
func all(t *testing.T, s *Snapshot) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, s.Each(func(k, v []byte) error {
		out[string(k)] = string(v)
		return nil
	}, func(e *CorruptError) { out["damaged "+string(e.Key)] = "" }))
	return out
}

// A snapshot shows one state of both tables, wherever the values lay then, and whatever becomes of them: replaced, removed,
// moved to badger, compacted.
func TestSnapshotStays(t *testing.T) {
	db := mustOpen(t, tempDir(t), small())
	defer db.Close()
	data := func(id, val string) {
		require.NoError(t, db.Update(func(tx *Tx) error { tx.PutData([]byte(id), []byte(val)); return nil }))
	}
	put(t, db, "in badger", "1", "gone", "1")
	data("badger", "1")
	require.NoError(t, db.Checkpoint())
	put(t, db, "in overlay", "1", "changed", "1")
	data("overlay", "1")
	s, err := db.Snapshot()
	require.NoError(t, err)
	want := map[string]string{"in badger": "1", "gone": "1", "in overlay": "1", "changed": "1"}
	same := func() {
		require.Equal(t, want, all(t, s))
		for _, id := range []string{"badger", "overlay"} {
			v, err := s.GetData([]byte(id))
			require.NoError(t, err, id)
			require.Equal(t, "1", string(v))
		}
		_, err := s.GetData([]byte("later"))
		require.ErrorIs(t, err, ErrNotFound)
	}
	same()
	require.NoError(t, db.Update(func(tx *Tx) error {
		tx.Delete([]byte("gone"))
		tx.Put([]byte("changed"), []byte("2"))
		tx.Put([]byte("new"), []byte("2"))
		tx.PutData([]byte("later"), []byte("2"))
		tx.DeleteData([]byte("badger"))
		tx.DeleteData([]byte("overlay"))
		return nil
	}))
	same()
	for range 2 {
		require.NoError(t, db.Checkpoint())
		same()
		require.NoError(t, db.Compact(t.Context()))
		same()
		put(t, db, "gone", "3")
	}
	s.Close()
	s.Close()
	require.Zero(t, db.snapshots.Load())
}

// Each passes over what does not authenticate, and over nothing else: also keys that lie in memory before the damaged one.
func TestSnapshotEachPassesOverDamage(t *testing.T) {
	db := mustOpen(t, tempDir(t), small())
	defer db.Close()
	want := map[string]string{"damaged k2": "", "damaged k5": ""}
	for i := range 9 {
		put(t, db, fmt.Sprintf("k%d", i), "old")
		if i != 2 && i != 5 {
			want[fmt.Sprintf("k%d", i)] = "old"
		}
	}
	require.NoError(t, db.Checkpoint())
	require.NoError(t, db.meta.db.Update(func(txn *badger.Txn) error {
		junk := bytes.Repeat([]byte{1}, 100)
		return errors.Join(txn.Set([]byte("\x01k2"), junk), txn.Set([]byte("\x01k5"), junk))
	}))
	db.renewBase()
	for _, k := range []string{"k1x", "k1y", "k2x", "k4x", "k9"} {
		put(t, db, k, "new")
		want[k] = "new"
	}
	s, err := db.Snapshot()
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, want, all(t, s))
}
