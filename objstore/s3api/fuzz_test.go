package s3api

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzChunked: no body makes the decoder panic, give out more than was announced, or end well with less.
func FuzzChunked(f *testing.F) {
	for _, seed := range []string{"", "5\r\nhello\r\n0\r\n\r\n", "5;chunk-signature=x\r\nhello\r\n0;chunk-signature=y\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", "ffffffff\r\n", "0\r\na:b\r\n\r\nx"} {
		f.Add([]byte(seed), int64(5), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, want int64, trailing bool) {
		if want < 0 {
			return // refused before
		}
		out, err := io.ReadAll(newChunked(bytes.NewReader(body), want, trailing, nil))
		require.LessOrEqual(t, int64(len(out)), want)
		if err == nil {
			require.Equal(t, want, int64(len(out)))
		}
	})
}
