package fusefs_test

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
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

// BenchmarkSmallCreateAudited is BenchmarkSmallCreate without audit records, with those of keys, and with those of objects too.
// The processor's time is that of this process: the mount and who uses it.
func BenchmarkSmallCreateAudited(b *testing.B) {
	for _, with := range []string{"nothing", "keys", "objects"} {
		b.Run(with, func(b *testing.B) {
			var audit kms.Auditor
			if with != "nothing" {
				a, err := kms.OpenFileAuditor(b.TempDir(), kms.AuditOptions{Key: bytes.Repeat([]byte{7}, 32)})
				require.NoError(b, err)
				b.Cleanup(func() { require.NoError(b, a.Close()) })
				audit = a
			}
			m := auditedEngine(b, audit, with == "objects")
			data := bytes.Repeat([]byte("x"), 4096)
			before := processorTime(b)
			b.ResetTimer()
			for n := range b.N {
				require.NoError(b, os.WriteFile(m.path(fmt.Sprintf("f%07d", n)), data, 0o644))
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
