package seal

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every chunk of a batch has a nonce of its own, also those behind the number that was announced, and opens as any other.
func TestBatch(t *testing.T) {
	const announced, sealed = 30, 50
	for _, layers := range layerCases {
		c := newTestCipher(t, layers)
		id := NewContentID()
		b := c.Batch(announced)
		out := make([][]byte, sealed)
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for k := w; k < sealed; k += 2 {
					out[k] = b.Seal(nil, []byte("plain"), id, uint64(k), 7)
				}
			})
		}
		wg.Wait()
		nonces := map[string]int{}
		for k, s := range out {
			nonces[string(s[:nonceSize])]++
			got, err := c.Open(nil, s, id, uint64(k), 7)
			require.NoError(t, err)
			require.Equal(t, "plain", string(got))
		}
		require.Len(t, nonces, sealed)
	}
}

// No byte that was drawn is given out twice.
func TestBatchDraw(t *testing.T) {
	b := newTestCipher(t, 1).Batch(3)
	for k := range 3 {
		require.Same(t, &b.random[k*suffixSize], &b.draw()[0])
	}
	require.Nil(t, b.draw())
	require.Nil(t, (*Batch)(nil).draw())
}
