package seal

import (
	"crypto/sha3"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// The vectors of https://c2sp.org/XAES-256-GCM.
func TestXAESSpecVectors(t *testing.T) {
	for _, v := range []struct{ key, k1, aad, ciphertext string }{
		{"01", "e531954aca063d5b8d9c47a47d4cc6f0", "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{"03", "23810ec50edb99f374409466ed1f4b7b", "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x := newXAES(repeated(t, v.key), 1)
		require.Equal(t, v.k1, hex.EncodeToString(x.k1[:]))
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		sealed := x.sealAt(nil, nonce, []byte("XAES-256-GCM"), []byte(v.aad))
		require.Equal(t, v.ciphertext, hex.EncodeToString(sealed[nonceSize:]))

		plain, err := x.open(nil, sealed, []byte(v.aad))
		require.NoError(t, err)
		require.Equal(t, "XAES-256-GCM", string(plain))
	}
}

func repeated(t *testing.T, b string) []byte {
	t.Helper()
	one, err := hex.DecodeString(b)
	require.NoError(t, err)
	key := make([]byte, keySize)
	for i := range key {
		key[i] = one[0]
	}
	return key
}

// The specification's accumulated test: 10 000 random messages, their ciphertexts hashed.
func TestXAESAccumulated(t *testing.T) {
	rng, sum := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, err := rng.Read(b)
		require.NoError(t, err)
		return b
	}
	for range 10_000 {
		x := newXAES(read(keySize), 1)
		nonce := read(nonceSize)
		plaintext := read(int(read(1)[0]))
		aad := read(int(read(1)[0]))
		sealed := x.sealAt(nil, nonce, plaintext, aad)
		_, err := sum.Write(sealed[nonceSize:])
		require.NoError(t, err)
		got, err := x.open(nil, sealed, aad)
		require.NoError(t, err)
		require.Equal(t, string(plaintext), string(got))
	}
	digest := make([]byte, 32)
	_, err := sum.Read(digest)
	require.NoError(t, err)
	require.Equal(t, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939", hex.EncodeToString(digest))
}

// Nonces of one writer differ, and a new prefix is drawn when the old one is used up.
func TestWriterPrefixIsReplaced(t *testing.T) {
	x := newXAES(make([]byte, keySize), 1)
	first := x.seal(nil, nil, nil, nil)
	second := x.seal(nil, nil, nil, nil)
	require.Equal(t, first[:prefixSize], second[:prefixSize])
	require.NotEqual(t, first[:nonceSize], second[:nonceSize])

	x.writer.Load().seals.Store(sealsPerPrefix)
	third := x.seal(nil, nil, nil, nil)
	require.NotEqual(t, first[:prefixSize], third[:prefixSize])
	for _, sealed := range [][]byte{first, second, third} {
		_, err := x.open(nil, sealed, nil)
		require.NoError(t, err)
	}
}
