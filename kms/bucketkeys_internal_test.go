package kms

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func secretKey() (bucketKey, error) {
	k := bucketKey{}
	for i := range k.plain {
		k.plain[i] = 1
	}
	return k, nil
}

// TestExpiredKeysAreWiped looks at the cached bytes: they go also when nobody asks.
func TestExpiredKeysAreWiped(t *testing.T) {
	c := newBucketKeys(20*time.Millisecond, time.Now)
	_, err := c.get(context.Background(), "a", secretKey)
	require.NoError(t, err)
	c.mu.Lock()
	cached := c.entries["a"]
	require.NotZero(t, cached.key.plain)
	c.mu.Unlock()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.entries) == 0 && cached.key.plain == [KeySize]byte{} && c.timer == nil
	}, 5*time.Second, 5*time.Millisecond)
}

func TestDroppedKeysAreWiped(t *testing.T) {
	c := newBucketKeys(time.Hour, time.Now)
	_, err := c.get(context.Background(), "a", secretKey)
	require.NoError(t, err)
	cached := c.entries["a"]
	c.drop()
	require.Zero(t, cached.key.plain)
	require.Empty(t, c.entries)
	require.Nil(t, c.timer)
}

func TestCacheIsBounded(t *testing.T) {
	c := newBucketKeys(time.Hour, time.Now)
	defer c.drop()
	for i := range maxBucketKeys + 10 {
		_, err := c.get(context.Background(), strconv.Itoa(i), secretKey)
		require.NoError(t, err)
	}
	require.Len(t, c.entries, maxBucketKeys)
}

func TestPanicLeavesNoFlight(t *testing.T) {
	c := newBucketKeys(time.Hour, time.Now)
	require.Panics(t, func() {
		c.get(context.Background(), "a", func() (bucketKey, error) { panic("provider") })
	})
	_, err := c.get(context.Background(), "a", secretKey)
	require.NoError(t, err)
	c.drop()
}

func TestCacheNameIsUnambiguous(t *testing.T) {
	c := Context{}.Canonical()
	require.NotEqual(t, cacheName("write", "ab", "c", c, nil), cacheName("write", "a", "bc", c, nil))
	require.NotEqual(t, cacheName("write", "a", "b", c, nil), cacheName("read", "a", "b", c, nil))
}

func TestSealed(t *testing.T) {
	key := make([]byte, KeySize)
	a, b := Seal(nil, key, "l", []byte("aad"), []byte("x")), Seal(nil, key, "l", []byte("aad"), []byte("x"))
	require.NotEqual(t, a, b)
	require.Len(t, a, SealOverhead+1)
	out, err := Open([]byte("before"), key, "l", []byte("aad"), a)
	require.NoError(t, err)
	require.Equal(t, "beforex", string(out))
	for i := range a {
		a[i] ^= 1
		_, err := Open(nil, key, "l", []byte("aad"), a)
		require.ErrorIs(t, err, ErrSealed, "byte %d", i)
		a[i] ^= 1
	}
	for _, n := range []int{0, 1, SealOverhead - 1, SealOverhead} {
		_, err := Open(nil, key, "l", []byte("aad"), a[:n])
		require.ErrorIs(t, err, ErrSealed)
	}
	_, err = Open(nil, key, "m", []byte("aad"), a)
	require.ErrorIs(t, err, ErrSealed)
	_, err = Open(nil, key, "l", []byte("bad"), a)
	require.ErrorIs(t, err, ErrSealed)
}
