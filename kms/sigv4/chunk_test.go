package sigv4_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/sigv4"
)

// chunked is the example of Amazon S3's API Reference: an object of 66560 bytes in chunks of 64 KiB.
func chunked(t *testing.T) *sigv4.Chunks {
	t.Helper()
	key := sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")}
	at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	r, err := http.NewRequest(http.MethodPut, "https://s3.amazonaws.com/examplebucket/chunkObject.txt", nil)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"X-Amz-Storage-Class": "REDUCED_REDUNDANCY", "Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "66560", "Content-Length": "66824",
	} {
		r.Header.Set(name, value)
	}
	require.NoError(t, sigv4.Signer{Scheme: s3Scheme, Credentials: key}.Sign(r, sigv4.StreamingPayload, at))
	require.Contains(t, r.Header.Get("Authorization"), "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
	v := &sigv4.Verifier{Scheme: s3Scheme, Keys: oneKey(key), Now: func() time.Time { return at }}
	s, err := v.Verify(r, sigv4.StreamingPayload)
	require.NoError(t, err)
	return s.Chunks()
}

const (
	firstChunk  = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
	secondChunk = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
	lastChunk   = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
)

func TestChunks(t *testing.T) {
	first := sigv4.PayloadHash(bytes.Repeat([]byte{'a'}, 64<<10))
	second := sigv4.PayloadHash(bytes.Repeat([]byte{'a'}, 1024))
	c := chunked(t)
	require.NoError(t, c.Verify(first, firstChunk))
	require.NoError(t, c.Verify(second, secondChunk))
	require.NoError(t, c.Verify(sigv4.PayloadHash(nil), lastChunk))
	for name, check := range map[string]func(*sigv4.Chunks) error{
		"left out": func(c *sigv4.Chunks) error { return c.Verify(second, secondChunk) },
		"altered":  func(c *sigv4.Chunks) error { return c.Verify(second, firstChunk) },
		"no hex":   func(c *sigv4.Chunks) error { return c.Verify(first, "x"+firstChunk[1:]) },
		"empty":    func(c *sigv4.Chunks) error { return c.Verify(first, "") },
		"trailer":  func(c *sigv4.Chunks) error { return c.VerifyTrailer("x-amz-checksum-crc32:AAAAAA==\n", firstChunk) },
	} {
		err := check(chunked(t))
		require.Error(t, err, name)
		require.ErrorIs(t, err, sigv4.SignatureMismatch, name)
	}
}
