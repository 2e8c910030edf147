package kv

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func benchOptions() Options { return Options{SyncEvery: 5 * time.Second} }

func BenchmarkOpenClose(b *testing.B) {
	dir := b.TempDir()
	require.NoError(b, mustOpen(b, dir, benchOptions()).Close())
	for b.Loop() {
		require.NoError(b, mustOpen(b, dir, benchOptions()).Close())
	}
}

// BenchmarkUpdate is a small object: 5 keys of 120 bytes and a 4 KiB data value.
func BenchmarkUpdate(b *testing.B) {
	db := mustOpen(b, b.TempDir(), benchOptions())
	val, data := make([]byte, 120), make([]byte, 4096)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		require.NoError(b, db.Update(func(tx *Tx) error {
			for i := range 5 {
				tx.Put(fmt.Appendf(nil, "table%d/object/%09d", i, n), val)
			}
			tx.PutData(fmt.Appendf(nil, "%016d", n), data)
			return nil
		}))
	}
	b.StopTimer()
	b.ReportMetric(float64(db.Stats().Stalls), "stalls")
	require.NoError(b, db.Close())
}

// BenchmarkUpdateKeys is the same without the data value.
func BenchmarkUpdateKeys(b *testing.B) {
	db := mustOpen(b, b.TempDir(), benchOptions())
	val := make([]byte, 120)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		require.NoError(b, db.Update(func(tx *Tx) error {
			for i := range 5 {
				tx.Put(fmt.Appendf(nil, "table%d/object/%09d", i, n%1000), val)
			}
			return nil
		}))
	}
	b.StopTimer()
	require.NoError(b, db.Close())
}

func fillKeys(b *testing.B, db *DB, n int) {
	b.Helper()
	for i := 0; i < n; i += 1000 {
		require.NoError(b, db.Update(func(tx *Tx) error {
			for k := i; k < i+1000; k++ {
				tx.Put(fmt.Appendf(nil, "key/%09d", k), make([]byte, 200))
			}
			return nil
		}))
	}
}

func benchGet(b *testing.B, db *DB, n int) {
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i = (i*7 + 13) % n
		key := fmt.Appendf(nil, "key/%09d", i)
		if err := db.View(func(r Reader) error { _, err := r.Get(key); return err }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetOverlay(b *testing.B) {
	db := mustOpen(b, b.TempDir(), Options{SyncEvery: -1})
	defer db.Close()
	fillKeys(b, db, 5000)
	benchGet(b, db, 5000)
}

func BenchmarkGetBadger(b *testing.B) {
	db := mustOpen(b, b.TempDir(), Options{SyncEvery: -1})
	defer db.Close()
	fillKeys(b, db, 100000)
	require.NoError(b, db.Compact(b.Context()))
	benchGet(b, db, 100000)
}

func BenchmarkScan100(b *testing.B) {
	db := mustOpen(b, b.TempDir(), Options{SyncEvery: -1})
	defer db.Close()
	fillKeys(b, db, 100000)
	require.NoError(b, db.Checkpoint())
	for b.Loop() {
		n := 0
		err := db.View(func(r Reader) error {
			return r.Ascend([]byte("key/000050000"), []byte("key/000060000"), func(k, v []byte) (bool, error) {
				n++
				return n < 100, nil
			})
		})
		if err != nil || n != 100 {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkSync(b *testing.B) {
	db := mustOpen(b, b.TempDir(), benchOptions())
	defer db.Close()
	n := 0
	for b.Loop() {
		n++
		put(b, db, fmt.Sprint("key", n%100), "value")
		require.NoError(b, db.Sync())
	}
}

func BenchmarkSyncParallel(b *testing.B) {
	db := mustOpen(b, b.TempDir(), benchOptions())
	defer db.Close()
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			put(b, db, fmt.Sprint("key", n.Add(1)%100), "value")
			require.NoError(b, db.Sync())
		}
	})
	b.ReportMetric(float64(db.SyncCount())/float64(b.N), "flushes/op")
}

// BenchmarkCheckpointStall reports the longest Update while checkpoints run.
func BenchmarkCheckpointStall(b *testing.B) {
	db := mustOpen(b, b.TempDir(), benchOptions())
	defer db.Close()
	var longest time.Duration
	n := 0
	for b.Loop() {
		n++
		start := time.Now()
		put(b, db, fmt.Sprint("key", n), "value")
		longest = max(longest, time.Since(start))
		if n%2000 == 0 {
			db.kick()
		}
	}
	b.ReportMetric(float64(longest.Microseconds()), "max-µs")
}
