package seal

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOpen: whatever bytes are found anywhere, Open does not panic; and only what was sealed there opens.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob(vectorDir + "/*.vec")
	require.NoError(f, err)
	require.NotEmpty(f, files, "the vectors are missing")
	for _, v := range generate() {
		f.Add(v.body, uint64(3), uint64(7), false)
		f.Add(v.body, uint64(3), uint64(7), true)
	}
	good := map[bool]vector{false: chunk(100), true: layered(100)}
	ciphers := map[bool]*Cipher{}
	for two, v := range good {
		ciphers[two] = must(New(v.key))
	}
	known := knownBodies()
	f.Fuzz(func(t *testing.T, sealed []byte, slot, index uint64, two bool) {
		plain, err := ciphers[two].Open(nil, sealed, good[two].id, slot, index)
		if err == nil {
			require.True(t, known[string(sealed)] && slot == 3 && index == 7, "an altered chunk opened")
			return
		}
		require.ErrorIs(t, err, ErrAuth)
		require.Nil(t, plain)
	})
}

// knownBodies are the bodies of the vectors that open.
func knownBodies() map[string]bool {
	m := map[string]bool{}
	for _, v := range generate() {
		if v.expect == "" {
			m[string(v.body)] = true
		}
	}
	return m
}

// FuzzAlter alters one chunk at one place.
func FuzzAlter(f *testing.F) {
	f.Add([]byte("plaintext"), 30, byte(1), uint64(0), uint64(0), false)
	f.Add([]byte{}, 0, byte(0x80), uint64(1), uint64(0), true)
	f.Add(make([]byte, 4096), -1, byte(0), uint64(0), uint64(1), true)
	f.Fuzz(func(t *testing.T, plain []byte, at int, mask byte, slotChange, indexChange uint64, two bool) {
		layers := 1
		if two {
			layers = 2
		}
		c := newTestCipher(t, layers)
		sealed := c.Seal(nil, plain, ContentID{1}, 5, 6)
		altered := bytes.Clone(sealed)
		altered[int(uint(at)%uint(len(altered)))] ^= mask
		got, err := c.Open(nil, altered, ContentID{1}, 5^slotChange, 6^indexChange)
		if mask == 0 && slotChange == 0 && indexChange == 0 {
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, got))
			return
		}
		require.Error(t, err)
		require.ErrorIs(t, err, ErrAuth)
		require.Nil(t, got)
	})
}
