package fusefs_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSmallCreate makes files of 4 KiB on the engine: LOOKUP, CREATE, WRITE, FLUSH and RELEASE each.
func BenchmarkSmallCreate(b *testing.B) {
	m := engine(b)
	data := bytes.Repeat([]byte("x"), 4096)
	b.ResetTimer()
	for n := range b.N {
		require.NoError(b, os.WriteFile(m.path(fmt.Sprintf("f%07d", n)), data, 0o644))
	}
}

// BenchmarkSequentialWrite writes a large file in pieces of 1 MiB.
func BenchmarkSequentialWrite(b *testing.B) {
	m := engine(b)
	f, err := os.Create(m.path("f"))
	require.NoError(b, err)
	data := bytes.Repeat([]byte("x"), 1<<20)
	b.SetBytes(1 << 20)
	b.ResetTimer()
	for range b.N {
		_, err := f.Write(data)
		require.NoError(b, err)
	}
	require.NoError(b, f.Close())
}

// BenchmarkRandomWrite writes 4 KiB at random places of a large file, and flushes at the end.
func BenchmarkRandomWrite(b *testing.B) {
	m := engine(b)
	require.NoError(b, os.WriteFile(m.path("f"), make([]byte, 64<<20), 0o644))
	f, err := os.OpenFile(m.path("f"), os.O_RDWR, 0)
	require.NoError(b, err)
	data := bytes.Repeat([]byte("x"), 4096)
	b.ResetTimer()
	for n := range b.N {
		_, err := f.WriteAt(data, int64(n)*2654435761%(64<<20)&^4095)
		require.NoError(b, err)
	}
	require.NoError(b, f.Close())
}
