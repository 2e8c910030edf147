package kv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// diskUsage returns the allocated bytes below dir.
func diskUsage(t testing.TB, dir string) int64 {
	t.Helper()
	var sum int64
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		sum += st.Blocks * 512
		return nil
	}))
	return sum
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// putObjects writes n objects: a key and a data value of size bytes each.
func putObjects(t testing.TB, db *DB, n, size int) {
	t.Helper()
	val := randomBytes(size)
	for i := 0; i < n; i += 100 {
		require.NoError(t, db.Update(func(tx *Tx) error {
			for k := i; k < min(n, i+100); k++ {
				tx.Put(fmt.Appendf(nil, "object/%08d", k), val[:100])
				tx.PutData(fmt.Appendf(nil, "%016d", k), val)
			}
			return nil
		}))
	}
}

func deleteObjects(t testing.TB, db *DB, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, db.Update(func(tx *Tx) error {
			tx.Delete(fmt.Appendf(nil, "object/%08d", i))
			tx.DeleteData(fmt.Appendf(nil, "%016d", i))
			return nil
		}))
	}
}

// The space of deleted data comes back to the disk, whatever levels the tables are on.
func TestSpaceComesBack(t *testing.T) {
	for name, between := range map[string]func(db *DB) error{
		"in memory tables": func(db *DB) error { return nil },
		"checkpointed":     (*DB).Checkpoint,
		"compacted":        func(db *DB) error { return db.Compact(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := mustOpen(t, dir, Options{SyncEvery: -1})
			putObjects(t, db, 20000, 4096)
			require.NoError(t, between(db))
			deleteObjects(t, db, 20000)
			require.NoError(t, db.Compact(t.Context()))
			used := diskUsage(t, filepath.Join(dir, "data"))
			require.Less(t, used, int64(2<<20), "data")
			used = diskUsage(t, filepath.Join(dir, "meta"))
			require.Less(t, used, int64(2<<20), "meta")
			require.Less(t, diskUsage(t, filepath.Join(dir, "meta.copy")), int64(1<<20))
			require.NoError(t, db.Close())
		})
	}
}

// Compacting keeps what lives.
func TestCompactKeepsData(t *testing.T) {
	db := mustOpen(t, t.TempDir(), small())
	putObjects(t, db, 3000, 2000)
	require.NoError(t, db.Compact(t.Context()))
	require.NoError(t, db.Update(func(tx *Tx) error { tx.Delete([]byte("object/00000007")); return nil }))
	require.NoError(t, db.Compact(t.Context()))
	missing(t, db, "object/00000007")
	n := 0
	require.NoError(t, db.View(func(r Reader) error {
		return r.Ascend(nil, nil, func(k, v []byte) (bool, error) { n++; return true, nil })
	}))
	require.Equal(t, 2999, n)
	for i := range 3000 {
		v, err := db.GetData(fmt.Appendf(nil, "%016d", i))
		require.NoError(t, err)
		require.Len(t, v, 2000)
	}
	require.NoError(t, db.Close())
}

// mountTmpfs mounts a small file system; the tests run as root.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size), "mounting needs root")
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// A disk that fills up costs ErrNoSpace and nothing else; deleting goes on, and when space
// returns writing does too.
func TestFullDisk(t *testing.T) {
	disk := mountTmpfs(t, "200m")
	dir := filepath.Join(disk, "store")
	db := mustOpen(t, dir, Options{SyncEvery: -1})
	n, err := 0, error(nil)
	val := randomBytes(16 << 10)
	for ; err == nil; n++ {
		require.Less(t, n, 100000, "never full")
		err = db.Update(func(tx *Tx) error {
			tx.Put(fmt.Appendf(nil, "key%06d", n), []byte("value"))
			tx.PutData(fmt.Appendf(nil, "id%06d", n), val)
			return nil
		})
	}
	n--
	require.ErrorIs(t, err, ErrNoSpace)
	require.True(t, db.LowSpace())
	require.Equal(t, "value", value(t, db, fmt.Sprintf("key%06d", n-1)))
	missing(t, db, fmt.Sprintf("key%06d", n))
	require.NoError(t, db.Sync())

	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=600m"))
	require.False(t, db.LowSpace())
	put(t, db, "again", "yes")
	require.NoError(t, db.Close())
	db = mustOpen(t, dir, Options{SyncEvery: -1})
	require.Equal(t, "yes", value(t, db, "again"))
	for i := range n {
		_, err := db.GetData(fmt.Appendf(nil, "id%06d", i))
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}

// Another program fills the disk to the last byte: the store neither dies nor lies.
func TestDiskFilledByOthers(t *testing.T) {
	disk := mountTmpfs(t, "300m")
	dir := filepath.Join(disk, "store")
	db := mustOpen(t, dir, Options{SyncEvery: -1})
	putObjects(t, db, 1000, 4096)
	ballast := filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	require.NoError(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, f.Close())

	for i := range 500 {
		put(t, db, fmt.Sprint("full", i), "v")
	}
	require.NoError(t, db.Sync())
	require.ErrorIs(t, db.Checkpoint(), ErrNoSpace)
	require.Equal(t, "v", value(t, db, "full499"))
	require.NoError(t, os.Remove(ballast))
	require.NoError(t, db.Checkpoint())
	require.Equal(t, "v", value(t, db, "full499"))
	require.NoError(t, db.Close())
}
