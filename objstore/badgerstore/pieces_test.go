package badgerstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore/seal"
)

func TestPieces(t *testing.T) {
	data := make([]byte, 2*chunkSize+10)
	list := pieces(7, data)
	require.Len(t, list, 3)
	for k, want := range []int{chunkSize, chunkSize, 10} {
		require.Equal(t, int64(7+k), list[k].index)
		require.Len(t, list[k].plain, want)
		require.Same(t, &data[k*chunkSize], &list[k].plain[0])
	}
	require.Len(t, pieces(0, data[:2*chunkSize]), 2)
	require.Len(t, pieces(0, data[:1]), 1)
}

// A run of chunks ends where the next index is another, and behind a chunk that is not whole.
func TestExtentsOf(t *testing.T) {
	whole, short := make([]byte, chunkSize), make([]byte, 5)
	got := extentsOf([]piece{{1, whole}, {2, whole}, {4, whole}, {5, short}, {6, whole}}, 100)
	require.Equal(t, []extent{{1, 2, 100, chunkSize}, {4, 2, 102, 5}, {6, 1, 104, chunkSize}}, got)
}

func TestRunsOf(t *testing.T) {
	const n = punchFrom / chunkSize
	runs, dust := runsOf([]extent{
		{9, n / 2, 200 + n/2, chunkSize}, {50, 1, 10, chunkSize}, {1, n / 2, 200, 7}, {3, 1, 500 | smallSlot, 9}, {0, n, 1000, chunkSize},
	})
	require.Equal(t, []extent{{0, n, 200, chunkSize}, {0, n, 1000, chunkSize}}, runs)
	require.EqualValues(t, chunkSize, dust)
}

// Single dead slots are left alone until a sweep of their content is worth while.
func TestDust(t *testing.T) {
	s := &Store{dust: map[seal.ContentID]int64{}, garbage: map[seal.ContentID]int64{}}
	a, b := seal.ContentID{1}, seal.ContentID{2}
	s.noteDust(a, 0)
	require.Empty(t, s.dust)
	s.noteDust(a, sweepDust-1)
	s.noteDust(b, sweepDust-1)
	require.Empty(t, s.garbage)
	s.noteDust(a, 1)
	require.Equal(t, map[seal.ContentID]int64{a: sweepDust}, s.garbage)
	require.Equal(t, map[seal.ContentID]int64{b: sweepDust - 1}, s.dust)
}

// A store of another format is refused in words that say which of the two is newer, and not touched.
func TestOtherFormatIsRefused(t *testing.T) {
	secret := []byte("secret of the store, 32 bytes...")
	for version, want := range map[int]error{storeVersion - 1: ErrOlderFormat, storeVersion + 1: ErrNewerFormat} {
		dir := t.TempDir()
		h := newHeader(secret, "")
		h.version = version
		h.check = h.expect(secret)
		require.NoError(t, writeHeader(dir, h))
		_, err := openHeader(dir, secret, "")
		require.Error(t, err)
		require.ErrorIs(t, err, want)
		for other := range map[error]bool{ErrOlderFormat: true, ErrNewerFormat: true, ErrWrongKey: true} {
			require.Equal(t, other == want, errors.Is(err, other))
		}
		b, rerr := os.ReadFile(filepath.Join(dir, headerNames[0]))
		require.NoError(t, rerr)
		require.Equal(t, h.String(), string(b))
	}
}
