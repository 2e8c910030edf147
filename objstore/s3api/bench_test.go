package s3api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// what is written is durable when it is answered, so small objects take a flush of the disk each, or share one
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := newDoor(b)
			id, body := d.key(kms.CreateKeyInput{}), strings.Repeat("x", size)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				d.ok(http.MethodPut, fmt.Sprintf("/bkt/%d", i%8), body, sse, "aws:kms", sseKey, id)
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := newDoor(b)
			d.ok(http.MethodPut, "/bkt/a", strings.Repeat("x", size), sse, "aws:kms", sseKey, d.key(kms.CreateKeyInput{}))
			b.SetBytes(int64(size))
			for b.Loop() {
				resp, err := http.DefaultClient.Do(d.request(http.MethodGet, "/bkt/a", ""))
				require.NoError(b, err)
				n, err := io.Copy(io.Discard, resp.Body)
				require.NoError(b, err)
				require.NoError(b, resp.Body.Close())
				require.EqualValues(b, size, n)
			}
		})
	}
}
