package content

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// lazy is the real file system without early write-back.
type lazy struct{ OS }

type lazyFile struct{ File }

func (o lazy) OpenFile(path string, create bool) (File, error) {
	f, err := o.OS.OpenFile(path, create)
	if err != nil {
		return nil, err
	}
	return lazyFile{f}, nil
}

func (lazyFile) StartWriteback(int64, int64) error { return nil }

// BenchmarkAppend writes 512 MiB in appends of 1 MiB and syncs at the end; sync-ms is the time of that sync.
func BenchmarkAppend(b *testing.B) {
	for name, ops := range map[string]Ops{"early": OS{}, "lazy": lazy{}} {
		b.Run(name, func(b *testing.B) {
			d := openTest(b, ops)
			data := pattern(1, 16*testSlot)
			const appends = 512
			b.SetBytes(appends * int64(len(data)))
			for n := 0; b.Loop(); n++ {
				id := testID(n)
				for range appends {
					mustAppend(b, d, id, data)
				}
				start := b.Elapsed()
				if err := d.Sync(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((b.Elapsed() - start).Milliseconds()), "sync-ms")
				b.StopTimer()
				if err := d.Remove(id); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAppendSync is append and sync of one chunk, the cost of an fsync(2).
func BenchmarkAppendSync(b *testing.B) {
	for _, users := range []int{1, 4} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			d := openTest(b, OS{})
			data := pattern(1, 4096)
			var wg sync.WaitGroup
			for u := range users {
				wg.Go(func() {
					for range b.N / users {
						mustAppend(b, d, testID(u), data)
						if err := d.Sync(); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkSyncManyFiles makes 500 contents of two chunks and syncs them all; ns/op is for one content.
func BenchmarkSyncManyFiles(b *testing.B) {
	d := openTest(b, OS{})
	data := pattern(1, 2*testSlot)
	for n := 0; b.Loop(); n++ {
		for f := range 500 {
			var id ID
			id[0], id[1], id[2], id[3] = byte(f), byte(f>>8), byte(n), byte(n>>8)
			mustAppend(b, d, id, data)
		}
		start := b.Elapsed()
		if err := d.Sync(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64((b.Elapsed() - start).Milliseconds()), "sync-ms")
	}
}

// BenchmarkRead reads one slot of a cached file at random.
func BenchmarkRead(b *testing.B) {
	d := openTest(b, OS{})
	const n = 256
	mustAppend(b, d, testID(1), pattern(1, n*testSlot))
	for _, size := range []int{4096, testSlot} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.ReadAt(testID(1), testSlot, rand.Uint64N(n), p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
