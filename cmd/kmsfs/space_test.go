package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const mib = 1 << 20

// noise is n bytes that do not repeat from call to call.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(seed>>24)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// unversioned is a mounted bucket that keeps no old versions.
func unversioned(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.run("init")
	b.run("bucket", "create", "demo", "--versioning", "suspended")
	b.mount()
	return b
}

// growth samples what a directory takes on disk while do runs, and answers the most.
func growth(t *testing.T, dir string, do func()) (peak int64) {
	t.Helper()
	var most atomic.Int64
	stop := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		for {
			most.Store(max(most.Load(), allocated(t, dir)))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	do()
	close(stop)
	sampler.Wait()
	return max(most.Load(), allocated(t, dir))
}

// What was deleted is given back: large files and 20,000 small ones, in an unversioned bucket.
// $KMSFS_TEST_LARGE_MIB sets the size of the large files together.
func TestSpaceOfDeletedFilesComesBack(t *testing.T) {
	b := unversioned(t)
	large := scaled(t, "KMSFS_TEST_LARGE_MIB", 512) / 64
	chunk := noise(1, 64*mib)
	for i := range large {
		b.write(fmt.Sprintf("large-%d", i), chunk)
	}
	const dirs, perDir = 20, 1000
	small := noise(2, 3000)
	for d := range dirs {
		require.NoError(t, os.Mkdir(b.path(fmt.Sprint("d", d)), 0o755))
		for i := range perDir {
			b.write(fmt.Sprintf("d%d/small-%d", d, i), small[:1000+i])
		}
	}
	full := allocated(t, b.store)
	require.Greater(t, full, int64(large)*64*mib, "the large files are not in the store")
	for i := range large {
		require.NoError(t, os.Remove(b.path(fmt.Sprintf("large-%d", i))))
	}
	for d := range dirs {
		require.NoError(t, os.RemoveAll(b.path(fmt.Sprint("d", d))))
	}
	b.run("gc")
	left := allocated(t, b.store)
	t.Logf("%d MiB with the files, %.1f MiB after gc", full/mib, float64(left)/mib)
	require.Less(t, left, int64(64*mib))
	b.check()
	b.umount()
	require.Less(t, allocated(t, b.store), int64(64*mib))
}

// A file that is overwritten again and again takes its size, and the new one while it is written.
func TestSpaceOfOverwrittenFile(t *testing.T) {
	const size, times, limit = 100 * mib, 30, 350 * mib
	for how, flags := range map[string]int{"truncated": os.O_TRUNC, "in place": 0} {
		t.Run(how, func(t *testing.T) {
			b := unversioned(t)
			data := noise(3, size)
			b.write("f", data)
			peak := growth(t, b.store, func() {
				for i := range times {
					data = append(data[1:], byte(i)) // other bytes in each place
					f, err := os.OpenFile(b.path("f"), os.O_WRONLY|flags, 0)
					require.NoError(t, err)
					for rest := data; len(rest) > 0; rest = rest[min(mib, len(rest)):] {
						_, err := f.Write(rest[:min(mib, len(rest))])
						require.NoError(t, err)
					}
					require.NoError(t, f.Close())
				}
			})
			t.Logf("%d MiB at most", peak/mib)
			require.Less(t, peak, int64(limit))
			require.GreaterOrEqual(t, peak, int64(size))
			got, err := os.ReadFile(b.path("f"))
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got))
			b.check()
		})
	}
}

// rewriteSome writes 4 KiB somewhere into a closed file, 50 times, and answers how long one took.
func rewriteSome(t *testing.T, b *bench, name string, size int64) time.Duration {
	t.Helper()
	const times, block = 50, 4096
	rng := rand.New(rand.NewPCG(uint64(size), 1))
	start := time.Now()
	for i := range times {
		f, err := os.OpenFile(b.path(name), os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = f.WriteAt(noise(uint64(1000+i), block), rng.Int64N(size/block)*block)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	return time.Since(start) / times
}

// A small change of a large file costs what a small change of a small file costs, in space and time, and each is a
// version. $KMSFS_TEST_REWRITE_MIB sets the size of the large file.
func TestSmallChangeIsSmall(t *testing.T) {
	b := newBench(t)
	b.mount()
	size := int64(scaled(t, "KMSFS_TEST_REWRITE_MIB", 256)) * mib
	b.write("small", noise(1, mib))
	f, err := os.Create(b.path("large"))
	require.NoError(t, err)
	for i := range size / mib {
		_, err := f.Write(noise(uint64(i), mib))
		require.NoError(t, err)
	}
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	rewriteSome(t, b, "small", mib) // warms up
	small := rewriteSome(t, b, "small", mib)
	before := allocated(t, b.store)
	large := rewriteSome(t, b, "large", size)
	grown := allocated(t, b.store) - before
	t.Logf("%d MiB: the store grew by %.1f MiB; %v a rewrite, %v in 1 MiB", size/mib, float64(grown)/mib, large, small)
	require.Less(t, grown, int64(16*mib))
	require.Less(t, large, 5*small+5*time.Millisecond, "the cost grows with the file")
	versions, err := os.ReadDir(b.path(".versions", "large"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(versions), 50)
	requireFirstVersion(t, b.path(".versions", "large", versions[0].Name()), size)
	b.check()
	b.umount()
	require.Less(t, allocated(t, b.store)-before, int64(16*mib))
}

// requireFirstVersion requires that a version of the large file still has its size and, somewhere, its first bytes.
func requireFirstVersion(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	n, err := io.Copy(io.Discard, f)
	require.NoError(t, err)
	require.Equal(t, size, n)
}
