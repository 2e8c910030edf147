package kv

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func testSecret() []byte { return bytes.Repeat([]byte{7}, 32) }

// small keeps tests quick: a little journal, and checkpoints only when asked for.
func small() Options {
	return Options{SegmentBytes: 1 << 20, Segments: 3, SyncEvery: -1}
}

// tempDir is t.TempDir, in memory if there is room: many tests make many stores, and none
// needs a disk.
func tempDir(t testing.TB) string {
	t.Helper()
	const shm = "/dev/shm"
	free, err := statfsFree(shm)
	if err != nil || free < 4<<30 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shm, "kvtest")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func mustOpen(t testing.TB, dir string, o Options) *DB {
	t.Helper()
	db, err := Open(dir, testSecret(), o)
	require.NoError(t, err)
	return db
}

func put(t testing.TB, db *DB, pairs ...string) {
	t.Helper()
	require.NoError(t, db.Update(func(tx *Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			tx.Put([]byte(pairs[i]), []byte(pairs[i+1]))
		}
		return nil
	}))
}

func value(t testing.TB, db *DB, key string) string {
	t.Helper()
	var out string
	require.NoError(t, db.View(func(r Reader) error {
		v, err := r.Get([]byte(key))
		out = string(v)
		return err
	}))
	return out
}

func missing(t testing.TB, db *DB, key string) {
	t.Helper()
	err := db.View(func(r Reader) error {
		_, err := r.Get([]byte(key))
		return err
	})
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPutGetDeleteReopen(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	put(t, db, "a", "1", "b", "2", "c", "3")
	require.Equal(t, "2", value(t, db, "b"))
	require.NoError(t, db.Checkpoint())
	require.Equal(t, "2", value(t, db, "b"))
	require.NoError(t, db.Update(func(tx *Tx) error {
		tx.Delete([]byte("b"))
		tx.PutData([]byte("id"), []byte("bulk"))
		return nil
	}))
	missing(t, db, "b")
	require.NoError(t, db.Close())
	require.ErrorIs(t, db.Close(), ErrClosed)

	db = mustOpen(t, dir, small())
	missing(t, db, "b")
	require.Equal(t, "3", value(t, db, "c"))
	v, err := db.GetData([]byte("id"))
	require.NoError(t, err)
	require.Equal(t, "bulk", string(v))
	require.Zero(t, db.Stats().Replayed, "a clean close leaves nothing to replay")
	require.NoError(t, db.Close())
}

func TestManyKeysSurvive(t *testing.T) {
	dir := tempDir(t)
	db := mustOpen(t, dir, small())
	for i := range 20000 {
		put(t, db, fmt.Sprintf("key%06d", i), fmt.Sprintf("value%d", i))
	}
	require.NoError(t, db.Close())
	db = mustOpen(t, dir, small())
	for i := range 20000 {
		require.Equal(t, fmt.Sprintf("value%d", i), value(t, db, fmt.Sprintf("key%06d", i)))
	}
	require.NoError(t, db.Close())
}
