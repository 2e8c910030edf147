package seal

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var layerCases = []int{1, 2}

func newTestCipher(t testing.TB, layers int) *Cipher {
	t.Helper()
	key := make([]byte, layers*keySize)
	for i := range key {
		key[i] = byte(i)
	}
	c, err := New(key)
	require.NoError(t, err)
	require.Equal(t, layers, c.Layers())
	return c
}

func TestSealOpen(t *testing.T) {
	for _, layers := range layerCases {
		c := newTestCipher(t, layers)
		id := NewContentID()
		for _, n := range []int{0, 1, 15, 16, 4096, ChunkSize - 1, ChunkSize} {
			plain := bytes.Repeat([]byte{7}, n)
			sealed := c.Seal([]byte("head"), plain, id, 3, 4)
			require.Equal(t, "head", string(sealed[:4]))
			require.Len(t, sealed, 4+SealedSize(n, layers))
			got, err := c.Open([]byte("HEAD"), sealed[4:], id, 3, 4)
			require.NoError(t, err)
			require.Equal(t, "HEAD"+string(plain), string(got))
		}
	}
}

func TestSealIsRandomised(t *testing.T) {
	c := newTestCipher(t, 1)
	require.NotEqual(t, c.Seal(nil, []byte("x"), ContentID{}, 0, 0), c.Seal(nil, []byte("x"), ContentID{}, 0, 0))
}

// requireRefused asserts the layer of a refusal, after asserting that there was one.
func requireRefused(t *testing.T, err error, want Layer) {
	t.Helper()
	require.Error(t, err)
	require.ErrorIs(t, err, ErrAuth)
	var auth *AuthError
	require.True(t, errors.As(err, &auth))
	require.Equal(t, want, auth.Layer)
}

func outermost(layers int) Layer {
	if layers == 2 {
		return LayerOuter
	}
	return LayerChunk
}

func TestOpenRefusesAnotherPlace(t *testing.T) {
	for _, layers := range layerCases {
		c := newTestCipher(t, layers)
		id := NewContentID()
		sealed := c.Seal(nil, []byte("plaintext"), id, 3, 4)
		for _, place := range []struct {
			id          ContentID
			slot, index uint64
		}{{NewContentID(), 3, 4}, {id, 4, 4}, {id, 3, 3}, {id, 4, 3}, {id, 3 << 32, 4}} {
			_, err := c.Open(nil, sealed, place.id, place.slot, place.index)
			requireRefused(t, err, outermost(layers))
		}
	}
}

// No single bit of a sealed chunk may change, and no byte be missing or added.
func TestOpenRefusesAlteration(t *testing.T) {
	for _, layers := range layerCases {
		c := newTestCipher(t, layers)
		sealed := c.Seal(nil, []byte("plaintext"), ContentID{}, 0, 0)
		for bit := range len(sealed) * 8 {
			altered := bytes.Clone(sealed)
			altered[bit/8] ^= 1 << (bit % 8)
			_, err := c.Open(nil, altered, ContentID{}, 0, 0)
			requireRefused(t, err, outermost(layers))
		}
		for n := range sealed {
			_, err := c.Open(nil, sealed[:n], ContentID{}, 0, 0)
			if n < c.Overhead() {
				requireRefused(t, err, LayerSize)
			} else {
				requireRefused(t, err, outermost(layers))
			}
		}
		_, err := c.Open(nil, append(bytes.Clone(sealed), 0), ContentID{}, 0, 0)
		requireRefused(t, err, outermost(layers))
	}
}

// The two layers have keys of their own: knowing one half of the data key opens nothing.
func TestLayersAreIndependent(t *testing.T) {
	key := make([]byte, 2*keySize)
	c, err := New(key)
	require.NoError(t, err)
	sealed := c.Seal(nil, []byte("plaintext"), ContentID{}, 0, 0)
	for half, want := range map[int]Layer{0: LayerInner, keySize: LayerOuter} {
		other := bytes.Clone(key)
		other[half] ^= 1
		d, err := New(other)
		require.NoError(t, err)
		_, err = d.Open(nil, sealed, ContentID{}, 0, 0)
		requireRefused(t, err, want)
	}
}

func TestMAC(t *testing.T) {
	c := newTestCipher(t, 1)
	mac := c.MAC([]byte("record"))
	require.NoError(t, c.Verify([]byte("record"), mac))
	requireRefused(t, c.Verify([]byte("recorD"), mac), LayerMAC)
	mac[MACSize-1] ^= 1
	requireRefused(t, c.Verify([]byte("record"), mac), LayerMAC)
	requireRefused(t, newTestCipher(t, 2).Verify([]byte("record"), c.MAC([]byte("record"))), LayerMAC)
}

func TestNewRefusesOtherKeySizes(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 48, 63, 65} {
		_, err := New(make([]byte, n))
		require.Error(t, err)
		require.ErrorIs(t, err, ErrKeySize)
	}
	_, err := NewRecordCipher(make([]byte, 31), "x")
	require.Error(t, err)
	require.ErrorIs(t, err, ErrKeySize)
}

func TestWipe(t *testing.T) {
	c := newTestCipher(t, 2)
	key := c.macKey
	c.Wipe()
	require.Equal(t, make([]byte, keySize), key)
	require.Panics(t, func() { c.Seal(nil, nil, ContentID{}, 0, 0) })
	require.Panics(t, func() { c.MAC(nil) })
}

func TestSealOpenAllocateNothing(t *testing.T) {
	for _, layers := range layerCases {
		t.Run(fmt.Sprint(layers), func(t *testing.T) {
			c := newTestCipher(t, layers)
			plain := make([]byte, 4096)
			sealed := c.Seal(nil, plain, ContentID{}, 0, 0)
			room := make([]byte, 0, len(sealed))
			require.Zero(t, testing.AllocsPerRun(100, func() { c.Seal(room, plain, ContentID{}, 0, 0) }))
			require.Zero(t, testing.AllocsPerRun(100, func() {
				if _, err := c.Open(room, sealed, ContentID{}, 0, 0); err != nil {
					t.Error(err)
				}
			}))
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, layers := range layerCases {
		c := newTestCipher(t, layers)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				plain := bytes.Repeat([]byte{byte(g)}, 1000)
				for i := range uint64(200) {
					sealed := c.Seal(nil, plain, ContentID{}, i, i)
					got, err := c.Open(nil, sealed, ContentID{}, i, i)
					if err != nil || !bytes.Equal(got, plain) {
						t.Errorf("goroutine %d, chunk %d: %v", g, i, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestRecordCipher(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, keySize)
	r, err := NewRecordCipher(secret, "table")
	require.NoError(t, err)
	sealed := r.Seal(nil, []byte("value"), []byte("key"))
	require.Len(t, sealed, 5+r.Overhead())
	got, err := r.Open(nil, sealed, []byte("key"))
	require.NoError(t, err)
	require.Equal(t, "value", string(got))

	_, err = r.Open(nil, sealed, []byte("kez"))
	requireRefused(t, err, LayerRecord)
	_, err = r.Open(nil, sealed[:39], []byte("key"))
	requireRefused(t, err, LayerSize)
	other, err := NewRecordCipher(secret, "tablf")
	require.NoError(t, err)
	_, err = other.Open(nil, sealed, []byte("key"))
	requireRefused(t, err, LayerRecord)
}
