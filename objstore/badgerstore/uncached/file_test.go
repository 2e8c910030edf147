package uncached

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Transfers that keep out of the kernel's cache are those that do not, byte for byte, also where the file system cannot do so
// (that of /dev/shm), and in a file that both write.
func TestFile(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "once")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(shm)) })
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": shm} {
		t.Run(name, func(t *testing.T) {
			f := create(t, dir)
			defer func() { require.NoError(t, f.Close()) }()
			transferAtRandom(t, f, rand.New(rand.NewPCG(1, 2)))
		})
	}
}

func create(t *testing.T, dir string) *File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "f"))
	require.NoError(t, err)
	return New(f)
}

func transferAtRandom(t *testing.T, f *File, r *rand.Rand) {
	var want []byte
	for range 60 {
		off, n := r.IntN(1<<20), 1+r.IntN([]int{5000, 3 * leastBytes, 1 << 20}[r.IntN(3)])
		if r.IntN(2) == 0 {
			off = len(want) // as appends are
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		want = append(want, make([]byte, max(0, off+n-len(want)))...)
		copy(want[off:], data)
		k, err := f.WriteAt(data, int64(off))
		require.NoError(t, err)
		require.Equal(t, n, k)

		off = r.IntN(len(want))
		got := make([]byte, 1+r.IntN(len(want)))
		end := min(len(want), off+len(got))
		k, err = f.ReadOnce(got, int64(off))
		if off+len(got) > len(want) {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(want[off:end], got[:k]), "%d bytes at %d", len(got), off)
	}
	all := make([]byte, len(want))
	_, err := f.ReadAt(all, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, all))
}

// What fails is said by the ordinary call.
func TestErrors(t *testing.T) {
	f := create(t, t.TempDir())
	require.NoError(t, f.Close())
	_, err := f.WriteAt(make([]byte, 1<<20), 0)
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = f.ReadOnce(make([]byte, 1<<20), 0)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestTrusted(t *testing.T) {
	for release, want := range map[string]bool{
		"6.16.0": true, "6.18.44-generic": true, "7.0": true, "10.1.2": true,
		"6.15.9": false, "6.1.0-37-amd64": false, "5.19.0": false, "": false, "6": false, "x.y": false,
	} {
		require.Equal(t, want, trusted(release), "%q", release)
	}
}
