package seal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	require.Equal(t, 4136, SlotSize(1))
	require.Equal(t, 4176, SlotSize(2))
	require.Equal(t, int64(3*4136), SlotOffset(3, SlotSize(1)))
	require.Equal(t, int64(1)<<40*4136, SlotOffset(1<<40, SlotSize(1)))
	for _, n := range []int{0, 1, ChunkSize} {
		require.Equal(t, n, PlainSize(SealedSize(n, 2), 2))
	}
	require.Negative(t, PlainSize(39, 1))
}

func TestChunks(t *testing.T) {
	for _, c := range []struct {
		size, count int64
		last        int // length of the last chunk
	}{
		{0, 0, 0}, {1, 1, 1}, {ChunkSize - 1, 1, ChunkSize - 1}, {ChunkSize, 1, ChunkSize},
		{ChunkSize + 1, 2, 1}, {1 << 40, 1 << 28, ChunkSize},
	} {
		require.Equal(t, c.count, ChunkCount(c.size), "size %d", c.size)
		if c.count > 0 {
			require.Equal(t, c.last, ChunkLen(c.size, c.count-1), "size %d", c.size)
		}
		require.Zero(t, ChunkLen(c.size, c.count), "size %d", c.size)
	}
	require.Equal(t, ChunkSize, ChunkLen(ChunkSize+1, 0))
	index, within := ChunkAt(ChunkSize + 5)
	require.Equal(t, int64(1), index)
	require.Equal(t, 5, within)
}
